package mount

import "github.com/strongkeep/strongkeep/internal/vault/engine"

// Confine is engine.Confine.
func Confine(tx engine.Tx, prefix string) engine.Tx { return engine.Confine(tx, prefix) }

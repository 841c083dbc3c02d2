package seal

import "github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"

// Wrapper is a key outside the vault's storage.
type Wrapper = rootkey.Wrapper

// Named is a Wrapper as the operator configured it.
type Named = rootkey.Named

// What clients see of how a vault opens.
const (
	KindShamir    = rootkey.KindShamir
	DefaultWithin = rootkey.DefaultWithin
)

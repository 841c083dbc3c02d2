package transit

import (
	"context"
	"crypto/rsa"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
)

// Engine is one mount. It keeps no state outside its Tx.
//
//	key/NAME        a key, see transit/key
//	due/HOUR/NAME   the key rotates by itself in that hour since 1970
//	config/keys     1 byte: 1 = encrypting makes no keys
//	config/cache    uvarint: what cache-config was told
//	wrapping        PKCS #8 of the RSA key to which imported keys are wrapped
type Engine struct {
	cfg engine.Config
	rsa func(bits int) (*rsa.PrivateKey, error) // nil = by key.Source
}

var (
	_ engine.Engine = (*Engine)(nil)
	_ engine.Worker = (*Engine)(nil)
)

// New is the engine.Factory of transit.
func New(cfg engine.Config) (engine.Engine, error) { return &Engine{cfg: cfg}, nil }

// Close implements engine.Engine.
func (*Engine) Close() error { return nil }

func (e *Engine) source(now time.Time) key.Source {
	return key.Source{Random: e.cfg.Random, Now: now, RSA: e.rsa}
}

// store applies a change that leaves a key, and answers with the key as it is now.
func (e *Engine) store(tx engine.Tx, c keyring.Change) (*engine.Response, error) {
	wake, err := c.Apply(tx)
	if err != nil {
		return nil, err
	}
	res := &engine.Response{}
	if wake {
		res.After = e.wake
	}
	res.Data, err = describe(c.Name, c.Made, nil)
	return res, err
}

func (e *Engine) wake(context.Context) error {
	e.cfg.Wake()
	return nil
}

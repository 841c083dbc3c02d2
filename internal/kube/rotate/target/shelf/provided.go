package shelf

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Provided is where a person puts a new key that only a person can make, below
// the mount and before the path: a KV v2 secret with the properties that readers
// are to see. `strongkeep rotation provide` writes it:
//
//	POST MOUNT/data/strongkeep-provided/PATH {"data":{"apiKey":"…"}}
//
// It is removed when it has been staged.
const Provided = "strongkeep-provided/"

func (s *Shelf) provided() kv {
	return kv{s.vault, s.live.mount, Provided + s.live.path}
}

// ProvidedAt is the path of the vault's API that a new key is written to.
func (s *Shelf) ProvidedAt() string { return s.provided().at("data") }

// Take returns what was provided; nil for nothing.
func (s *Shelf) Take(ctx context.Context) (Values, error) {
	e, err := s.provided().read(ctx)
	return e.values, err
}

// Clear removes what was provided if it is what the turn has staged.
func (s *Shelf) Clear(ctx context.Context, t target.Turn) error {
	r, err := s.load(ctx)
	if err != nil || r.Turn != t.Number || r.over() {
		return err
	}
	there, err := s.Take(ctx)
	if err != nil || there == nil || len(there) != len(r.New) || !there.Has(r.New) {
		return err
	}
	return s.provided().forget(ctx)
}

package leader

import (
	"context"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// fenced is a store whose commits fail once core/leader is no longer at term. It is one
// change less wide than the store below (store.MaxChanges).
type fenced struct {
	store.Store
	term store.Revision
}

// Apply implements store.Store. ErrLost: another node leads.
func (f fenced) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if !slices.ContainsFunc(changes, func(c store.Change) bool { return c.Op != store.OpCheck }) {
		return f.Store.Apply(ctx, changes...)
	}
	rev, err := f.Store.Apply(ctx, append(slices.Clip(changes), store.Check(Key, f.term))...)
	if !errs.Is(err, errs.Conflict) {
		return rev, err
	}
	// Whose conflict was it? Who runs the work again must not do so for ever.
	now, readErr := f.Get(ctx, Key)
	if readErr != nil {
		return rev, readErr
	}
	if now.Revision != f.term {
		return rev, ErrLost
	}
	return rev, err
}

// Close does nothing: the store belongs to who gave it to the Elector.
func (fenced) Close() error { return nil }

// ErrLost is of kind Unavailable: nothing was written.
var ErrLost = errs.New(errs.Unavailable, "another node does the background work: nothing was written")

// Package proposal has what would be written said instead of done: all that a new vault begins
// with, which is then committed with its seal.
//
// Start reading at Store.
package proposal

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Store is a store that keeps what one Apply would write instead of writing it.
// It is used by one goroutine.
type Store struct {
	store.Store
	Changes []store.Change
}

// Apply implements store.Store, once.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if len(changes) == 0 {
		return s.Store.Apply(ctx)
	}
	if s.Changes != nil {
		return 0, errs.New(errs.Internal, "a new vault is set up in more than one commit")
	}
	s.Changes = append([]store.Change{}, changes...)
	return 1, nil
}

// Close leaves the store below open.
func (s *Store) Close() error { return nil }

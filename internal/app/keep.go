package app

import (
	"context"
	"path/filepath"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/depot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/sealed"
)

// newKeeper makes what keeps snapshots by the vault's plans.
func (s *Server) newKeeper(barrier *seal.Barrier) *keeper.Keeper {
	return keeper.New(keeper.Config{
		Raw: s.raw, Keys: barrier.Keyring(), Scratch: filepath.Join(s.cfg.DataDir, "snapshot-scratch"), Open: s.openPlace,
		Decrypt: func(raw store.Store) (store.Store, error) { return decrypted(raw, barrier.Keyring()) }, Unseal: s.keys.Opens,
		Version: Version, Now: s.cfg.Now, Log: s.cfg.Log,
	})
}

// openPlace opens where a plan's snapshots lie.
func (s *Server) openPlace(ctx context.Context, p *keeper.Plan) (place.Place, error) {
	if err := p.Check(); err != nil { // one that a newer version has stored
		return nil, errs.Newf(errs.Unsupported, "the plan %q cannot be kept by this version: %w", p.Name, err)
	}
	if p.Bucket != nil {
		return depot.Open(ctx, p.Bucket, p.Path)
	}
	return place.OpenDirectory(filepath.Join(s.cfg.SnapshotDir, filepath.FromSlash(p.Path)))
}

// decrypted is the sealed view of a store whose names and values the running vault's keys
// open, and which stays open.
func decrypted(raw store.Store, keys *seal.Keyring) (store.Store, error) {
	return sealed.New(store.Borrow(raw), sealed.Config{Sealer: keys, PlainPrefixes: plainPrefixes})
}

// keeps returns the vault's settings while this node is to make snapshots: it is open, does
// the background work, and nobody holds the leases. A copy that was restored must not
// remove snapshots of the original.
func (s *Server) keeps() (keeper.Reader, bool) {
	v := s.vault.Load()
	leases, open := s.gate.Leases()
	if v == nil || !open {
		return nil, false
	}
	leader, _ := v.Leader()
	if !leader.Self && leader.Leader.ID != "" {
		s.keeper.Forget()
	}
	return v.Store, leader.Self && !leases.Held
}

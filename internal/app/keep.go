package app

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/sealed"
)

// newKeeper makes what keeps snapshots by the vault's plans.
func (s *Server) newKeeper(barrier *seal.Barrier) *keeper.Keeper {
	return keeper.New(keeper.Config{
		Raw: s.raw, Keys: barrier.Keyring(), Scratch: filepath.Join(s.cfg.DataDir, "snapshot-scratch"), Open: s.openPlace,
		Version: Version, Now: s.cfg.Now, Log: s.cfg.Log,
	})
}

// openPlace opens where a plan's snapshots lie.
func (s *Server) openPlace(_ context.Context, p *keeper.Plan) (place.Place, error) {
	if err := p.Check(); err != nil { // one that a newer version has stored
		return nil, errs.Newf(errs.Unsupported, "the plan %q cannot be kept by this version: %w", p.Name, err)
	}
	return place.OpenDirectory(filepath.Join(s.cfg.SnapshotDir, filepath.FromSlash(p.Path)))
}

// decrypted is the sealed view of a store whose names and values the running vault's keys
// open, and which stays open.
func decrypted(raw store.Store, keys *seal.Keyring) (store.Store, error) {
	return sealed.New(store.Borrow(raw), sealed.Config{Sealer: keys, PlainPrefixes: plainPrefixes})
}

// startKeeping has snapshots kept until the returned function is called, which waits.
func (s *Server) startKeeping(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.keepSnapshots(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// look is how often it is looked whether this node leads.
const look = 5 * time.Second

// keepSnapshots makes the snapshots that are due, while the vault is open, this node does
// the background work, and nobody holds the leases: a copy that was restored must not
// remove snapshots of the original.
func (s *Server) keepSnapshots(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	var next time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.keeper.Woken():
			next = time.Time{}
		case <-ticker.C:
		}
		next = s.tend(ctx, next)
	}
}

// tend makes the snapshots that are due, unless nothing is before next, and returns when
// something is.
func (s *Server) tend(ctx context.Context, next time.Time) time.Time {
	v := s.vault.Load()
	if v == nil || !s.gate.Open() {
		return time.Time{}
	}
	leases, open := s.gate.Leases()
	if leader, _ := v.Leader(); !leader.Self || !open || leases.Held || s.cfg.Now().Before(next) {
		return next
	}
	next, err := s.keeper.Tend(ctx, v.Store)
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.Error("keeping the snapshots", "error", err)
		return s.cfg.Now().Add(time.Minute)
	}
	return next
}

package lease

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Each calls each for the leases of a mount in a namespace, those being ended
// among them, by due time. It holds one page of them in memory. It reads what
// is there now: leases that are renewed meanwhile may come twice.
func (m *Manager) Each(ctx context.Context, r Reader, ns engine.Namespace, mountID string, each func(*Record)) error {
	return m.EachOf(ctx, r, mountID, func(rec *Record) {
		if rec.Namespace == namespaceID(ns) {
			each(rec)
		}
	})
}

// EachOf is Each for all namespaces.
func (m *Manager) EachOf(ctx context.Context, r Reader, mountID string, each func(*Record)) error {
	return m.shortsOf(ctx, r, mountID, func(shorts []string) error {
		for _, short := range shorts {
			rec, err := load(ctx, r, short)
			if err != nil {
				return err
			}
			if rec != nil {
				each(rec)
			}
		}
		return nil
	})
}

// Count returns how many leases a mount has, from the index alone.
func (m *Manager) Count(ctx context.Context, r Reader, mountID string) (n int, err error) {
	err = m.shortsOf(ctx, r, mountID, func(shorts []string) error {
		n += len(shorts)
		return nil
	})
	return n, err
}

// CountIrrevocable returns how many of them are irrevocable.
func (m *Manager) CountIrrevocable(ctx context.Context, r Reader, mountID string) (n int, err error) {
	err = m.stuck(ctx, r, mountID, func(string) error { n++; return nil })
	return n, err
}

package lease

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// HeldKey is there while nothing ends by itself; its value is the time since when.
const HeldKey = "lease/held"

// HeldFormat is how that time is written.
const HeldFormat = time.RFC3339

// Restore reads whether leases are held, at unseal; with hold set they are from
// now on, also after a restart without it.
func (m *Manager) Restore(ctx context.Context, hold bool) (bool, error) {
	stored, err := m.cfg.Store.Get(ctx, HeldKey)
	if err != nil {
		return false, errs.Newf(errs.KindOf(err), "reading whether leases are held: %w", err)
	}
	if hold && !stored.Exists() {
		if _, err := m.cfg.Store.Apply(ctx, store.Put(HeldKey, m.stamp())); err != nil {
			return false, errs.Newf(errs.KindOf(err), "holding the leases: %w", err)
		}
	}
	held := hold || stored.Exists()
	m.held.Store(held)
	return held, nil
}

func (m *Manager) stamp() []byte { return m.now().AppendFormat(nil, HeldFormat) }

// Hold notes in tx whether leases are held. SetHeld follows the commit.
func (m *Manager) Hold(ctx context.Context, tx Tx, held bool) error {
	stored, err := tx.Get(ctx, HeldKey)
	switch {
	case err != nil:
		return err
	case held && !stored.Exists():
		tx.Put(HeldKey, m.stamp())
	case !held && stored.Exists():
		tx.Delete(HeldKey)
	}
	return nil
}

// SetHeld stops all that ends or works by itself, or lets it go on.
func (m *Manager) SetHeld(held bool) {
	m.held.Store(held)
	if m.cfg.Hold != nil {
		m.cfg.Hold(held)
	}
}

// HeldSince returns since when nothing ends by itself; the zero time: it does.
func (m *Manager) HeldSince(ctx context.Context, r Reader) (time.Time, error) {
	stored, err := r.Get(ctx, HeldKey)
	if err != nil || !stored.Exists() {
		return time.Time{}, err
	}
	since, err := time.Parse(HeldFormat, string(stored.Value))
	if err != nil {
		return time.Time{}, errs.New(errs.Internal, "the note that leases are held is damaged")
	}
	return since, nil
}

package token

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
)

// RevokeMode says what becomes of the tokens below a revoked one.
type RevokeMode uint8

// The modes.
const (
	Tree       RevokeMode = iota // they are revoked with it
	OrphanKids                   // they live on as orphans
)

// Revoke ends the service token with this Key. Whatever the mode and however
// many tokens hang below, it is a handful of changes: with Tree all of them are
// invalid at once, because validity asks for the whole chain above; what they
// occupy is swept up in the background. To revoke what is not there is no error.
func (m *Manager) Revoke(ctx context.Context, tx Tx, key string, mode RevokeMode) error {
	e, err := load(ctx, tx, idPrefix+key)
	if err != nil || e == nil || e.severed {
		return err
	}
	return m.remove(ctx, tx, e, mode)
}

// BulkTx is a transaction that says how much it changes; *store.Txn is one.
type BulkTx interface {
	Tx
	Writes() int
}

// RevokeNamespace ends some of the service tokens of a namespace that is no more,
// whose batch tokens end with it, and reports whether there are others: as many
// as fit one commit with what others keep for them.
func (m *Manager) RevokeNamespace(ctx context.Context, tx BulkTx, namespace string) (more bool, err error) {
	folder := accessorFolder(namespace)
	names, err := tx.List(ctx, folder, "", sweepBatch)
	if err != nil {
		return false, err
	}
	for i, name := range names {
		if i > 0 && tx.Writes() > sweepWrites {
			return true, nil
		}
		stored, err := tx.Get(ctx, folder+name)
		if err != nil {
			return false, err
		}
		tx.Delete(folder + name)
		_, key, err := decodeAccessor(stored.Value)
		if err != nil {
			continue // a damaged record leads nowhere
		}
		if err := m.Revoke(ctx, tx, key, Tree); err != nil {
			return false, err
		}
	}
	return len(names) > 0, nil
}

// remove takes e and everything that leads to it out of the store.
func (m *Manager) remove(ctx context.Context, tx Tx, e *Entry, mode RevokeMode) error {
	tx.Delete(idPrefix + e.Key)
	tx.Delete(m.accessorKey(e.Accessor))
	if e.Parent != "" {
		tx.Delete(childPrefix + e.Parent + "/" + e.Key)
	}
	if !e.Expires.IsZero() {
		expiry.Remove(tx, e.due())
	}
	if e.hasChildren {
		if mode == OrphanKids {
			// Until the sweep has cut its children loose, a stone with the
			// accessor stays, so that they know they are orphans.
			stone := &Entry{Key: e.Key, Accessor: e.Accessor, Type: e.Type, Orphan: true, severed: true}
			tx.Put(idPrefix+e.Key, encodeEntry(stone))
		}
		expiry.Add(tx, expiry.Ref{Kind: kindSweep, ID: e.Key, Due: m.soon()})
	}
	more, err := m.gone(ctx, tx, e.Key)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "dropping what belongs to a revoked token: %w", err)
	}
	if more {
		expiry.Add(tx, expiry.Ref{Kind: kindGone, ID: e.Key, Due: m.soon()})
	}
	return nil
}

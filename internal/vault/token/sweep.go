package token

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Kinds of what is due; the id of each is the Key of a token, of kindTidy the
// name of an index.
const (
	kindExpire = "token"       // the token ends
	kindSweep  = "token-sweep" // it has ended; its children are to be ended or cut loose
	kindGone   = "token-gone"  // it has ended; others have more to drop
	kindTidy   = "token-tidy"
)

// One commit of the background touches at most sweepBatch tokens, and no further
// one after sweepWrites changes: what others keep for a token goes with it and
// must fit as well.
const (
	sweepBatch  = 32
	sweepWrites = store.MaxChanges / 4
)

// soon is now as a due time: rounding up must not make it a second later.
func (m *Manager) soon() time.Time { return m.now().Truncate(time.Second) }

// Kinds returns the background work of tokens, for expiry.Start.
func (m *Manager) Kinds() []expiry.Kind {
	return []expiry.Kind{
		{Name: kindExpire, Handle: m.expire, Batch: sweepBatch, Parallel: 2},
		{Name: kindSweep, Handle: m.sweep},
		{Name: kindGone, Handle: m.goneOn},
		{Name: kindTidy, Handle: m.tidy},
	}
}

// expire ends a token whose time is over. One that was renewed has another ref.
func (m *Manager) expire(ctx context.Context, tx *store.Txn, ref expiry.Ref) (time.Time, error) {
	e, err := load(ctx, tx, idPrefix+ref.ID)
	if err != nil || e == nil || e.severed || !e.expired(m.now()) {
		return time.Time{}, err
	}
	return time.Time{}, m.remove(ctx, tx, e, Tree)
}

// sweep deals with some children of a token that is gone, and asks to be called
// again while there are more.
func (m *Manager) sweep(ctx context.Context, tx *store.Txn, ref expiry.Ref) (time.Time, error) {
	above, err := load(ctx, tx, idPrefix+ref.ID)
	if err != nil || above != nil && !above.severed {
		return time.Time{}, err
	}
	folder := childPrefix + ref.ID + "/"
	names, err := tx.List(ctx, folder, "", sweepBatch)
	if err != nil {
		return time.Time{}, err
	}
	for i, key := range names {
		if i > 0 && tx.Writes() > sweepWrites {
			return ref.Due, nil
		}
		tx.Delete(folder + key)
		if err := m.settle(ctx, tx, ref.ID, key, above != nil); err != nil {
			return time.Time{}, err
		}
	}
	if len(names) == sweepBatch {
		return ref.Due, nil
	}
	if above != nil {
		tx.Delete(idPrefix + ref.ID)
	}
	return time.Time{}, nil
}

// settle ends the token with the given key, or makes it an orphan, if it is a
// child of parent.
func (m *Manager) settle(ctx context.Context, tx *store.Txn, parent, key string, orphan bool) error {
	child, err := load(ctx, tx, idPrefix+key)
	if err != nil || child == nil || child.Parent != parent {
		return err
	}
	if !orphan {
		return m.remove(ctx, tx, child, Tree)
	}
	free := *child
	free.Parent, free.parentAccessor, free.Orphan = "", "", true
	tx.Put(idPrefix+key, encodeEntry(&free))
	return nil
}

// goneOn lets others go on dropping what they keep. If a token with the same
// chosen id was made meanwhile it loses what it stored: better than to show it
// what its predecessor stored.
func (m *Manager) goneOn(ctx context.Context, tx *store.Txn, ref expiry.Ref) (time.Time, error) {
	more, err := m.gone(ctx, tx, ref.ID)
	if err != nil || !more {
		return time.Time{}, err
	}
	return ref.Due, nil
}

// The indexes that Tidy walks.
const (
	tidyAccessors = "accessors"
	tidyChildren  = "children"
)

// Tidy orders a walk over the accessors of a namespace ("" = the root) and the
// index of children, in the background and a little at a time, that removes accessors without a token and ends children without a
// parent. Every change being one transaction there are none, unless storage was
// tampered with or restored in part.
func (m *Manager) Tidy(tx Tx, namespace string) {
	accessors := tidyAccessors
	if namespace != "" {
		accessors += "." + namespace
	}
	for _, index := range []string{accessors, tidyChildren} {
		expiry.Add(tx, expiry.Ref{Kind: kindTidy, ID: index, Due: m.soon()})
	}
}

func (m *Manager) tidy(ctx context.Context, tx *store.Txn, ref expiry.Ref) (time.Time, error) {
	_, namespace, _ := strings.Cut(ref.ID, ".")
	folder, check := accessorFolder(namespace), m.tidyAccessor
	if ref.ID == tidyChildren {
		folder, check = childPrefix, m.tidyChild
	}
	cursorKey := tidyKey + "/" + ref.ID
	cursor, err := tx.Get(ctx, cursorKey)
	if err != nil {
		return time.Time{}, err
	}
	names, err := tx.List(ctx, folder, string(cursor.Value), 4*sweepBatch)
	if err != nil {
		return time.Time{}, err
	}
	for _, name := range names {
		if err := check(ctx, tx, folder, name); err != nil {
			return time.Time{}, err
		}
	}
	if len(names) < 4*sweepBatch {
		tx.Delete(cursorKey)
		return time.Time{}, nil
	}
	tx.Put(cursorKey, []byte(names[len(names)-1]))
	return ref.Due, nil
}

func (m *Manager) tidyAccessor(ctx context.Context, tx *store.Txn, folder, name string) error {
	stored, err := tx.Get(ctx, folder+name)
	if err != nil || !stored.Exists() {
		return err
	}
	_, key, err := decodeAccessor(stored.Value)
	if err != nil {
		return err
	}
	e, err := load(ctx, tx, idPrefix+key)
	if err == nil && e == nil {
		tx.Delete(folder + name)
	}
	return err
}

func (m *Manager) tidyChild(ctx context.Context, tx *store.Txn, _, name string) error {
	parent := strings.TrimSuffix(name, "/")
	e, err := load(ctx, tx, idPrefix+parent)
	if err == nil && (e == nil || e.severed) {
		expiry.Add(tx, expiry.Ref{Kind: kindSweep, ID: parent, Due: m.soon()})
	}
	return err
}

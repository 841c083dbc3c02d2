package identity

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// kindCollect is due when an entity may be collected; its id is the
// namespace's, a dot and the entity's. A login does not move it: when it comes
// up it is looked at when the entity was last of use.
const kindCollect = "entity"

// lookAgain is the longest time after which a retention that was shortened is
// noticed; a tenth of a long one.
const lookAgain = 24 * time.Hour

// Kinds returns the background work, for expiry.Start.
func (m *Manager) Kinds() []expiry.Kind {
	return []expiry.Kind{{Name: kindCollect, Handle: m.collect, Batch: 16}}
}

func (x Edit) schedule(ctx context.Context, e *Entity) error {
	c, err := x.Config(ctx)
	if err == nil {
		expiry.Add(x.tx, expiry.Ref{Kind: kindCollect, ID: x.Namespace() + "." + e.ID, Due: due(c, e, x.m.now())})
	}
	return err
}

// due is when to look at e next.
func due(c Config, e *Entity, now time.Time) time.Time {
	retention := time.Duration(c.Retention) * time.Second
	if retention == 0 {
		return now.Add(7 * lookAgain).Truncate(time.Second)
	}
	at := begin(e.Until).Add(retention)
	if soon := now.Add(max(lookAgain, retention/10)).Truncate(time.Second); at.After(soon) {
		return soon
	}
	return at
}

// collect deletes an entity that nobody used for long and nobody added to.
func (m *Manager) collect(ctx context.Context, tx *store.Txn, ref expiry.Ref) (time.Time, error) {
	ns, id, _ := strings.Cut(ref.ID, ".")
	x := m.Edit(tx, ns)
	e, err := x.Entity(ctx, id)
	if err != nil || e == nil || !e.Collectable() || !e.Ephemeral() {
		return time.Time{}, err
	}
	c, err := x.Config(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now := m.now()
	if c.Retention == 0 || now.Before(begin(e.Until).Add(time.Duration(c.Retention)*time.Second)) {
		return due(c, e, now), nil
	}
	return time.Time{}, x.DeleteEntity(ctx, e)
}

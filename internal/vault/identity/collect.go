package identity

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// kindCollect is due when an entity may be collected; its id is the
// namespace's, a dot and the entity's. A login does not move it: when it comes
// up it is looked at when the entity was last of use.
const kindCollect = "entity"

// lookAgain is the longest time after which a retention that was shortened is
// noticed; a tenth of a long one.
const lookAgain = 24 * time.Hour

// Kinds returns the background work, for lease.Start.
func (m *Manager) Kinds() []lease.Kind {
	return []lease.Kind{{Name: kindCollect, Handle: m.collect, Batch: 16}}
}

func (x Edit) schedule(ctx context.Context, e *Entity) error {
	c, err := x.Config(ctx)
	if err == nil {
		lease.Add(x.tx, lease.Ref{Kind: kindCollect, ID: x.ns + "." + e.ID, Due: due(c, e, x.m.now())})
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
func (m *Manager) collect(ctx context.Context, tx *store.Txn, ref lease.Ref) (time.Time, error) {
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

// sweepBatch is how many entities one commit of a sweep changes.
const sweepBatch = 24

// Updater runs change in a transaction over the whole store and commits it;
// engine.Config.Update of a system mount is one.
type Updater func(ctx context.Context, change func(ctx context.Context, tx Tx) error) error

// Sweep removes what is left of auth mounts that are gone, for which mounted
// says false, and of groups that were deleted, in commits of bounded size. It
// may be stopped and run again at any time.
func (m *Manager) Sweep(ctx context.Context, r Reader, update Updater, mounted func(accessor string) bool) error {
	spaces, err := r.List(ctx, Prefix, "", 0)
	if err != nil {
		return err
	}
	for _, space := range spaces {
		ns, isFolder := strings.CutSuffix(space, "/")
		if !isFolder {
			continue
		}
		v := In(r, ns)
		for _, one := range []mountIndex{{"alias/", Edit.dropMountAlias}, {"origin/", Edit.dropOrigin}, {"group-alias/", Edit.dropMountGroupAlias}} {
			if err := m.sweepMounts(ctx, v, update, mounted, one); err != nil {
				return err
			}
		}
		if err := m.sweepGroups(ctx, v, update); err != nil {
			return err
		}
	}
	return nil
}

// mountIndex is a folder with a folder for each mount, and how to remove one of its names.
type mountIndex struct {
	folder string
	drop   func(x Edit, ctx context.Context, accessor, name string) error
}

func (m *Manager) sweepMounts(ctx context.Context, v View, update Updater, mounted func(string) bool, index mountIndex) error {
	accessors, err := v.r.List(ctx, v.root+index.folder, "", 0)
	if err != nil {
		return err
	}
	for _, folder := range accessors {
		accessor := strings.TrimSuffix(folder, "/")
		if mounted(accessor) {
			continue
		}
		err := m.pages(ctx, v.r, v.root+index.folder+folder, update, func(ctx context.Context, tx Tx, name string) error {
			return index.drop(m.Edit(tx, v.ns), ctx, accessor, name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pages calls drop, which must remove it, for every name in folder.
func (m *Manager) pages(ctx context.Context, r Reader, folder string, update Updater, drop func(ctx context.Context, tx Tx, name string) error) error {
	for {
		names, err := r.List(ctx, folder, "", sweepBatch)
		if err != nil || len(names) == 0 {
			return err
		}
		err = update(ctx, func(ctx context.Context, tx Tx) error {
			for _, name := range names {
				if err := drop(ctx, tx, name); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}

func (x Edit) dropMountAlias(ctx context.Context, accessor, hash string) error {
	key := x.root + "alias/" + accessor + "/" + hash
	ref, err := x.refer(ctx, key)
	if err != nil {
		return err
	}
	x.tx.Delete(key)
	e, err := x.Entity(ctx, ref.Owner)
	if err != nil || e == nil {
		return err
	}
	_, err = x.RemoveAlias(ctx, e, ref.Alias, true)
	return err
}

func (x Edit) dropOrigin(_ context.Context, accessor, hash string) error {
	x.tx.Delete(x.root + "origin/" + accessor + "/" + hash)
	return nil
}

func (x Edit) dropMountGroupAlias(ctx context.Context, accessor, hash string) error {
	key := x.root + "group-alias/" + accessor + "/" + hash
	ref, err := x.refer(ctx, key)
	if err != nil {
		return err
	}
	x.tx.Delete(key)
	g, err := x.Group(ctx, ref.Owner)
	if err != nil || g == nil || g.Alias == nil || g.Alias.Accessor != accessor {
		return err
	}
	_, err = x.SetGroupAlias(ctx, g, nil)
	return err
}

func (m *Manager) sweepGroups(ctx context.Context, v View, update Updater) error {
	groups, err := v.r.List(ctx, v.root+"sweep/", "", 0)
	if err != nil {
		return err
	}
	for _, group := range groups {
		err := m.pages(ctx, v.r, v.memberFolder(group), update, func(ctx context.Context, tx Tx, id string) error {
			return m.Edit(tx, v.ns).leave(ctx, group, id)
		})
		if err != nil {
			return err
		}
		err = update(ctx, func(_ context.Context, tx Tx) error {
			tx.Delete(v.sweepKey(group))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

package identity

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/identity/rows"
)

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
		s := sweep{rows.Of(ns), m, r, update}
		for _, one := range []mountIndex{{"alias/", Edit.dropMountAlias}, {"origin/", Edit.dropOrigin}, {"group-alias/", Edit.dropMountGroupAlias}} {
			if err := s.mounts(ctx, one, mounted); err != nil {
				return err
			}
		}
		if err := s.groups(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sweep is the sweeping of one namespace.
type sweep struct {
	rows.Keys
	m      *Manager
	r      Reader
	update Updater
}

// mountIndex is a folder with a folder for each mount, and how to remove one of its names.
type mountIndex struct {
	folder string
	drop   func(x Edit, ctx context.Context, accessor, name string) error
}

func (s sweep) mounts(ctx context.Context, index mountIndex, mounted func(accessor string) bool) error {
	accessors, err := s.r.List(ctx, s.Folder()+index.folder, "", 0)
	if err != nil {
		return err
	}
	for _, folder := range accessors {
		accessor := strings.TrimSuffix(folder, "/")
		if mounted(accessor) {
			continue
		}
		err := s.pages(ctx, s.Folder()+index.folder+folder, func(ctx context.Context, x Edit, name string) error {
			return index.drop(x, ctx, accessor, name)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pages calls drop, which must remove it, for every name in folder.
func (s sweep) pages(ctx context.Context, folder string, drop func(ctx context.Context, x Edit, name string) error) error {
	for {
		names, err := s.r.List(ctx, folder, "", sweepBatch)
		if err != nil || len(names) == 0 {
			return err
		}
		err = s.update(ctx, func(ctx context.Context, tx Tx) error {
			for _, name := range names {
				if err := drop(ctx, s.m.Edit(tx, s.Namespace()), name); err != nil {
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

func (s sweep) groups(ctx context.Context) error {
	groups, err := s.r.List(ctx, s.Folder()+"sweep/", "", 0)
	if err != nil {
		return err
	}
	for _, group := range groups {
		err := s.pages(ctx, s.MemberFolder(group), func(ctx context.Context, x Edit, id string) error {
			return x.leave(ctx, group, id)
		})
		if err != nil {
			return err
		}
		err = s.update(ctx, func(_ context.Context, tx Tx) error {
			tx.Delete(s.SweepKey(group))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (x Edit) dropMountAlias(ctx context.Context, accessor, hash string) error {
	key := x.Folder() + "alias/" + accessor + "/" + hash
	ref, err := x.Refer(ctx, key)
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
	x.tx.Delete(x.Folder() + "origin/" + accessor + "/" + hash)
	return nil
}

func (x Edit) dropMountGroupAlias(ctx context.Context, accessor, hash string) error {
	key := x.Folder() + "group-alias/" + accessor + "/" + hash
	ref, err := x.Refer(ctx, key)
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

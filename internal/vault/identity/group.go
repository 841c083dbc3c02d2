package identity

import (
	"context"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
)

// Bounds of one change of a group. They keep it within one transaction.
const (
	maxMemberChanges = 150 // entities that come or go
	maxLinks         = 60  // member groups of a group, and groups it is a direct member of
	maxEntityGroups  = 200 // groups that an entity is a direct member of
)

// NewGroup returns a group that is not stored yet, with an ID and a name.
func (x Edit) NewGroup() (*Group, error) {
	id, err := x.m.NewID()
	if err != nil {
		return nil, err
	}
	name, err := x.m.newName("group")
	now := x.m.now().UTC()
	return &Group{ID: id, Name: name, Type: Internal, Created: now, Updated: now}, err
}

// PutGroup stores g in place of old, which is nil for a new one. Parents and
// Alias must be as old has them; Groups is what it should be. Kinds: Invalid, TooLarge.
func (x Edit) PutGroup(ctx context.Context, old, g *Group) error {
	slices.Sort(g.Groups)
	g.Groups = slices.Compact(g.Groups)
	if err := g.Check(); err != nil {
		return err
	}
	if old == nil || record.Fold(old.Name) != record.Fold(g.Name) {
		taken, err := x.Refer(ctx, x.GroupNameKey(g.Name))
		if err != nil {
			return err
		}
		if taken.Owner != "" {
			return errs.New(errs.Invalid, "group name is already in use")
		}
		if old != nil {
			x.tx.Delete(x.GroupNameKey(old.Name))
		}
	}
	if old == nil || old.Name != g.Name {
		if err := x.point(x.GroupNameKey(g.Name), reference{Owner: g.ID, Name: g.Name}); err != nil {
			return err
		}
	}
	if err := x.link(ctx, old, g); err != nil {
		return err
	}
	g.Changes++
	return x.saveGroup(g)
}

func (x Edit) saveGroup(g *Group) error { return x.put(x.GroupKey(g.ID), "a group", g) }

// link tells groups that g came to contain, or no longer contains, and refuses circles.
func (x Edit) link(ctx context.Context, old, g *Group) error {
	var before []string
	if old != nil {
		before = old.Groups
	}
	if slices.Equal(before, g.Groups) {
		return nil
	}
	if len(g.Groups) > maxLinks {
		return errs.Newf(errs.Invalid, "%d member groups are over the limit of %d", len(g.Groups), maxLinks)
	}
	if err := x.takeIn(ctx, before, g); err != nil {
		return err
	}
	for _, id := range before {
		if slices.Contains(g.Groups, id) {
			continue
		}
		if err := x.changeParents(ctx, id, g.ID, false); err != nil {
			return err
		}
	}
	return nil
}

// takeIn tells the groups that g came to contain.
func (x Edit) takeIn(ctx context.Context, before []string, g *Group) error {
	above, err := x.Ancestors(ctx, []string{g.ID})
	if err != nil {
		return err
	}
	for _, id := range g.Groups {
		if slices.Contains(before, id) {
			continue
		}
		if id == g.ID || slices.ContainsFunc(above, func(a *Group) bool { return a.ID == id }) {
			return errs.Newf(errs.Invalid, "cyclic relationship detected for member group ID %q: it contains this group", id)
		}
		if err := x.changeParents(ctx, id, g.ID, true); err != nil {
			return err
		}
	}
	return nil
}

// changeParents notes in a member group that parent contains it, or no longer does.
func (x Edit) changeParents(ctx context.Context, id, parent string, add bool) error {
	member, err := x.Group(ctx, id)
	if err != nil {
		return err
	}
	if member == nil {
		if add {
			return errs.Newf(errs.Invalid, "invalid member group ID %.80q", id)
		}
		return nil
	}
	next := member.Clone()
	next.Parents = slices.DeleteFunc(slices.Clone(next.Parents), func(p string) bool { return p == parent })
	if add {
		if len(next.Parents) >= maxLinks {
			return errs.Newf(errs.Invalid, "group %s is a member of %d groups already, which is the limit", id, maxLinks)
		}
		next.Parents = append(next.Parents, parent)
		slices.Sort(next.Parents)
	}
	return x.saveGroup(next)
}

// SetMembers makes want the entities in an internal group that PutGroup stored
// in this transaction. Kind Invalid: an entity does not exist, or more come and
// go than one transaction takes.
func (x Edit) SetMembers(ctx context.Context, g *Group, want []string) error {
	have, err := x.Members(ctx, g.ID, "", 0)
	if err != nil {
		return err
	}
	old := make(map[string]bool, len(have))
	for _, id := range have {
		old[id] = true
	}
	changes := 0
	for _, id := range want {
		if old[id] {
			delete(old, id)
			continue
		}
		if changes++; changes > maxMemberChanges {
			break
		}
		if err := x.join(ctx, g.ID, id); err != nil {
			return err
		}
	}
	if changes += len(old); changes > maxMemberChanges {
		return errs.Newf(errs.Invalid, "more than %d entities would enter or leave the group at once: change member_entity_ids in several requests, or use an external group", maxMemberChanges)
	}
	for id := range old {
		if err := x.leave(ctx, g.ID, id); err != nil {
			return err
		}
	}
	return nil
}

func (x Edit) join(ctx context.Context, group, id string) error {
	e, err := x.Entity(ctx, id)
	if err != nil {
		return err
	}
	if e == nil {
		return errs.Newf(errs.Invalid, "invalid entity ID %.80q", id)
	}
	if slices.Contains(e.Groups, group) {
		return nil // named twice
	}
	if len(e.Groups) >= maxEntityGroups {
		return errs.Newf(errs.Invalid, "entity %s is in %d groups already, which is the limit", id, maxEntityGroups)
	}
	next := e.Clone()
	next.Groups = append(slices.Clone(e.Groups), group)
	slices.Sort(next.Groups)
	next.Automatic = false
	x.tx.Put(x.MemberFolder(group)+id, []byte{record.Format})
	return x.saveEntity(next)
}

// leave takes an entity out of a group, however it came in.
func (x Edit) leave(ctx context.Context, group, id string) error {
	x.tx.Delete(x.MemberFolder(group) + id)
	e, err := x.Entity(ctx, id)
	if err != nil || e == nil || !slices.Contains(e.DirectGroups(), group) {
		return err
	}
	same := func(g string) bool { return g == group }
	next := e.Clone()
	next.Groups = slices.DeleteFunc(slices.Clone(e.Groups), same)
	for i := range next.External {
		next.External[i].Groups = slices.DeleteFunc(slices.Clone(next.External[i].Groups), same)
	}
	next.External = slices.DeleteFunc(next.External, func(o External) bool { return len(o.Groups) == 0 })
	return x.saveEntity(next)
}

// DeleteGroup removes a group and all that leads to it. It stands for nothing
// from then on; that its members say they are in it is mended by Sweep.
func (x Edit) DeleteGroup(ctx context.Context, g *Group) error {
	for _, id := range g.Groups {
		if err := x.changeParents(ctx, id, g.ID, false); err != nil {
			return err
		}
	}
	for _, id := range g.Parents {
		parent, err := x.Group(ctx, id)
		if err != nil {
			return err
		}
		if parent == nil {
			continue
		}
		next := parent.Clone()
		next.Groups = slices.DeleteFunc(slices.Clone(parent.Groups), func(m string) bool { return m == g.ID })
		if err := x.saveGroup(next); err != nil {
			return err
		}
	}
	x.dropGroupAlias(g)
	x.tx.Delete(x.GroupNameKey(g.Name))
	x.tx.Delete(x.GroupKey(g.ID))
	x.tx.Put(x.SweepKey(g.ID), []byte{record.Format})
	return nil
}

// SetGroupAlias makes a the alias of an external group, in place of the one it
// has, and stores the group. nil takes it away; then nobody new comes in. An
// empty ID is made. Kinds: Invalid, Exist.
func (x Edit) SetGroupAlias(ctx context.Context, g *Group, a *Alias) (*Group, error) {
	next := g.Clone()
	next.Updated = x.m.now().UTC()
	next.Changes++
	if a == nil {
		x.dropGroupAlias(g)
		next.Alias = nil
		return next, x.saveGroup(next)
	}
	if g.Type != Outside {
		return nil, errs.New(errs.Invalid, "alias can't be set on an internal group")
	}
	if err := record.CheckName("alias name", a.Name, record.MaxAliasName); err != nil {
		return nil, err
	}
	taken, err := x.Refer(ctx, x.GroupAliasKey(a.Accessor, a.Name))
	if err != nil {
		return nil, err
	}
	if taken.Owner != "" && taken.Owner != g.ID {
		return nil, errs.Newf(errs.Exist, "group alias with combination of mount accessor and name already exists: it is alias %s of group %s", taken.Alias, taken.Owner)
	}
	x.dropGroupAlias(g)
	now := *a
	if now.ID == "" {
		if now.ID, err = x.m.NewID(); err != nil {
			return nil, err
		}
	}
	if now.Created.IsZero() {
		now.Created = next.Updated
	}
	now.Updated = next.Updated
	next.Alias = &now
	ref := reference{Owner: g.ID, Alias: now.ID}
	if err := x.point(x.GroupAliasKey(now.Accessor, now.Name), ref); err != nil {
		return nil, err
	}
	if err := x.point(x.GroupAliasIDKey(now.ID), ref); err != nil {
		return nil, err
	}
	return next, x.saveGroup(next)
}

func (x Edit) dropGroupAlias(g *Group) {
	if g.Alias != nil {
		x.tx.Delete(x.GroupAliasKey(g.Alias.Accessor, g.Alias.Name))
		x.tx.Delete(x.GroupAliasIDKey(g.Alias.ID))
	}
}

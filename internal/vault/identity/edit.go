package identity

import (
	"context"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
)

// NewEntity returns an entity that is not stored yet, with an ID and a name.
func (x Edit) NewEntity() (*Entity, error) {
	id, err := x.m.NewID()
	if err != nil {
		return nil, err
	}
	name, err := x.m.newName("entity")
	now := x.m.now().UTC()
	return &Entity{ID: id, Name: name, Created: now, Updated: now}, err
}

// PutEntity stores e in place of old, which is nil for a new one. Its aliases
// and groups must be as old has them: they have methods of their own. Kinds:
// Invalid, TooLarge.
func (x Edit) PutEntity(ctx context.Context, old, e *Entity) error {
	if err := e.Check(); err != nil {
		return err
	}
	if old == nil || record.Fold(old.Name) != record.Fold(e.Name) {
		taken, err := x.Refer(ctx, x.EntityNameKey(e.Name))
		if err != nil {
			return err
		}
		if taken.Owner != "" {
			return errs.Newf(errs.Invalid, "entity name %q is already in use", e.Name)
		}
		if old != nil {
			x.tx.Delete(x.EntityNameKey(old.Name))
		}
	}
	if old == nil || old.Name != e.Name {
		if err := x.point(x.EntityNameKey(e.Name), reference{Owner: e.ID, Name: e.Name}); err != nil {
			return err
		}
	}
	return x.saveEntity(e)
}

func (x Edit) saveEntity(e *Entity) error { return x.put(x.EntityKey(e.ID), "an entity", e) }

// DeleteEntity removes an entity and all that leads to it. Its tokens are
// refused from then on.
func (x Edit) DeleteEntity(ctx context.Context, e *Entity) error {
	for i := range e.Aliases {
		if err := x.dropAlias(ctx, e, &e.Aliases[i]); err != nil {
			return err
		}
	}
	for _, group := range e.DirectGroups() {
		x.tx.Delete(x.MemberFolder(group) + e.ID)
	}
	for _, id := range e.Merged {
		x.tx.Delete(x.MergedKey(id))
	}
	x.tx.Delete(x.EntityNameKey(e.Name))
	x.tx.Delete(x.EntityKey(e.ID))
	return nil
}

// dropAlias removes what leads to an alias.
func (x Edit) dropAlias(ctx context.Context, e *Entity, a *Alias) error {
	x.tx.Delete(x.AliasKey(a.Accessor, a.Name))
	x.tx.Delete(x.AliasIDKey(a.ID))
	if a.Origin == "" {
		return nil
	}
	ref, err := x.Refer(ctx, x.OriginKey(a.Accessor, a.Origin))
	if err == nil && ref.Owner == e.ID && ref.Alias == a.ID {
		x.tx.Delete(x.OriginKey(a.Accessor, a.Origin))
	}
	return err
}

// leadTo writes what leads to an alias of e.
func (x Edit) leadTo(e *Entity, a *Alias) error {
	ref := reference{Owner: e.ID, Alias: a.ID}
	if err := x.point(x.AliasKey(a.Accessor, a.Name), ref); err != nil {
		return err
	}
	if err := x.point(x.AliasIDKey(a.ID), ref); err != nil {
		return err
	}
	if a.Origin == "" {
		return nil
	}
	return x.point(x.OriginKey(a.Accessor, a.Origin), ref)
}

// AddAlias gives e, which is stored or about to be, one more alias, and stores
// it. An empty ID is made. Kinds: Invalid (the name, or e has an alias on that
// mount), Exist (the name is somebody's).
func (x Edit) AddAlias(ctx context.Context, e *Entity, a Alias) (*Entity, *Alias, error) {
	if err := x.checkAlias(ctx, e, &a); err != nil {
		return nil, nil, err
	}
	if a.ID == "" {
		id, err := x.m.NewID()
		if err != nil {
			return nil, nil, err
		}
		a.ID = id
	}
	now := x.m.now().UTC()
	if a.Created.IsZero() {
		a.Created = now
	}
	a.Updated = now
	next := e.Clone()
	next.Aliases = append(next.Aliases, a)
	if err := next.Check(); err != nil {
		return nil, nil, err
	}
	if err := x.leadTo(next, &a); err != nil {
		return nil, nil, err
	}
	return next, next.AliasByID(a.ID), x.saveEntity(next)
}

func (x Edit) checkAlias(ctx context.Context, e *Entity, a *Alias) error {
	if err := record.CheckName("alias name", a.Name, record.MaxAliasName); err != nil {
		return err
	}
	if e.Alias(a.Accessor) != nil {
		return errs.Newf(errs.Invalid, "entity %s already has an alias on the mount with accessor %s: an entity has one alias on each", e.ID, a.Accessor)
	}
	taken, err := x.Refer(ctx, x.AliasKey(a.Accessor, a.Name))
	if err == nil && taken.Owner != "" {
		err = errs.Newf(errs.Exist, "alias with combination of mount accessor and name already exists: it is alias %s of entity %s", taken.Alias, taken.Owner)
	}
	return err
}

// RemoveAlias takes an alias off e and stores it. An automatic entity that has
// none left, and nothing anybody gave it, is deleted at once if it is of no use
// to anybody any more (gone), and nil returned; otherwise when its last token
// has ended and the retention is over.
func (x Edit) RemoveAlias(ctx context.Context, e *Entity, aliasID string, gone bool) (*Entity, error) {
	a := e.AliasByID(aliasID)
	if a == nil {
		return e, nil
	}
	if len(e.Aliases) == 1 && e.Collectable() {
		if gone {
			return nil, x.DeleteEntity(ctx, e)
		}
		if err := x.schedule(ctx, e); err != nil {
			return nil, err
		}
	}
	if err := x.dropAlias(ctx, e, a); err != nil {
		return nil, err
	}
	next := x.without(e, a)
	next.Updated = x.m.now().UTC()
	return next, x.saveEntity(next)
}

// without is e without an alias and the external groups that came by it.
func (x Edit) without(e *Entity, a *Alias) *Entity {
	next := e.Clone()
	next.Aliases = slices.DeleteFunc(next.Aliases, func(o Alias) bool { return o.ID == a.ID })
	next.External = slices.DeleteFunc(next.External, func(o External) bool { return o.Accessor == a.Accessor })
	kept := next.DirectGroups()
	for _, group := range e.DirectGroups() {
		if !slices.Contains(kept, group) {
			x.tx.Delete(x.MemberFolder(group) + e.ID)
		}
	}
	return next
}

// MoveAlias takes an alias from one entity to another and stores both. Kinds
// as of AddAlias.
func (x Edit) MoveAlias(ctx context.Context, from, to *Entity, aliasID string) (*Entity, error) {
	a := *from.AliasByID(aliasID)
	if to.Alias(a.Accessor) != nil {
		return nil, errs.Newf(errs.Invalid, "entity %s already has an alias on the mount with accessor %s: an entity has one alias on each", to.ID, a.Accessor)
	}
	if _, err := x.RemoveAlias(ctx, from, aliasID, false); err != nil {
		return nil, err
	}
	next := to.Clone()
	a.MergedFrom = append(slices.Clone(a.MergedFrom), from.ID)
	a.Updated = x.m.now().UTC()
	next.Aliases = append(next.Aliases, a)
	next.Automatic = false
	next.Updated = a.Updated
	if err := x.leadTo(next, &a); err != nil {
		return nil, err
	}
	return next, x.saveEntity(next)
}

// ChangeAlias renames an alias and sets its custom metadata, and stores e. Kinds
// as of AddAlias.
func (x Edit) ChangeAlias(ctx context.Context, e *Entity, aliasID, name string, custom map[string]string) (*Entity, error) {
	next := e.Clone()
	a := next.AliasByID(aliasID)
	if record.Fold(name) != record.Fold(a.Name) {
		renamed := *a
		renamed.Name = name
		others := e.Clone()
		others.Aliases = slices.DeleteFunc(others.Aliases, func(o Alias) bool { return o.ID == aliasID })
		if err := x.checkAlias(ctx, others, &renamed); err != nil {
			return nil, err
		}
		if err := x.dropAlias(ctx, e, a); err != nil {
			return nil, err
		}
		// Who bears another name is another one: what the method said goes.
		a.Name, a.Origin, a.Ephemeral, a.Metadata = name, "", false, nil
		if err := x.leadTo(next, a); err != nil {
			return nil, err
		}
	}
	a.Name, a.Custom, a.Updated = name, custom, x.m.now().UTC()
	next.Automatic = false
	next.Updated = a.Updated
	if err := next.Check(); err != nil {
		return nil, err
	}
	return next, x.saveEntity(next)
}

// PutConfig sets the namespace's configuration. Kind Invalid: a negative time.
func (x Edit) PutConfig(c Config) error {
	if c.Retention < 0 || c.Retention > int64((100*365*24*time.Hour).Seconds()) {
		return errs.New(errs.Invalid, "ephemeral_retention must be 0, which is for ever, or up to 100 years")
	}
	return x.put(x.ConfigKey(), "a configuration", c)
}

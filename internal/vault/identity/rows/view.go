package rows

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Reader is what looking up needs. *store.Txn, engine.Tx and store.Store have it.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// View reads the identities of one namespace. Records that are not there are nil.
type View struct {
	Keys
	r Reader
}

// In returns the view of a namespace; "" is the root.
func In(r Reader, ns string) View { return View{Of(ns), r} }

// Entity returns the entity with an ID. It does not follow merges.
func (v View) Entity(ctx context.Context, id string) (*record.Entity, error) {
	return get(ctx, v, id, v.EntityKey, record.DecodeEntity)
}

// Group returns the group with an ID.
func (v View) Group(ctx context.Context, id string) (*record.Group, error) {
	return get(ctx, v, id, v.GroupKey, record.DecodeGroup)
}

func get[T any](ctx context.Context, v View, id string, key func(string) string, decode func([]byte) (*T, error)) (*T, error) {
	if !Segment(id) {
		return nil, nil
	}
	stored, err := v.r.Get(ctx, key(id))
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return store.Decode(stored, decode)
}

// Refer returns what the reference at key says, the zero Reference if there is none.
func (v View) Refer(ctx context.Context, key string) (record.Reference, error) {
	stored, err := v.r.Get(ctx, key)
	if err != nil || !stored.Exists() {
		return record.Reference{}, err
	}
	return store.Decode(stored, record.DecodeReference)
}

// EntityNamed returns the entity with a name, in whatever capitals.
func (v View) EntityNamed(ctx context.Context, name string) (*record.Entity, error) {
	if name == "" || len(name) > record.MaxName {
		return nil, nil
	}
	return v.entityAt(ctx, v.EntityNameKey(name))
}

// EntityOf returns the entity that a name in an auth mount is an alias of.
func (v View) EntityOf(ctx context.Context, accessor, name string) (*record.Entity, error) {
	if !Segment(accessor) {
		return nil, nil
	}
	return v.entityAt(ctx, v.AliasKey(accessor, name))
}

// EntityWithAlias returns the entity that has the alias with an ID.
func (v View) EntityWithAlias(ctx context.Context, aliasID string) (*record.Entity, error) {
	if !Segment(aliasID) {
		return nil, nil
	}
	return v.entityAt(ctx, v.AliasIDKey(aliasID))
}

func (v View) entityAt(ctx context.Context, key string) (*record.Entity, error) {
	ref, err := v.Refer(ctx, key)
	if err != nil || ref.Owner == "" {
		return nil, err
	}
	return v.Entity(ctx, ref.Owner)
}

// GroupNamed returns the group with a name, in whatever capitals.
func (v View) GroupNamed(ctx context.Context, name string) (*record.Group, error) {
	if name == "" || len(name) > record.MaxName {
		return nil, nil
	}
	return v.groupAt(ctx, v.GroupNameKey(name))
}

// GroupOf returns the external group that an auth mount knows under a name.
func (v View) GroupOf(ctx context.Context, accessor, name string) (*record.Group, error) {
	if !Segment(accessor) {
		return nil, nil
	}
	return v.groupAt(ctx, v.GroupAliasKey(accessor, name))
}

// GroupWithAlias returns the group that has the alias with an ID.
func (v View) GroupWithAlias(ctx context.Context, aliasID string) (*record.Group, error) {
	if !Segment(aliasID) {
		return nil, nil
	}
	return v.groupAt(ctx, v.GroupAliasIDKey(aliasID))
}

func (v View) groupAt(ctx context.Context, key string) (*record.Group, error) {
	ref, err := v.Refer(ctx, key)
	if err != nil || ref.Owner == "" {
		return nil, err
	}
	return v.Group(ctx, ref.Owner)
}

// MergedInto returns the ID of the entity that another one became, "" if it did not.
func (v View) MergedInto(ctx context.Context, id string) (string, error) {
	if !Segment(id) {
		return "", nil
	}
	ref, err := v.Refer(ctx, v.MergedKey(id))
	return ref.Owner, err
}

// Config returns the namespace's configuration.
func (v View) Config(ctx context.Context) (record.Config, error) {
	stored, err := v.r.Get(ctx, v.ConfigKey())
	if err != nil || !stored.Exists() {
		return record.Config{Retention: int64(record.DefaultRetention.Seconds())}, err
	}
	c, err := store.Decode(stored, func(b []byte) (*record.Config, error) { return record.Decode[record.Config]("a configuration", b) })
	if err != nil {
		return record.Config{}, err
	}
	return *c, nil
}

// Members returns the IDs of the entities in a group, in an order of no
// meaning, starting behind after, at most limit (0 = all).
func (v View) Members(ctx context.Context, group, after string, limit int) ([]string, error) {
	return v.r.List(ctx, v.MemberFolder(group), after, limit)
}

// Entities returns IDs as Members does.
func (v View) Entities(ctx context.Context, after string, limit int) ([]string, error) {
	return v.r.List(ctx, v.root+"entity/", after, limit)
}

// Groups returns IDs as Members does.
func (v View) Groups(ctx context.Context, after string, limit int) ([]string, error) {
	return v.r.List(ctx, v.root+"group/", after, limit)
}

// Aliases returns IDs of entities' aliases as Members does.
func (v View) Aliases(ctx context.Context, after string, limit int) ([]string, error) {
	return v.r.List(ctx, v.root+"alias-id/", after, limit)
}

// GroupAliases returns IDs of groups' aliases as Members does.
func (v View) GroupAliases(ctx context.Context, after string, limit int) ([]string, error) {
	return v.r.List(ctx, v.root+"group-alias-id/", after, limit)
}

// Ancestors returns the groups that contain one of ids, not those themselves,
// nearest first. Groups that do not exist any more are left out.
func (v View) Ancestors(ctx context.Context, ids []string) ([]*record.Group, error) {
	seen := map[string]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	var above []*record.Group
	for next := ids; len(next) > 0; {
		var parents []string
		for _, id := range next {
			g, err := v.Group(ctx, id)
			if err != nil {
				return nil, err
			}
			if g == nil {
				continue
			}
			for _, p := range g.Parents {
				if !seen[p] {
					seen[p] = true
					parents = append(parents, p)
				}
			}
		}
		next = parents
		for _, id := range parents {
			g, err := v.Group(ctx, id)
			if err != nil {
				return nil, err
			}
			if g != nil {
				above = append(above, g)
			}
		}
	}
	return above, nil
}

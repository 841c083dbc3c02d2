package identity

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Prefix is the folder of everything a Manager stores, except its due times.
// All of one namespace is below Prefix, its ID and a slash.
const Prefix = "identity/"

// Reader is what looking up needs. *store.Txn, engine.Tx and store.Store have it.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Folder is where all of one namespace lies; "" is the root.
func Folder(ns string) string { return In(nil, ns).root }

// View reads the identities of one namespace. Records that are not there are nil.
type View struct {
	r    Reader
	root string // "identity/<ns>/"
	ns   string
}

// In returns the view of a namespace; "" is the root.
func In(r Reader, ns string) View {
	if ns == "" {
		ns = engine.RootNamespaceID
	}
	return View{r, Prefix + ns + "/", ns}
}

// Namespace returns the namespace's ID.
func (v View) Namespace() string { return v.ns }

func (v View) entityKey(id string) string       { return v.root + "entity/" + id }
func (v View) entityNameKey(name string) string { return v.root + "entity-name/" + record.Escape(name) }
func (v View) aliasIDKey(id string) string      { return v.root + "alias-id/" + id }
func (v View) mergedKey(id string) string       { return v.root + "merged/" + id }
func (v View) groupKey(id string) string        { return v.root + "group/" + id }
func (v View) groupNameKey(name string) string  { return v.root + "group-name/" + record.Escape(name) }
func (v View) groupAliasIDKey(id string) string { return v.root + "group-alias-id/" + id }
func (v View) memberFolder(group string) string { return v.root + "member/" + group + "/" }
func (v View) sweepKey(group string) string     { return v.root + "sweep/" + group }
func (v View) configKey() string                { return v.root + "config" }
func (v View) aliasKey(accessor, n string) string {
	return v.root + "alias/" + accessor + "/" + record.Hash(n)
}
func (v View) originKey(accessor, n string) string {
	return v.root + "origin/" + accessor + "/" + record.Hash(n)
}
func (v View) groupAliasKey(accessor, n string) string {
	return v.root + "group-alias/" + accessor + "/" + record.Hash(n)
}

// segment reports whether id can be a segment of a key; anything else is the ID of nothing.
func segment(id string) bool {
	return id != "" && len(id) <= 128 && !strings.Contains(id, "/")
}

// Entity returns the entity with an ID. It does not follow merges.
func (v View) Entity(ctx context.Context, id string) (*Entity, error) {
	return get(ctx, v, id, v.entityKey, record.DecodeEntity)
}

// Group returns the group with an ID.
func (v View) Group(ctx context.Context, id string) (*Group, error) {
	return get(ctx, v, id, v.groupKey, record.DecodeGroup)
}

func get[T any](ctx context.Context, v View, id string, key func(string) string, decode func([]byte) (*T, error)) (*T, error) {
	if !segment(id) {
		return nil, nil
	}
	stored, err := v.r.Get(ctx, key(id))
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return store.Decode(stored, decode)
}

// refer returns what the reference at key says, the zero reference if there is none.
func (v View) refer(ctx context.Context, key string) (reference, error) {
	stored, err := v.r.Get(ctx, key)
	if err != nil || !stored.Exists() {
		return reference{}, err
	}
	return store.Decode(stored, record.DecodeReference)
}

// EntityNamed returns the entity with a name, in whatever capitals.
func (v View) EntityNamed(ctx context.Context, name string) (*Entity, error) {
	if name == "" || len(name) > record.MaxName {
		return nil, nil
	}
	return v.entityAt(ctx, v.entityNameKey(name))
}

// EntityOf returns the entity that a name in an auth mount is an alias of.
func (v View) EntityOf(ctx context.Context, accessor, name string) (*Entity, error) {
	if !segment(accessor) {
		return nil, nil
	}
	return v.entityAt(ctx, v.aliasKey(accessor, name))
}

// EntityWithAlias returns the entity that has the alias with an ID.
func (v View) EntityWithAlias(ctx context.Context, aliasID string) (*Entity, error) {
	if !segment(aliasID) {
		return nil, nil
	}
	return v.entityAt(ctx, v.aliasIDKey(aliasID))
}

func (v View) entityAt(ctx context.Context, key string) (*Entity, error) {
	ref, err := v.refer(ctx, key)
	if err != nil || ref.Owner == "" {
		return nil, err
	}
	return v.Entity(ctx, ref.Owner)
}

// GroupNamed returns the group with a name, in whatever capitals.
func (v View) GroupNamed(ctx context.Context, name string) (*Group, error) {
	if name == "" || len(name) > record.MaxName {
		return nil, nil
	}
	return v.groupAt(ctx, v.groupNameKey(name))
}

// GroupOf returns the external group that an auth mount knows under a name.
func (v View) GroupOf(ctx context.Context, accessor, name string) (*Group, error) {
	if !segment(accessor) {
		return nil, nil
	}
	return v.groupAt(ctx, v.groupAliasKey(accessor, name))
}

// GroupWithAlias returns the group that has the alias with an ID.
func (v View) GroupWithAlias(ctx context.Context, aliasID string) (*Group, error) {
	if !segment(aliasID) {
		return nil, nil
	}
	return v.groupAt(ctx, v.groupAliasIDKey(aliasID))
}

func (v View) groupAt(ctx context.Context, key string) (*Group, error) {
	ref, err := v.refer(ctx, key)
	if err != nil || ref.Owner == "" {
		return nil, err
	}
	return v.Group(ctx, ref.Owner)
}

// MergedInto returns the ID of the entity that another one became, "" if it did not.
func (v View) MergedInto(ctx context.Context, id string) (string, error) {
	if !segment(id) {
		return "", nil
	}
	ref, err := v.refer(ctx, v.mergedKey(id))
	return ref.Owner, err
}

// Config returns the namespace's configuration.
func (v View) Config(ctx context.Context) (Config, error) {
	stored, err := v.r.Get(ctx, v.configKey())
	if err != nil || !stored.Exists() {
		return Config{Retention: int64(record.DefaultRetention.Seconds())}, err
	}
	c, err := store.Decode(stored, func(b []byte) (*Config, error) { return record.Decode[Config]("a configuration", b) })
	if err != nil {
		return Config{}, err
	}
	return *c, nil
}

// Members returns the IDs of the entities in a group, in an order of no
// meaning, starting behind after, at most limit (0 = all).
func (v View) Members(ctx context.Context, group, after string, limit int) ([]string, error) {
	return v.r.List(ctx, v.memberFolder(group), after, limit)
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
func (v View) Ancestors(ctx context.Context, ids []string) ([]*Group, error) {
	seen := map[string]bool{}
	for _, id := range ids {
		seen[id] = true
	}
	var above []*Group
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

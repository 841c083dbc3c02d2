package rows

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
)

// Prefix is the folder of everything a Manager stores, except its due times.
// All of one namespace is below Prefix, its ID and a slash.
const Prefix = "identity/"

// Keys says where the rows of one namespace lie.
type Keys struct {
	root string // "identity/<ns>/"
	ns   string
}

// Of returns the keys of a namespace; "" is the root.
func Of(ns string) Keys {
	if ns == "" {
		ns = engine.RootNamespaceID
	}
	return Keys{Prefix + ns + "/", ns}
}

// Folder is where all of the namespace lies.
func (k Keys) Folder() string { return k.root }

// Namespace returns the namespace's ID.
func (k Keys) Namespace() string { return k.ns }

// EntityKey is an entity, by its ID.
func (k Keys) EntityKey(id string) string { return k.root + "entity/" + id }

// EntityNameKey is the reference to an entity, by its name.
func (k Keys) EntityNameKey(name string) string { return k.root + "entity-name/" + record.Escape(name) }

// AliasIDKey is the reference to an entity, by the ID of one of its aliases.
func (k Keys) AliasIDKey(id string) string { return k.root + "alias-id/" + id }

// MergedKey is the reference to what an entity was merged into.
func (k Keys) MergedKey(id string) string { return k.root + "merged/" + id }

// GroupKey is a group, by its ID.
func (k Keys) GroupKey(id string) string { return k.root + "group/" + id }

// GroupNameKey is the reference to a group, by its name.
func (k Keys) GroupNameKey(name string) string { return k.root + "group-name/" + record.Escape(name) }

// GroupAliasIDKey is the reference to a group, by the ID of its alias.
func (k Keys) GroupAliasIDKey(id string) string { return k.root + "group-alias-id/" + id }

// MemberFolder is where the IDs of the entities in a group are.
func (k Keys) MemberFolder(group string) string { return k.root + "member/" + group + "/" }

// SweepKey is the mark of a group that is gone.
func (k Keys) SweepKey(group string) string { return k.root + "sweep/" + group }

// ConfigKey is the configuration.
func (k Keys) ConfigKey() string { return k.root + "config" }

// AliasKey is the reference to an entity, by a name that a mount knows it by.
func (k Keys) AliasKey(accessor, name string) string {
	return k.root + "alias/" + accessor + "/" + record.Hash(name)
}

// OriginKey is the reference to the alias that now stands for an origin.
func (k Keys) OriginKey(accessor, name string) string {
	return k.root + "origin/" + accessor + "/" + record.Hash(name)
}

// GroupAliasKey is the reference to an external group, by a name that a mount knows it by.
func (k Keys) GroupAliasKey(accessor, name string) string {
	return k.root + "group-alias/" + accessor + "/" + record.Hash(name)
}

// Segment reports whether id can be a segment of a key; anything else is the ID of nothing.
func Segment(id string) bool {
	return id != "" && len(id) <= 128 && !strings.Contains(id, "/")
}

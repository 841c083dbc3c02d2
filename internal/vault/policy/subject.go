package policy

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/vault/policy/template"
)

// Namespace is where policies live: those of one are never those of another.
type Namespace struct {
	ID   string // "root" or "" for the root, otherwise five characters or more of base62
	Path string // "" for the root, otherwise "team-a/" or "team-a/dev/"; it never changes
}

// Root reports whether this is the root namespace. The zero value is, too.
func (n Namespace) Root() bool { return n.Path == "" }

// Subject is who an ACL is for.
type Subject struct {
	Namespace Namespace // where Names are looked up; the zero value is the root
	Names     []string  // of policies
	Identity  *Identity // what templates in policies stand for; nil = nobody is known
}

// Identity is what is known of a subject besides its token: what the templates
// of paths stand for. It is immutable, and whoever makes one gives the same
// pointer as long as nothing of it changes: ACLs are kept by it.
type Identity struct {
	ID, Name string // of the entity
	Metadata map[string]string
	Aliases  []Alias
	Groups   []Group // all it is in, also by way of others
}

// Alias is a name of the entity in one auth mount.
type Alias struct {
	Accessor, ID, Name       string
	Metadata, CustomMetadata map[string]string
}

// Group is a group that the entity is in.
type Group struct {
	ID, Name string
	Metadata map[string]string
}

// value returns what v stands for, "" if that is nothing.
func (i *Identity) value(v template.Variable) string {
	switch v.Subject {
	case template.Entity:
		return pick(v, i.ID, i.Name, i.Metadata, nil)
	case template.Alias:
		for _, a := range i.Aliases {
			if a.Accessor == v.Of {
				return pick(v, a.ID, a.Name, a.Metadata, a.CustomMetadata)
			}
		}
	case template.GroupByID:
		for _, g := range i.Groups {
			if g.ID == v.Of {
				return pick(v, g.ID, g.Name, g.Metadata, nil)
			}
		}
	case template.GroupByName:
		for _, g := range i.Groups {
			if g.Name == v.Of {
				return pick(v, g.ID, g.Name, g.Metadata, nil)
			}
		}
	}
	return ""
}

func pick(v template.Variable, id, name string, metadata, custom map[string]string) string {
	switch v.Attribute {
	case template.ID:
		return id
	case template.Name:
		return name
	case template.Metadata:
		return metadata[v.Key]
	}
	return custom[v.Key]
}

// of returns the rule as it holds for who, nil if it says nothing of them. A
// rule that grants falls away if a value could make more of its path than was
// meant (GHSA-59w7); one that denies then denies all it could have meant.
func (r *rule) of(who *Identity) *rule {
	if r.template == nil {
		return r
	}
	if who == nil {
		return nil
	}
	path, outcome := r.template.Expand(who.value)
	if outcome == template.Missing || outcome == template.Unsafe && r.caps&Deny == 0 {
		return nil
	}
	own := *r
	own.path, own.template = path, nil
	return &own
}

// personal keeps ACLs that are one identity's, by what they were compiled from.
// A slot holds the last that fell there: it is bounded and takes no lock.
type personal [1024]atomic.Pointer[personalACL]

type personalACL struct {
	from *compiled
	who  *Identity
	acl  *ACL
}

// personalFor returns the ACL of c with who put for its templates.
func (b *Book) personalFor(c *compiled, subject Subject) *ACL {
	who := subject.Identity
	slot := &b.personal[maphash.String(b.seed, who.ID)%uint64(len(b.personal))]
	if kept := slot.Load(); kept != nil && kept.from == c && kept.who == who {
		return kept.acl
	}
	acl := CompileIn(subject.Namespace.Path, who, c.policies...)
	slot.Store(&personalACL{c, who, acl})
	return acl
}

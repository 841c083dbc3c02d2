package identity

import (
	"context"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// maxGroups bounds what one request looks at.
const maxGroups = 1000

// Subject is an entity as requests see it. It is immutable and valid for the
// revisions that it was made of.
type Subject struct {
	EntityID string // not the one asked for if that was merged
	Disabled bool
	Policies []string         // of the entity and all its groups; normalised, sorted; shared: do not change it
	Identity *policy.Identity // what templates stand for; the same pointer as long as nothing changes

	id        string // as asked for
	ns        string // likewise
	keys      []string
	revisions []store.Revision
	union     atomic.Pointer[union]
}

// union is the last answer of With.
type union struct{ token, all []string }

// Subject returns the entity that a token names, nil if there is none any more:
// the token is refused then. An entity that is asked for again costs one cached
// read for it and one for each of its groups, and no allocation.
func (m *Manager) Subject(ctx context.Context, r Reader, ns, id string) (*Subject, error) {
	if !segment(id) {
		return nil, nil
	}
	slot := &m.subjects[maphash.String(m.seed, id)%uint64(len(m.subjects))]
	if s := slot.Load(); s != nil && s.id == id && s.ns == ns {
		fresh, err := s.fresh(ctx, r)
		if err != nil || fresh {
			return s, err
		}
	}
	s, err := In(r, ns).subject(ctx, id)
	if err != nil || s == nil {
		return nil, err
	}
	s.ns = ns
	if !slices.Contains(s.revisions, unwritten) {
		slot.Store(s)
	}
	return s, nil
}

func (s *Subject) fresh(ctx context.Context, r Reader) (bool, error) {
	for i, key := range s.keys {
		e, err := r.Get(ctx, key)
		if err != nil || e.Revision != s.revisions[i] {
			return false, err
		}
	}
	return true, nil
}

// With returns the policies of a token together with those of the entity,
// sorted. It returns token itself if the entity adds none. Root stays alone.
func (s *Subject) With(token []string) []string {
	if s == nil || len(s.Policies) == 0 || slices.Contains(token, policy.RootName) {
		return token
	}
	if u := s.union.Load(); u != nil && slices.Equal(u.token, token) {
		return u.all
	}
	all := append(slices.Clone(token), s.Policies...)
	slices.Sort(all)
	all = slices.Compact(all)
	s.union.Store(&union{slices.Clone(token), all})
	return all
}

// Own returns Policies; a nil Subject has none.
func (s *Subject) Own() []string {
	if s == nil || len(s.Policies) == 0 {
		return nil
	}
	return s.Policies
}

// tracer notes what a Subject is made of.
type tracer struct {
	Reader
	s *Subject
}

func (t tracer) Get(ctx context.Context, key string) (store.Entry, error) {
	e, err := t.Reader.Get(ctx, key)
	if err == nil && !slices.Contains(t.s.keys, key) {
		t.s.keys, t.s.revisions = append(t.s.keys, key), append(t.s.revisions, e.Revision)
	}
	return e, err
}

// subject makes the Subject of a stored entity.
func (v View) subject(ctx context.Context, id string) (*Subject, error) {
	s := &Subject{id: id}
	v.r = tracer{v.r, s}
	e, err := v.Entity(ctx, id)
	if err != nil {
		return nil, err
	}
	if e == nil {
		into, err := v.MergedInto(ctx, id)
		if err != nil || into == "" {
			return nil, err
		}
		if e, err = v.Entity(ctx, into); err != nil || e == nil {
			return nil, err
		}
	}
	return s, s.fill(ctx, v, e)
}

// fill reads the groups of e.
func (s *Subject) fill(ctx context.Context, v View, e *Entity) error {
	s.EntityID, s.Disabled = e.ID, e.Disabled
	who := &policy.Identity{ID: e.ID, Name: e.Name, Metadata: e.Metadata}
	for _, a := range e.Aliases {
		who.Aliases = append(who.Aliases, policy.Alias{Accessor: a.Accessor, ID: a.ID, Name: a.Name, Metadata: a.Metadata, CustomMetadata: a.Custom})
	}
	policies := slices.Clone(e.Policies)
	seen := map[string]bool{}
	for next := e.DirectGroups(); len(next) > 0 && len(seen) < maxGroups; {
		var above []string
		for _, id := range next {
			if seen[id] {
				continue
			}
			seen[id] = true
			g, err := v.Group(ctx, id)
			if err != nil {
				return err
			}
			if g == nil {
				continue // deleted; Sweep has not come by yet
			}
			policies = append(policies, g.Policies...)
			who.Groups = append(who.Groups, policy.Group{ID: g.ID, Name: g.Name, Metadata: g.Metadata})
			above = append(above, g.Parents...)
		}
		next = above
	}
	slices.Sort(policies)
	policies = slices.Compact(policies)
	// No row can hold it; should one, it must not make anybody root.
	s.Policies = slices.DeleteFunc(policies, func(p string) bool { return p == policy.RootName })
	s.Identity = who
	return nil
}

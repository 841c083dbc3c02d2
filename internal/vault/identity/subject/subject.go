package subject

import (
	"context"
	"hash/maphash"
	"slices"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/identity/rows"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// maxGroups bounds what one request looks at. Who is in more is refused: a policy
// of one that is left out might forbid what the others allow.
const maxGroups = 1000

// Subject is an entity as requests see it. It is immutable and valid for the
// revisions that it was made of.
type Subject struct {
	EntityID string // not the one asked for if that was merged
	Disabled bool
	Policies []string         // of the entity and all its groups; normalised, sorted; shared: do not change it
	Identity *policy.Identity // what templates stand for; the same pointer as long as nothing changes

	tooMany   bool   // groups; nothing but EntityID and Disabled is set then
	id        string // as asked for
	ns        string // likewise
	keys      []string
	revisions []store.Revision
	union     atomic.Pointer[union]
}

// union is the last answer of With.
type union struct{ token, all []string }

// unwritten is the revision of what a transaction wrote itself; see store.Txn.Get.
const unwritten = ^store.Revision(0)

// Cache keeps the Subjects that were last asked for. A slot holds the last that
// fell there, so that it is bounded and takes no lock. Its zero value is not
// usable: see NewCache.
type Cache struct {
	seed  maphash.Seed
	slots [4096]atomic.Pointer[Subject]
}

// NewCache returns an empty cache.
func NewCache() *Cache { return &Cache{seed: maphash.MakeSeed()} }

// Get returns the entity that a token names, nil if there is none any more: the
// token is refused then. An entity that is asked for again costs one cached read
// for it and one for each of its groups, and no allocation. Kind Denied: see Of.
func (c *Cache) Get(ctx context.Context, r rows.Reader, ns, id string) (*Subject, error) {
	if !rows.Segment(id) {
		return nil, nil
	}
	slot := &c.slots[maphash.String(c.seed, id)%uint64(len(c.slots))]
	if s := slot.Load(); s != nil && s.id == id && s.ns == ns {
		fresh, err := s.fresh(ctx, r)
		if err != nil {
			return nil, err
		}
		if fresh {
			return s.allowed()
		}
	}
	s, err := find(ctx, r, ns, id)
	if err != nil || s == nil {
		return nil, err
	}
	if !slices.Contains(s.revisions, unwritten) {
		slot.Store(s)
	}
	return s.allowed()
}

// allowed is s, unless its groups are more than can be looked at.
func (s *Subject) allowed() (*Subject, error) {
	if s.tooMany {
		return nil, errs.Newf(errs.Denied, "entity %s is in more than %d groups, counting those that contain its groups, and nothing is decided by a part of them: "+
			"have it taken out of some (member_entity_ids, or the groups of its login), or groups out of others (member_group_ids)", s.EntityID, maxGroups)
	}
	return s, nil
}

func (s *Subject) fresh(ctx context.Context, r rows.Reader) (bool, error) {
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
	rows.Reader
	seen map[string]bool
	s    *Subject
}

func (t tracer) Get(ctx context.Context, key string) (store.Entry, error) {
	e, err := t.Reader.Get(ctx, key)
	if err == nil && !t.seen[key] {
		t.seen[key] = true
		t.s.keys, t.s.revisions = append(t.s.keys, key), append(t.s.revisions, e.Revision)
	}
	return e, err
}

// find makes the Subject of a stored entity.
func find(ctx context.Context, r rows.Reader, ns, id string) (*Subject, error) {
	s := &Subject{id: id, ns: ns}
	v := rows.In(tracer{r, map[string]bool{}, s}, ns)
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

// Of makes the Subject of an entity that is not stored as it is now. Kind Denied:
// it is in more groups than are looked at, so that what the rest of them forbid
// would not count.
func Of(ctx context.Context, v rows.View, e *record.Entity) (*Subject, error) {
	s := new(Subject)
	if err := s.fill(ctx, v, e); err != nil {
		return nil, err
	}
	return s.allowed()
}

// fill reads the groups of e.
func (s *Subject) fill(ctx context.Context, v rows.View, e *record.Entity) error {
	s.EntityID, s.Disabled = e.ID, e.Disabled
	who := &policy.Identity{ID: e.ID, Name: e.Name, Metadata: e.Metadata}
	for _, a := range e.Aliases {
		who.Aliases = append(who.Aliases, policy.Alias{Accessor: a.Accessor, ID: a.ID, Name: a.Name, Metadata: a.Metadata, CustomMetadata: a.Custom})
	}
	groups, err := s.groups(ctx, v, e)
	if err != nil || s.tooMany {
		return err
	}
	policies := slices.Clone(e.Policies)
	for _, g := range groups {
		policies = append(policies, g.Policies...)
		who.Groups = append(who.Groups, policy.Group{ID: g.ID, Name: g.Name, Metadata: g.Metadata})
	}
	slices.Sort(policies)
	policies = slices.Compact(policies)
	// No row can hold it; should one, it must not make anybody root.
	s.Policies = slices.DeleteFunc(policies, func(p string) bool { return p == policy.RootName })
	s.Identity = who
	return nil
}

// groups returns those that e is in, and those that contain them. It sets
// tooMany and stops once they are too many.
func (s *Subject) groups(ctx context.Context, v rows.View, e *record.Entity) ([]*record.Group, error) {
	var all []*record.Group
	seen := map[string]bool{}
	for next := e.DirectGroups(); len(next) > 0; {
		var above []string
		for _, id := range next {
			if seen[id] {
				continue
			}
			seen[id] = true
			g, err := v.Group(ctx, id)
			if err != nil {
				return nil, err
			}
			if g == nil {
				continue // deleted; Sweep has not come by yet
			}
			if len(all) == maxGroups {
				s.tooMany = true
				return nil, nil
			}
			all, above = append(all, g), append(above, g.Parents...)
		}
		next = above
	}
	return all, nil
}

package mount

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Mount is a running mount: the entry, its engine and its routes. It is
// immutable; a tuned mount is a new Mount around the same engine.
type Mount struct {
	Entry
	Engine engine.Engine
	Router *engine.Router
	TTLs   engine.TTLs // effective
	Log    *slog.Logger

	revision store.Revision // of the entry
	storage  string         // of the entry, made once
}

// Storage is Entry.Storage.
func (m *Mount) Storage() string {
	if m.storage == "" {
		return m.Entry.Storage() // of a system mount, or made by hand
	}
	return m.storage
}

// Table is an immutable set of mounts, found by namespace and path. The fixed
// mounts (sys/, auth/token/, cubbyhole/) are those of the root namespace and
// serve all others at the same paths: a namespace costs no mounts of its own.
type Table struct {
	root     space
	fixed    space             // those of root that serve every namespace
	spaces   map[string]*space // of the other namespaces, by ID
	byID     map[string]*Mount
	watchers []*Mount
	guard    store.Revision // of guardKey, read before the entries: the table is at least as new
}

// space is the mounts of one namespace.
type space struct {
	byPath map[string]*Mount
	depth  int // the most segments any mount path has
}

func newTable(mounts []*Mount) *Table {
	t := &Table{spaces: map[string]*space{}, byID: make(map[string]*Mount, len(mounts))}
	for _, m := range mounts {
		t.byID[m.ID] = m
		switch {
		case m.Namespace != "":
			s := t.spaces[m.Namespace]
			if s == nil {
				s = new(space)
				t.spaces[m.Namespace] = s
			}
			s.add(m)
		case m.Fixed():
			t.fixed.add(m)
			fallthrough
		default:
			t.root.add(m)
		}
		if _, ok := m.Engine.(engine.TokenWatcher); ok {
			t.watchers = append(t.watchers, m)
		}
	}
	return t
}

func (s *space) add(m *Mount) {
	if s.byPath == nil {
		s.byPath = map[string]*Mount{}
	}
	s.byPath[m.Path] = m
	s.depth = max(s.depth, strings.Count(m.Path, "/"))
}

// own returns the mounts of ns that serve no other, nil if it has none.
func (t *Table) own(ns engine.Namespace) *space {
	if ns.Root() {
		return &t.root
	}
	return t.spaces[ns.ID]
}

// Find returns the mount that path within ns belongs to, the longest one, and
// the rest of the path. A path that names a mount without its final slash
// belongs to it.
func (t *Table) Find(ns engine.Namespace, path string) (m *Mount, rest string, ok bool) {
	if s := t.own(ns); s != nil {
		m, rest, ok = s.find(path)
	}
	if !ok && !ns.Root() {
		return t.fixed.find(path)
	}
	return m, rest, ok
}

func (s *space) find(path string) (m *Mount, rest string, ok bool) {
	end, segments := 0, 0
	for segments < s.depth {
		i := strings.IndexByte(path[end:], '/')
		if i < 0 {
			if whole := s.byPath[path+"/"]; whole != nil {
				return whole, "", true
			}
			break
		}
		end += i + 1
		segments++
		if found := s.byPath[path[:end]]; found != nil {
			m, rest, ok = found, path[end:], true
		}
	}
	return m, rest, ok
}

// ByPath returns the mount at exactly path ("secret/") of ns, or nil.
func (t *Table) ByPath(ns engine.Namespace, path string) *Mount {
	if s := t.own(ns); s != nil && s.byPath[path] != nil {
		return s.byPath[path]
	}
	return t.fixed.byPath[path]
}

// ByID returns the mount with this ID, or nil.
func (t *Table) ByID(id string) *Mount { return t.byID[id] }

// All returns every mount of every namespace, in no order.
func (t *Table) All() []*Mount {
	all := make([]*Mount, 0, len(t.byID))
	for _, m := range t.byID {
		all = append(all, m)
	}
	return all
}

// In returns the mounts of ns, those that serve every namespace among them,
// ordered by path.
func (t *Table) In(ns engine.Namespace) []*Mount {
	var all []*Mount
	for _, m := range t.fixed.byPath {
		all = append(all, m)
	}
	if s := t.own(ns); s != nil {
		for path, m := range s.byPath {
			if t.fixed.byPath[path] == nil {
				all = append(all, m)
			}
		}
	}
	slices.SortFunc(all, func(a, b *Mount) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// Own returns the IDs of the mounts that belong to the namespace with this ID alone.
func (t *Table) Own(namespaceID string) []*Mount {
	var all []*Mount
	if s := t.spaces[namespaceID]; s != nil {
		for _, m := range s.byPath {
			all = append(all, m)
		}
	}
	return all
}

// TokenWatchers returns the mounts that keep something per token.
func (t *Table) TokenWatchers() []*Mount { return t.watchers }

// conflict returns the mount that a new mount at path of the namespace with
// this ID ("" = root) would overlap with: one at the same path, above it or
// below it. Nil if there is none.
func (t *Table) conflict(namespaceID, path string) *Mount {
	if namespaceID == "" {
		return t.root.conflict(path)
	}
	if s := t.spaces[namespaceID]; s != nil {
		if m := s.conflict(path); m != nil {
			return m
		}
	}
	return t.fixed.conflict(path)
}

func (s *space) conflict(path string) *Mount {
	for existing, m := range s.byPath {
		if strings.HasPrefix(path, existing) || strings.HasPrefix(existing, path) {
			return m
		}
	}
	return nil
}

// Below returns a mount of ns whose path lies at or below folder, nil if there
// is none: what stands in the way of a namespace of that name.
func (t *Table) Below(ns engine.Namespace, folder string) *Mount {
	if s := t.own(ns); s != nil {
		return s.conflict(folder)
	}
	return nil
}

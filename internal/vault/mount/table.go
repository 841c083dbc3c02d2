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
}

// Table is an immutable set of mounts, found by path.
type Table struct {
	byPath map[string]*Mount
	byID   map[string]*Mount
	depth  int            // the most segments any mount path has
	guard  store.Revision // of guardKey, read before the entries: the table is at least as new
}

func newTable(mounts []*Mount) *Table {
	t := &Table{byPath: make(map[string]*Mount, len(mounts)), byID: make(map[string]*Mount, len(mounts))}
	for _, m := range mounts {
		t.byPath[m.Path] = m
		t.byID[m.ID] = m
		t.depth = max(t.depth, strings.Count(m.Path, "/"))
	}
	return t
}

// Find returns the mount that path belongs to, the longest one, and the rest
// of the path. A path that names a mount without its final slash belongs to it.
func (t *Table) Find(path string) (m *Mount, rest string, ok bool) {
	end, segments := 0, 0
	for segments < t.depth {
		i := strings.IndexByte(path[end:], '/')
		if i < 0 {
			if whole := t.byPath[path+"/"]; whole != nil {
				return whole, "", true
			}
			break
		}
		end += i + 1
		segments++
		if found := t.byPath[path[:end]]; found != nil {
			m, rest, ok = found, path[end:], true
		}
	}
	return m, rest, ok
}

// ByPath returns the mount at exactly path ("secret/"), or nil.
func (t *Table) ByPath(path string) *Mount { return t.byPath[path] }

// ByID returns the mount with this ID, or nil.
func (t *Table) ByID(id string) *Mount { return t.byID[id] }

// All returns every mount, ordered by path.
func (t *Table) All() []*Mount {
	all := make([]*Mount, 0, len(t.byPath))
	for _, m := range t.byPath {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *Mount) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// Conflict returns the mount that a new mount at path would overlap with: one
// at the same path, above it or below it. Nil if there is none.
func (t *Table) Conflict(path string) *Mount {
	for existing, m := range t.byPath {
		if strings.HasPrefix(path, existing) || strings.HasPrefix(existing, path) {
			return m
		}
	}
	return nil
}

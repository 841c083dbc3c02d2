package namespace

import (
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Table is an immutable set of namespaces. The root is not in it.
type Table struct {
	byPath   map[string]*Entry
	byID     map[string]*Entry
	children map[string][]*Entry // by the path of the namespace above, sorted by path
	locked   int
	guard    store.Revision // of guardKey, read before the entries: the table is at least as new
}

func newTable(entries []*Entry) *Table {
	t := &Table{
		byPath: make(map[string]*Entry, len(entries)), byID: make(map[string]*Entry, len(entries)),
		children: map[string][]*Entry{},
	}
	for _, e := range entries {
		t.byPath[e.Path], t.byID[e.ID] = e, e
		t.children[e.Parent()] = append(t.children[e.Parent()], e)
		if e.Lock != nil {
			t.locked++
		}
	}
	for _, below := range t.children {
		slices.SortFunc(below, func(a, b *Entry) int { return strings.Compare(a.Path, b.Path) })
	}
	return t
}

// Find returns the deepest namespace that the absolute path begins with, the
// root if it is none, and the rest of the path. A path that is a namespace's
// without its last slash is one within the namespace above.
func (t *Table) Find(path string) (ns engine.Namespace, rest string) {
	ns, rest = Root, path
	for end := 0; len(t.byPath) > 0; {
		i := strings.IndexByte(path[end:], '/')
		if i < 0 {
			break
		}
		end += i + 1
		e := t.byPath[path[:end]]
		if e == nil {
			break // every namespace's parent is one
		}
		ns, rest = e.Namespace(), path[end:]
	}
	return ns, rest
}

// ByPath returns the namespace at exactly path ("team-a/"), or nil.
func (t *Table) ByPath(path string) *Entry { return t.byPath[path] }

// ByID returns the namespace with this ID and whether there is one; "" is the root.
func (t *Table) ByID(id string) (engine.Namespace, bool) {
	if id == "" || id == engine.RootNamespaceID {
		return Root, true
	}
	if e := t.byID[id]; e != nil {
		return e.Namespace(), true
	}
	return engine.Namespace{}, false
}

// Entry returns the entry with this ID, or nil.
func (t *Table) Entry(id string) *Entry { return t.byID[id] }

// Children returns the namespaces directly below path, ordered by path. Do not
// change the result.
func (t *Table) Children(path string) []*Entry { return t.children[path] }

// Descendants returns all namespaces below path, each behind its parent.
func (t *Table) Descendants(path string) []*Entry {
	var all []*Entry
	for _, e := range t.children[path] {
		all = append(append(all, e), t.Descendants(e.Path)...)
	}
	return all
}

// Len is how many namespaces there are besides the root.
func (t *Table) Len() int { return len(t.byID) }

// LockedBy returns the namespace whose lock holds for ns: itself or the nearest
// above it that is locked; nil if none is.
func (t *Table) LockedBy(ns engine.Namespace) *Entry {
	if t.locked == 0 {
		return nil
	}
	for path := ns.Path; path != ""; path = parent(path) {
		if e := t.byPath[path]; e != nil && e.Lock != nil {
			return e
		}
	}
	return nil
}

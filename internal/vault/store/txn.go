package store

import (
	"context"
	"slices"
	"strings"
)

// Txn is a transaction over a Store: a view that sees its own writes, notes the
// revision of everything it read, and commits all of it in one Apply or fails
// with errs.Conflict. It belongs to one goroutine.
//
// A key read twice is the same both times; two keys need not be of one moment
// until Commit has said so. Only Get is guarded: a List is not repeated at
// commit. A caller whose decision rests on what a folder holds guards a key of
// its own as well.
type Txn struct {
	store  Store
	reads  keyed[Entry]
	writes keyed[Change]
}

// Begin starts a transaction on s. A Txn that is not committed leaves no trace.
func Begin(s Store) *Txn { return &Txn{store: s} }

// Get returns the entry as this transaction sees it. What the transaction
// itself wrote has the highest Revision there is.
func (t *Txn) Get(ctx context.Context, key string) (Entry, error) {
	if w := t.writes.get(key); w != nil {
		if w.Op == OpDelete {
			return Entry{Key: key}, nil
		}
		return Entry{Key: key, Value: w.Value, Revision: ^Revision(0)}, nil
	}
	if e := t.reads.get(key); e != nil {
		return *e, nil
	}
	e, err := t.store.Get(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	t.reads.put(key, e)
	return e, nil
}

// Put writes value at key when the transaction commits.
func (t *Txn) Put(key string, value []byte) { t.writes.put(key, Put(key, value)) }

// Delete removes key when the transaction commits.
func (t *Txn) Delete(key string) { t.writes.put(key, Delete(key)) }

// List is Store.List with the transaction's own writes merged in. Once the
// transaction has written below folder, names come in byte order: a caller that
// pages through a folder it writes to starts anew after writing.
func (t *Txn) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	added, removed := t.below(folder)
	if len(added) == 0 && len(removed) == 0 {
		return t.store.List(ctx, folder, after, limit)
	}
	names, err := t.store.List(ctx, folder, "", 0)
	if err != nil {
		return nil, err
	}
	kept := make([]string, 0, len(names)+len(added))
	for _, name := range names {
		gone, err := t.gone(ctx, folder, name, removed)
		if err != nil {
			return nil, err
		}
		if !gone {
			kept = append(kept, name)
		}
	}
	for name := range added {
		kept = append(kept, name)
	}
	slices.Sort(kept)
	return page(slices.Compact(kept), after, limit), nil
}

// page cuts sorted names to those behind after, at most limit of them.
func page(names []string, after string, limit int) []string {
	if after != "" {
		at, found := slices.BinarySearch(names, after)
		if found {
			at++
		}
		names = names[at:]
	}
	if limit > 0 && len(names) > limit {
		names = names[:limit]
	}
	return names
}

// below returns the names directly under folder that the transaction puts, and
// the full keys under folder that it deletes.
func (t *Txn) below(folder string) (added, removed map[string]bool) {
	for i := range t.writes.list {
		c := &t.writes.list[i].value
		rest, ok := strings.CutPrefix(c.Key, folder)
		switch {
		case !ok:
		case c.Op == OpDelete:
			removed = mark(removed, c.Key)
		default:
			added = mark(added, child(rest))
		}
	}
	return added, removed
}

func mark(set map[string]bool, s string) map[string]bool {
	if set == nil {
		set = map[string]bool{}
	}
	set[s] = true
	return set
}

// gone reports whether the transaction removed name from folder: the key
// itself, or every key of the subfolder.
func (t *Txn) gone(ctx context.Context, folder, name string, removed map[string]bool) (bool, error) {
	full := folder + name
	if !strings.HasSuffix(name, "/") {
		return removed[full], nil
	}
	if !anyPrefix(removed, full) {
		return false, nil
	}
	names, err := t.store.List(ctx, full, "", 0)
	if err != nil {
		return false, err
	}
	for _, n := range names {
		gone, err := t.gone(ctx, full, n, removed)
		if err != nil || !gone {
			return false, err
		}
	}
	return true, nil
}

func anyPrefix(keys map[string]bool, prefix string) bool {
	for k := range keys {
		if strings.HasPrefix(k, prefix) {
			return true
		}
	}
	return false
}

// child cuts rest behind its first slash: "a/b" becomes "a/", "a" stays.
func child(rest string) string {
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[:i+1]
	}
	return rest
}

// Undo drops all writes. What was read stays noted and guarded.
func (t *Txn) Undo() { t.writes = keyed[Change]{} }

// Writes returns how many keys the transaction changes.
func (t *Txn) Writes() int { return len(t.writes.list) }

// Commit applies the writes, guarded by the revisions of everything read, and
// returns the revision. Without writes it touches nothing and returns 0.
// Kinds are those of Store.Apply; after Conflict run the whole transaction anew
// with a new Txn.
func (t *Txn) Commit(ctx context.Context) (Revision, error) {
	if t.Writes() == 0 {
		return 0, nil
	}
	return t.store.Apply(ctx, t.Changes()...)
}

// Changes returns what Commit would apply: the writes in the order in which
// their keys were first written, then a check for every key that was only read.
func (t *Txn) Changes() []Change {
	changes := make([]Change, 0, len(t.writes.list)+len(t.reads.list))
	for i := range t.writes.list {
		c := t.writes.list[i].value
		if e := t.reads.get(c.Key); e != nil {
			c = c.If(e.Revision)
		}
		changes = append(changes, c)
	}
	for i := range t.reads.list {
		e := &t.reads.list[i]
		if t.writes.get(e.key) == nil {
			changes = append(changes, Check(e.key, e.value.Revision))
		}
	}
	return changes
}

// keyed is a map that keeps the order in which keys came. Requests touch a
// handful of keys, for which a scan beats hashing; index is made when there are more.
type keyed[V any] struct {
	list  []pair[V]
	index map[string]int // position in list; nil up to scanned keys
}

type pair[V any] struct {
	key   string
	value V
}

const scanned = 12 // keys up to which a scan is used

// get returns the value at key, valid until the next put, or nil.
func (k *keyed[V]) get(key string) *V {
	if k.index != nil {
		if i, ok := k.index[key]; ok {
			return &k.list[i].value
		}
		return nil
	}
	for i := range k.list {
		if k.list[i].key == key {
			return &k.list[i].value
		}
	}
	return nil
}

func (k *keyed[V]) put(key string, v V) {
	if old := k.get(key); old != nil {
		*old = v
		return
	}
	if k.list == nil {
		k.list = make([]pair[V], 0, 4)
	}
	k.list = append(k.list, pair[V]{key, v})
	switch {
	case k.index != nil:
		k.index[key] = len(k.list) - 1
	case len(k.list) > scanned:
		k.index = make(map[string]int, 4*scanned)
		for i := range k.list {
			k.index[k.list[i].key] = i
		}
	}
}

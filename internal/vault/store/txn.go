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
// Only Get is guarded: a List is not repeated at commit. A caller whose
// decision rests on what a folder holds guards a key of its own as well.
type Txn struct {
	store  Store
	reads  map[string]Revision
	writes map[string]Change
}

// Begin starts a transaction on s. A Txn that is not committed leaves no trace.
func Begin(s Store) *Txn { return &Txn{store: s} }

// Get returns the entry as this transaction sees it. What the transaction
// itself wrote has the highest Revision there is.
func (t *Txn) Get(ctx context.Context, key string) (Entry, error) {
	if w, ok := t.writes[key]; ok {
		if w.Op == OpDelete {
			return Entry{Key: key}, nil
		}
		return Entry{Key: key, Value: w.Value, Revision: ^Revision(0)}, nil
	}
	e, err := t.store.Get(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	if t.reads == nil {
		t.reads = make(map[string]Revision, 4)
	}
	if _, again := t.reads[key]; !again {
		t.reads[key] = e.Revision
	}
	return e, nil
}

// Put writes value at key when the transaction commits.
func (t *Txn) Put(key string, value []byte) { t.write(Put(key, value)) }

// Delete removes key when the transaction commits.
func (t *Txn) Delete(key string) { t.write(Delete(key)) }

func (t *Txn) write(c Change) {
	if t.writes == nil {
		t.writes = make(map[string]Change, 8)
	}
	t.writes[c.Key] = c
}

// List is Store.List with the transaction's own writes merged in. Names come
// in byte order when the transaction has written below folder.
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
	kept = slices.Compact(kept)
	if at, found := slices.BinarySearch(kept, after); after != "" {
		if found {
			at++
		}
		kept = kept[at:]
	}
	if limit > 0 && len(kept) > limit {
		kept = kept[:limit]
	}
	return kept, nil
}

// below returns the names directly under folder that the transaction puts, and
// the full keys under folder that it deletes.
func (t *Txn) below(folder string) (added, removed map[string]bool) {
	added, removed = map[string]bool{}, map[string]bool{}
	for key, c := range t.writes {
		rest, ok := strings.CutPrefix(key, folder)
		switch {
		case !ok:
		case c.Op == OpDelete:
			removed[key] = true
		default:
			added[child(rest)] = true
		}
	}
	return added, removed
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

// Writes returns how many keys the transaction changes.
func (t *Txn) Writes() int { return len(t.writes) }

// Commit applies the writes, guarded by the revisions of everything read, and
// returns the revision. Without writes it touches nothing and returns 0.
// Kinds are those of Store.Apply; after Conflict run the whole transaction anew.
func (t *Txn) Commit(ctx context.Context) (Revision, error) {
	if len(t.writes) == 0 {
		return 0, nil
	}
	return t.store.Apply(ctx, t.Changes()...)
}

// Changes returns what Commit would apply.
func (t *Txn) Changes() []Change {
	changes := make([]Change, 0, len(t.writes)+len(t.reads))
	for key, c := range t.writes {
		if rev, read := t.reads[key]; read {
			c = c.If(rev)
		}
		changes = append(changes, c)
	}
	for key, rev := range t.reads {
		if _, written := t.writes[key]; !written {
			changes = append(changes, Check(key, rev))
		}
	}
	return changes
}

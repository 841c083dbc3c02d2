package store

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Limits that every store enforces in Apply with errs.TooLarge. They leave
// room for what decorators add, and fit an etcd transaction.
const (
	MaxKey     = 2 << 10 // bytes of one key
	MaxSegment = 512     // bytes of one segment of a key
	MaxValue   = 1 << 20 // bytes of one value
	MaxChanges = 512     // changes of one Apply
)

// Revision numbers the commits of a store. It grows with every Apply and never
// repeats, also across restarts. 0 stands for "not there".
type Revision uint64

// Entry is one key as it stood at one moment. A key that does not exist is an
// Entry with Revision 0, not an error.
type Entry struct {
	Key      string
	Value    []byte   // shared with the store: never change it
	Revision Revision // of the Apply that last wrote the key; 0 = the key does not exist
	memo     *Memo
}

// Exists reports whether the key was there.
func (e Entry) Exists() bool { return e.Revision != 0 }

// Op is what a Change does.
type Op uint8

// The operations. Check writes nothing: it only makes Apply conditional.
const (
	OpPut Op = iota + 1
	OpDelete
	OpCheck
)

// Change is one step of an Apply.
type Change struct {
	Op      Op
	Key     string
	Value   []byte   // OpPut only; the store may keep it: do not change it afterwards
	Guarded bool     // if set, Apply fails with errs.Conflict unless the key's revision is Expect
	Expect  Revision // 0 = the key must not exist
}

// Put returns a change that writes value at key.
func Put(key string, value []byte) Change { return Change{Op: OpPut, Key: key, Value: value} }

// Delete returns a change that removes key; removing what is not there is no error.
func Delete(key string) Change { return Change{Op: OpDelete, Key: key} }

// Check returns a change that writes nothing but makes the whole Apply fail
// with errs.Conflict unless key stands at rev (0 = does not exist).
func Check(key string, rev Revision) Change {
	return Change{Op: OpCheck, Key: key, Guarded: true, Expect: rev}
}

// If makes the change conditional on its key standing at rev.
func (c Change) If(rev Revision) Change { c.Guarded, c.Expect = true, rev; return c }

// Store is an ordered transactional map. All methods may be called by any
// number of goroutines at once. After Close every method fails with
// errs.Unavailable.
//
// It is linearizable: what Get, List or a watch has shown is durable, and
// every later call sees it or something newer.
type Store interface {
	// Get returns the entry at key; Entry.Revision is 0 if there is none.
	Get(ctx context.Context, key string) (Entry, error)

	// List returns the names directly below folder, which is "" or ends in
	// "/": keys by their last segment, deeper keys once as "name/". Names come
	// in the store's order, starting behind after ("" = from the start), at
	// most limit of them (0 = all). Base stores order by bytes of the full key;
	// a decorator that hides names has a fixed order of its own, and says so.
	List(ctx context.Context, folder, after string, limit int) ([]string, error)

	// Apply makes all changes or none. It returns when they are durable, with
	// the revision that the written keys now have. Kinds: Conflict (a guard did
	// not hold; nothing was written), TooLarge, Invalid (empty key, the same
	// key written twice), Unavailable (unknown whether it was written: the disk
	// failed or ctx ended while waiting; re-read before trying again).
	// Without changes it returns the current revision.
	Apply(ctx context.Context, changes ...Change) (Revision, error)

	// Watch delivers every change to keys with prefix whose revision is greater
	// than from, in order, without gaps; from 0 means "from now on". It is
	// listening when Watch returns. Kind Exhausted: from is older than what the
	// store remembers; read the state anew and watch from there.
	Watch(ctx context.Context, prefix string, from Revision) (Watcher, error)

	// Close ends all watches and releases what the store holds. It waits for
	// running calls. Calling it again does nothing.
	Close() error
}

// Watcher is a running watch.
type Watcher interface {
	// Events is closed when the watch ends, for whatever reason.
	Events() <-chan Event
	// Err says why Events was closed: nil after Close or the end of the
	// context, Exhausted if the reader was too slow and events were lost.
	Err() error
	// Close ends the watch.
	Close()
}

// Event is one commit as far as a watch's prefix goes. Changes hold OpPut and
// OpDelete only. A decorator may leave Value nil where it says so.
type Event struct {
	Revision Revision
	Changes  []Change
}

// Validate returns Invalid or TooLarge if changes break the contract's limits.
// Every base store calls it first.
func Validate(changes []Change) error {
	if len(changes) > MaxChanges {
		return errs.Newf(errs.TooLarge, "a transaction of %d changes is over the limit of %d", len(changes), MaxChanges)
	}
	seen := make(map[string]struct{}, len(changes))
	for i := range changes {
		if err := changes[i].validate(); err != nil {
			return err
		}
		if _, twice := seen[changes[i].Key]; twice {
			return errs.New(errs.Invalid, "one key is changed twice in a transaction")
		}
		seen[changes[i].Key] = struct{}{}
	}
	return nil
}

func (c *Change) validate() error {
	switch {
	case c.Op < OpPut || c.Op > OpCheck:
		return errs.Newf(errs.Invalid, "unknown operation %d in a transaction", c.Op)
	case c.Key == "" || c.Key[0] == '/' || c.Key[len(c.Key)-1] == '/':
		return errs.New(errs.Invalid, "a key must not be empty nor begin or end with a slash")
	case len(c.Key) > MaxKey:
		return errs.Newf(errs.TooLarge, "a key of %d bytes is over the limit of %d", len(c.Key), MaxKey)
	case len(c.Value) > MaxValue:
		return errs.Newf(errs.TooLarge, "a value of %d bytes is over the limit of %d", len(c.Value), MaxValue)
	}
	return nil
}

package store

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Limits, held in Apply with errs.TooLarge. They fit an etcd request of default
// size; its --max-txn-ops must be raised (package etcd checks). A base store measures what it is given, which may be
// the output of a decorator: one that encodes names takes segments of up to
// MaxSegment bytes and keys that are at most MaxKey when encoded.
const (
	MaxKey     = 2 << 10 // bytes of one key as it is stored
	MaxSegment = 512     // bytes of one segment of a key that every store takes
	MaxValue   = 1 << 20 // bytes of one value
	Overhead   = 1 << 10 // bytes by which decorators may lengthen a value
	MaxChanges = 512     // changes of one Apply
	MaxBytes   = 5 << 18 // bytes of the keys and values of one Apply as they are stored
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
	AsOf     Revision // where the store stood when it was asked; 0 = not told, as by a store that only its own process writes to
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
	// most limit of them (0 = all); after need not exist any more. Base stores
	// order by bytes of the full key; a decorator that hides names has a fixed
	// order of its own, and says so. Kind Invalid: folder is neither "" nor
	// ends in "/".
	List(ctx context.Context, folder, after string, limit int) ([]string, error)

	// Apply makes all changes or none. It returns when they are durable, with
	// the revision that the written keys now have. Kinds: Conflict (a guard did
	// not hold; nothing was written), TooLarge, Invalid (empty key or segment,
	// the same key twice), Unavailable (unknown whether it was written: the disk
	// failed or ctx ended while waiting; re-read before trying again).
	// Without changes, or with none but checks, it writes nothing and returns
	// the current revision: state read after it can be watched from there.
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
	// context, Exhausted if the reader was too slow and events were lost,
	// Unavailable if the store was closed or can no longer be watched. It is
	// nil while Events is open.
	Err() error
	// Close ends the watch. Calling it again does nothing.
	Close()
}

// Event is one commit as far as a watch's prefix goes. Changes hold OpPut and
// OpDelete only, without guards; they are shared: never change them. A
// decorator may leave Value nil where it says so.
//
// An event without changes says that everything up to Revision has been delivered.
// One with At is a sign of life besides: whatever was committed before At has been
// delivered. A store that several processes write to sends signs of life several
// times a second, a store that only its own process writes to sends none.
type Event struct {
	Revision Revision
	Changes  []Change
	// At is when the question was sent whose answer proves the sign of life, by the
	// monotonic clock of this process; zero = the event is none. How long it was on
	// its way since does not matter to who compares it with now.
	At time.Time
}

// CheckFolder returns Invalid unless folder can be given to List.
func CheckFolder(folder string) error {
	if folder != "" && folder[len(folder)-1] != '/' {
		return errs.New(errs.Invalid, "a folder must be empty or end with a slash")
	}
	return nil
}

// CheckKey returns Invalid or TooLarge unless key can be the key of an entry.
func CheckKey(key string) error {
	switch {
	case key == "" || key[0] == '/' || key[len(key)-1] == '/':
		return errs.New(errs.Invalid, "a key must not be empty nor begin or end with a slash")
	case strings.Contains(key, "//"):
		return errs.New(errs.Invalid, "a key must not have an empty segment")
	case len(key) > MaxKey:
		return errs.Newf(errs.TooLarge, "a key of %d bytes is over the limit of %d", len(key), MaxKey)
	}
	return nil
}

// Validate returns Invalid or TooLarge if changes break the contract's limits.
// Every base store calls it first.
func Validate(changes []Change) error {
	if len(changes) > MaxChanges {
		return errs.Newf(errs.TooLarge, "a transaction of %d changes is over the limit of %d", len(changes), MaxChanges)
	}
	total := 0
	for i := range changes {
		if err := changes[i].validate(); err != nil {
			return err
		}
		total += len(changes[i].Key) + len(changes[i].Value)
	}
	if total > MaxBytes {
		return errs.Newf(errs.TooLarge, "a transaction of %d bytes is over the limit of %d", total, MaxBytes)
	}
	if twice(changes) {
		return errs.New(errs.Invalid, "one key is changed twice in a transaction")
	}
	return nil
}

// twice reports whether two changes have one key. Most transactions are so
// small that comparing all pairs is cheaper than a map.
func twice(changes []Change) bool {
	if len(changes) <= 16 {
		for i := range changes {
			for j := range i {
				if changes[i].Key == changes[j].Key {
					return true
				}
			}
		}
		return false
	}
	seen := make(map[string]struct{}, len(changes))
	for i := range changes {
		seen[changes[i].Key] = struct{}{}
	}
	return len(seen) < len(changes)
}

func (c *Change) validate() error {
	switch {
	case c.Op < OpPut || c.Op > OpCheck:
		return errs.Newf(errs.Invalid, "unknown operation %d in a transaction", c.Op)
	case c.Op == OpCheck && !c.Guarded:
		return errs.New(errs.Invalid, "a check in a transaction names no revision")
	case len(c.Value) > MaxValue+Overhead:
		return errs.Newf(errs.TooLarge, "a value of %d bytes is over the limit of %d", len(c.Value), MaxValue)
	}
	return CheckKey(c.Key)
}

package pebble

import (
	"runtime"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// A group is closed when it has this many requests or bytes.
const (
	groupRequests = 512
	groupBytes    = 1 << 20
)

// request is one Apply on its way through the committer.
type request struct {
	changes []store.Change
	state   atomic.Uint32 // of the values below
	rev     store.Revision
	err     error
	done    chan struct{} // closed when rev and err are set
}

// A request waits until either the committer takes it or its caller gives up.
const (
	waiting uint32 = iota
	taken
	abandoned
)

func (r *request) take() bool    { return r.state.CompareAndSwap(waiting, taken) }
func (r *request) abandon() bool { return r.state.CompareAndSwap(waiting, abandoned) }

func (r *request) answer(rev store.Revision, err error) {
	r.rev, r.err = rev, err
	close(r.done)
}

// committer writes groups of requests. Its one goroutine, owned by the Store,
// is the only writer of the database.
type committer struct {
	db    *pebble.DB
	disk  *disk
	views *views
	feed  *feed.Feed
	queue chan *request
	stop  chan struct{} // closed by Store.Close
	ended chan struct{} // closed when nothing is taken from queue any more

	group  []*request // being written; kept to spare allocations
	recent recent     // as if the group, so far as it is staged, were written
}

func (c *committer) run() {
	defer close(c.ended)
	for {
		select {
		case first := <-c.queue:
			c.collect(first)
			c.commit()
		case <-c.stop:
			return
		}
	}
}

// collect fills c.group with first and whatever is queued.
func (c *committer) collect(first *request) {
	clear(c.group)
	c.group = c.group[:0]
	// Callers just answered are about to come back: let them, so that they
	// share this sync and do not wait for the next.
	runtime.Gosched()
	for size, next := 0, first; ; {
		if next.take() {
			c.group = append(c.group, next)
			size += next.size()
		}
		if len(c.group) >= groupRequests || size >= groupBytes {
			return
		}
		select {
		case next = <-c.queue:
		default:
			return
		}
	}
}

func (r *request) size() (n int) {
	for i := range r.changes {
		n += len(r.changes[i].Key) + len(r.changes[i].Value)
	}
	return n
}

// commit writes c.group in one batch and answers all of it. Conflicts are
// answered after the sync, too: they may rest on what the group writes.
func (c *committer) commit() {
	base := c.views.acquire()
	defer c.views.release(base)
	c.recent.age()
	batch := c.db.NewBatch()
	defer func() { _ = batch.Close() }()

	rev := base.rev
	events := make([]store.Event, 0, len(c.group))
	for _, r := range c.group {
		if r.err = c.check(base, r.changes); r.err != nil {
			continue
		}
		rev++
		r.rev = rev
		if r.err = c.stage(batch, r.changes, rev); r.err != nil {
			c.fail(r.err)
			return
		}
		events = append(events, feed.Event(rev, r.changes))
	}
	if len(events) > 0 {
		if err := c.write(batch, rev); err != nil {
			c.fail(err)
			return
		}
		c.views.publish(c.db, rev)
		c.feed.Publish(events...)
	}
	for _, r := range c.group {
		r.answer(r.rev, r.err)
	}
}

// write makes batch durable, with rev as the store's revision. While the disk
// refuses writes it does not return.
func (c *committer) write(batch *pebble.Batch, rev store.Revision) error {
	if err := putRevision(batch, rev); err != nil {
		return failure("writing a transaction", err)
	}
	if err := c.db.Apply(batch, pebble.Sync); err != nil {
		return failure("writing a transaction", err)
	}
	return c.disk.dropped()
}

// fail answers the whole group with err.
func (c *committer) fail(err error) {
	c.recent.forget()
	for _, r := range c.group {
		r.answer(0, err)
	}
}

// check holds the guards of changes against base and what the group wrote.
func (c *committer) check(base *view, changes []store.Change) error {
	for i := range changes {
		ch := &changes[i]
		if !ch.Guarded {
			continue
		}
		rev, ok := c.recent.get(ch.Key)
		if !ok {
			var err error
			if rev, err = base.revision(ch.Key); err != nil {
				return err
			}
			c.recent.put(ch.Key, rev)
		}
		if rev != ch.Expect {
			return errConflict()
		}
	}
	return nil
}

// stage adds changes to batch as the commit rev.
func (c *committer) stage(batch *pebble.Batch, changes []store.Change, rev store.Revision) (err error) {
	for i := range changes {
		switch ch := &changes[i]; ch.Op {
		case store.OpPut:
			c.recent.put(ch.Key, rev)
			err = put(batch, ch.Key, ch.Value, rev)
		case store.OpDelete:
			c.recent.put(ch.Key, 0)
			err = batch.Delete(dataKey(nil, ch.Key), nil)
		}
		if err != nil {
			return failure("writing a transaction", err)
		}
	}
	return nil
}

func errConflict() error {
	return errs.New(errs.Conflict, "an entry changed since it was read; read it again and retry")
}

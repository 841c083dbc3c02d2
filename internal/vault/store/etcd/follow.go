package etcd

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// follower fills the feed from one etcd watch. Its goroutines are owned by the
// Store.
type follower struct{ *Store }

// proof is what makes a sign of life: a majority said to a question of a time that etcd
// stands at rev. When the watch has delivered everything up to rev, it is one.
type proof struct {
	rev store.Revision
	at  time.Time // of the question: what was committed before has at most rev
}

const (
	// maxAsked is how many questions may wait for their answers, so that an etcd that takes its
	// time for each does not make signs of life rarer.
	maxAsked = 8
	// maxOpen is how many proofs may wait for a watch that lags. Those that come later are dropped: an
	// older one that holds is worth more than ever new ones that never do.
	maxOpen = 32
)

// proofs are those that the watch has not caught up with, in no order.
type proofs []proof

// add keeps a proof, if there is room.
func (all *proofs) add(p proof) {
	if len(*all) < maxOpen {
		*all = append(*all, p)
	}
}

// take removes the proofs that hold for a watch that has delivered everything up to last, and
// returns the time of the newest; zero: none holds.
func (all *proofs) take(last store.Revision) (at time.Time) {
	*all = slices.DeleteFunc(*all, func(p proof) bool {
		if p.rev > last {
			return false
		}
		if p.at.After(at) {
			at = p.at
		}
		return true
	})
	return at
}

// errMoved ends a watch when calls go to another member from now on (package relay), or the client was closed:
// etcd's own troubles come with an error.
var errMoved = errors.New("the connection to etcd ended")

// errCompacted ends a watch whose next revision etcd has forgotten.
var errCompacted = errors.New("etcd has compacted what was to be watched")

// run watches from behind last until Close, again whenever a watch ends.
func (f *follower) run(last store.Revision) {
	for wait := time.Duration(0); ; {
		began := time.Now()
		var err error
		last, err = f.follow(last)
		if f.ctx.Err() != nil {
			return
		}
		if errors.Is(err, errCompacted) {
			last, err = f.restart(last)
		}
		level := slog.LevelWarn
		if errors.Is(err, errMoved) {
			level = slog.LevelInfo
		}
		f.cfg.Log.Log(f.ctx, level, "the watch on etcd ended and is begun again", slog.Any("reason", err), slog.Uint64("revision", uint64(last)))
		if wait = min(2*wait+50*time.Millisecond, time.Second); time.Since(began) > 10*time.Second {
			wait = 0
		}
		if !pause(f.ctx, wait) {
			return
		}
	}
}

// restart ends all watches, since events are lost to them, and says where to go on.
func (f *follower) restart(last store.Revision) (store.Revision, error) {
	ctx, finish, err := f.begin(f.ctx)
	if err != nil {
		return last, err
	}
	defer finish()
	now, err := f.revision(ctx)
	if err != nil {
		return last, err
	}
	f.feed.Reset(now)
	return now, errs.Newf(errs.Exhausted, "changes since revision %d are lost to watches: %w", last, errCompacted)
}

// follow publishes what one etcd watch brings and returns the revision of the
// last event, and why the watch ended.
func (f *follower) follow(last store.Revision) (store.Revision, error) {
	// A member that has lost its leader must end the watch instead of being silent.
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(f.ctx))
	asking := make(chan struct{}, maxAsked)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	answers := f.client.Watch(ctx, f.keys.data, clientv3.WithPrefix(), clientv3.WithRev(int64(last)+1),
		clientv3.WithFragment(), clientv3.WithProgressNotify())
	beat := time.NewTicker(f.cfg.pulse())
	defer beat.Stop()
	proven := make(chan proof)
	var open proofs
	for {
		select {
		case r, ok := <-answers:
			if err := ended(&r, ok); err != nil {
				return last, err
			}
			last = f.publish(last, &r)
		case p := <-proven:
			open.add(p)
		case <-beat.C:
			select {
			case asking <- struct{}{}:
				delivered := last
				asked.Go(func() {
					defer func() { <-asking }()
					f.ask(ctx, proven, delivered)
				})
			default: // too many questions have no answer yet
			}
			continue
		}
		if at := open.take(last); !at.IsZero() {
			f.feed.Pulse(last, at)
		}
	}
}

// ended says why a watch ended, nil if it did not.
func ended(r *clientv3.WatchResponse, ok bool) error {
	switch {
	case !ok:
		return errMoved
	case r.CompactRevision > 0 || is(r.Err(), rpctypes.ErrCompacted):
		return errCompacted
	}
	return r.Err()
}

// publish passes the events of one answer on, one per revision: etcd sends all
// of a revision in one answer, and its client puts fragments together.
func (f *follower) publish(last store.Revision, r *clientv3.WatchResponse) store.Revision {
	var events []store.Event
	for _, e := range r.Events {
		c := store.Change{Op: store.OpPut, Key: string(e.Kv.Key[len(f.keys.data):]), Value: e.Kv.Value}
		if e.Type == clientv3.EventTypeDelete {
			c.Op, c.Value = store.OpDelete, nil
		}
		rev := store.Revision(e.Kv.ModRevision)
		switch {
		case rev <= last: // seen before the connection was lost
		case len(events) > 0 && events[len(events)-1].Revision == rev:
			at := &events[len(events)-1]
			at.Changes = append(at.Changes, c)
		default:
			events = append(events, store.Event{Revision: rev, Changes: []store.Change{c}})
		}
	}
	if len(events) > 0 {
		f.feed.Publish(events...)
		return events[len(events)-1].Revision
	}
	if r.IsProgressNotify() { // everything up to here has been delivered
		return max(last, store.Revision(r.Header.Revision))
	}
	return last
}

// ask finds out by a majority how far etcd is, and has the watch say how far it is. delivered is how
// far the watch was before.
func (f *follower) ask(watching context.Context, proven chan<- proof, delivered store.Revision) {
	at := time.Now()
	ctx, finish, err := f.begin(watching)
	if err != nil {
		return
	}
	defer finish()
	r, err := f.client.Get(ctx, f.keys.owner)
	if err != nil {
		f.cfg.Log.Debug("asking etcd for a sign of life", slog.Any("error", err))
		return
	}
	if fence := f.owner.fence(); fence != 0 && (len(r.Kvs) == 0 || r.Kvs[0].CreateRevision != fence) {
		f.owner.doubt()
		return
	}
	if store.Revision(r.Header.Revision) < delivered || r.Header.ClusterId != f.cluster {
		f.breakDown(errReplaced())
		return
	}
	select {
	case proven <- proof{rev: store.Revision(r.Header.Revision), at: at}:
	case <-watching.Done():
		return
	}
	// Of the watch's own stream, by its context. An etcd to which nothing was
	// written since the watch began does not answer, and need not.
	if err := f.client.RequestProgress(watching); err != nil {
		f.cfg.Log.Debug("asking etcd for a sign of life", slog.Any("error", err))
	}
}

// errReplaced is for an etcd that went back in time. Nothing in memory can be believed then, and watches
// are deaf until etcd gets to where they are.
func errReplaced() error {
	return errs.New(errs.Unavailable, "etcd went back in time: it was started from a backup or lost what it had acknowledged, or is another one; what this process has in memory may not be there: restart it")
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package etcd

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// follower fills the feed from one etcd watch. Its goroutines are owned by the
// Store.
type follower struct{ *Store }

// proof is what makes a sign of life: a majority said at a time that etcd stood
// at rev. When the watch has delivered everything up to rev, it is one.
type proof struct {
	rev store.Revision
	at  time.Time
}

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
		f.cfg.Log.Warn("the watch on etcd ended and is begun again", slog.Any("reason", err), slog.Uint64("revision", uint64(last)))
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
	asking := make(chan struct{}, 1) // one question at a time
	defer func() {
		cancel()
		asking <- struct{}{}
	}()
	answers := f.client.Watch(ctx, f.keys.data, clientv3.WithPrefix(), clientv3.WithRev(int64(last)+1),
		clientv3.WithFragment(), clientv3.WithProgressNotify())
	beat := time.NewTicker(pulseEvery)
	defer beat.Stop()
	proofs := make(chan proof)
	open := proof{} // what is not delivered yet; rev 0 = none
	for {
		select {
		case r, ok := <-answers:
			if err := ended(&r, ok); err != nil {
				return last, err
			}
			last = f.publish(last, &r)
		case open = <-proofs:
		case <-beat.C:
			select {
			case asking <- struct{}{}:
				go func() {
					defer func() { <-asking }()
					f.ask(ctx, proofs)
				}()
			default: // the last question has no answer yet
			}
			continue
		}
		if open.rev != 0 && last >= open.rev {
			if time.Since(open.at) <= PulseMost {
				f.feed.Pulse(last)
			}
			open = proof{}
		}
	}
}

// ended says why a watch ended, nil if it did not.
func ended(r *clientv3.WatchResponse, ok bool) error {
	switch {
	case !ok:
		return errs.New(errs.Unavailable, "the connection to etcd ended")
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

// ask finds out by a majority how far etcd is, and has the watch say how far it is.
func (f *follower) ask(watching context.Context, proofs chan<- proof) {
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
	select {
	case proofs <- proof{rev: store.Revision(r.Header.Revision), at: at}:
	case <-watching.Done():
		return
	}
	// Of the watch's own stream, by its context. An etcd to which nothing was
	// written since the watch began does not answer, and need not.
	if err := f.client.RequestProgress(watching); err != nil {
		f.cfg.Log.Debug("asking etcd for a sign of life", slog.Any("error", err))
	}
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

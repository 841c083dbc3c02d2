package pebble

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// Config says where and how to store. Only Dir is needed.
type Config struct {
	Dir           string        // made if it is missing, with mode 0700
	CacheBytes    int64         // of blocks read from disk; 0 = 8 MiB, since the cached decorator sits above
	MemTableBytes int64         // of writes kept in memory until they are sorted to disk, four times at most; 0 = 4 MiB
	History       feed.Config   // what watches can go back to
	Retry         time.Duration // between attempts at what the disk refused; 0 = 1 s
	Log           *slog.Logger  // nil = slog.Default()
	FS            vfs.FS        // for tests; nil = the operating system's
}

// Store implements store.Store.
type Store struct {
	committer
	lock    *pebble.Lock
	closing sync.Once
	closed  error // of Close; set by closing
}

var _ store.Store = (*Store)(nil)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	now, err := s.now(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer s.views.release(now)
	return now.get(key)
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	if err := store.CheckFolder(folder); err != nil {
		return nil, err
	}
	now, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	defer s.views.release(now)
	return now.list(ctx, folder, after, limit)
}

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	now, err := s.now(ctx)
	if err != nil {
		return 0, err
	}
	if !writes(changes) {
		defer s.views.release(now)
		return s.checkNow(now, changes)
	}
	s.views.release(now)
	return s.commitOne(ctx, changes)
}

func writes(changes []store.Change) bool {
	for i := range changes {
		if changes[i].Op != store.OpCheck {
			return true
		}
	}
	return false
}

// checkNow answers for changes that write nothing.
func (s *Store) checkNow(now *view, changes []store.Change) (store.Revision, error) {
	for i := range changes {
		rev, err := now.revision(changes[i].Key)
		if err != nil {
			return 0, err
		}
		if rev != changes[i].Expect {
			return 0, errConflict()
		}
	}
	return now.rev, nil
}

// commitOne sends changes through the committer. It does not wait for a disk
// that refuses writes.
func (s *Store) commitOne(ctx context.Context, changes []store.Change) (store.Revision, error) {
	state := s.disk.now()
	if state.err != nil {
		return 0, state.err
	}
	r := &request{changes: changes, done: make(chan struct{})}
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return 0, errs.Newf(errs.Unavailable, "waiting to write: %w", ctx.Err())
	case <-state.bad:
		return 0, state.reason()
	case <-s.ended:
		return 0, errClosed()
	}
	select {
	case <-r.done:
		return r.rev, r.err
	case <-ctx.Done():
		return r.leave(errs.Newf(errs.Unavailable, "waiting for the disk: %w", ctx.Err()))
	case <-state.bad:
		return r.leave(state.reason())
	case <-s.ended:
		return r.leave(errClosed())
	}
}

// leave gives up waiting for a request. One that no group holds yet is not
// written any more; for one in a group nobody knows. If the answer came at the
// same moment, it counts.
func (r *request) leave(err error) (store.Revision, error) {
	if !r.abandon() {
		select {
		case <-r.done:
			return r.rev, r.err
		default:
		}
	}
	return 0, err
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	now, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	defer s.views.release(now)
	return s.feed.Watch(ctx, prefix, from)
}

// Err returns why the store does not take writes at the moment, nil if it does.
func (s *Store) Err() error { return s.disk.now().err }

// Close implements store.Store. Its error says that something could not be
// written to disk at the end; what Apply has acknowledged is safe even then.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.disk.close()
		close(s.stop)
		<-s.ended
		s.feed.Close()
		s.views.close()
		err := s.db.Close()
		if dropped := s.disk.dropped(); dropped != nil {
			err = dropped
		}
		if lockErr := s.lock.Close(); err == nil {
			err = lockErr
		}
		s.closed = failure("closing the store", err)
	})
	return s.closed
}

// now returns the newest view, to be released.
func (s *Store) now(ctx context.Context) (*view, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.Newf(errs.Unavailable, "asking the store: %w", err)
	}
	now := s.views.acquire()
	if now == nil {
		return nil, errClosed()
	}
	return now, nil
}

func errClosed() error { return errs.New(errs.Unavailable, "the store is closed") }

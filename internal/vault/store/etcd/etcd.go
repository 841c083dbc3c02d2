package etcd

import (
	"context"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// Store implements store.Store.
type Store struct {
	cfg    Config
	client *clientv3.Client
	keys   keys
	feed   *feed.Feed
	owner  *owner // nil unless Config.Exclusive

	cluster uint64 // etcd's ID; does not change once the store is open

	ctx     context.Context // ends with Close
	stop    context.CancelFunc
	done    sync.WaitGroup // goroutines
	calls   sync.WaitGroup // running calls
	closing sync.Once
	closed  error // of Close; set by closing
	broken  atomic.Pointer[error]
	down    chan struct{} // closed with broken

	mu  sync.RWMutex // held while a call is counted
	end bool         // no call begins any more
}

var _ store.Store = (*Store)(nil)

// keys are where things lie in etcd.
type keys struct {
	prefix, format, owner, term string
	data                        string // in front of an entry's key
}

func newKeys(prefix string) keys {
	return keys{
		prefix: prefix, format: prefix + "meta/format", owner: prefix + "meta/owner",
		term: prefix + "meta/term", data: prefix + "k/",
	}
}

// begin counts a call and bounds it. finish must be called.
func (s *Store) begin(ctx context.Context) (_ context.Context, finish func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, errs.Newf(errs.Unavailable, "asking the store: %w", err)
	}
	if err := s.broken.Load(); err != nil {
		return nil, nil, *err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.end {
		return nil, nil, errClosed()
	}
	s.calls.Add(1)
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	unhook := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		unhook()
		cancel()
		s.calls.Done()
	}, nil
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	ctx, finish, err := s.begin(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	defer finish()
	if store.CheckKey(key) != nil {
		return store.Entry{Key: key}, nil // nothing can be stored there
	}
	r, err := s.client.Get(ctx, s.keys.data+key)
	if err != nil {
		return store.Entry{}, failure("reading an entry", err)
	}
	if len(r.Kvs) == 0 {
		return store.Entry{Key: key, AsOf: store.Revision(r.Header.Revision)}, nil
	}
	kv := r.Kvs[0]
	return store.Entry{Key: key, Value: kv.Value, Revision: store.Revision(kv.ModRevision), AsOf: store.Revision(r.Header.Revision)}, nil
}

// Apply implements store.Store. A transaction that only deletes what is not
// there is no commit of etcd's: it returns the current revision.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	ctx, finish, err := s.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer finish()
	guards, ops := s.translate(changes)
	fence := s.owner.fence()
	if len(ops) > 0 && fence != 0 {
		guards = append(guards, clientv3.Compare(clientv3.CreateRevision(s.keys.owner), "=", fence))
	}
	// A transaction without a read or a write would be answered from the
	// member's own state, which may be old. This read has it linearized, and
	// tells in the other branch whether it was the fence that did not hold.
	look := clientv3.OpGet(s.keys.owner)
	if len(ops) == 0 {
		ops = append(ops, look)
	}
	r, err := s.client.Txn(ctx).If(guards...).Then(ops...).Else(look).Commit()
	switch {
	case err != nil:
		return 0, failure("committing", err)
	case r.Succeeded:
		return store.Revision(r.Header.Revision), nil
	case fence != 0 && !holds(r, fence):
		s.owner.doubt()
		return 0, errs.New(errs.Unavailable, "this process lost its claim on the store in etcd; nothing was written, and it claims it again by itself unless another took over")
	default:
		return 0, errs.New(errs.Conflict, "an entry changed since it was read; read it again and retry")
	}
}

// holds reports whether the owner that a refused transaction saw has the fence.
func holds(r *clientv3.TxnResponse, fence int64) bool {
	kvs := r.Responses[0].GetResponseRange().GetKvs()
	return len(kvs) == 1 && kvs[0].CreateRevision == fence
}

func (s *Store) translate(changes []store.Change) (guards []clientv3.Cmp, ops []clientv3.Op) {
	guards = make([]clientv3.Cmp, 0, len(changes)+1)
	ops = make([]clientv3.Op, 0, len(changes))
	for i := range changes {
		c := &changes[i]
		key := s.keys.data + c.Key
		if c.Guarded {
			guards = append(guards, clientv3.Compare(clientv3.ModRevision(key), "=", int64(c.Expect)))
		}
		switch c.Op {
		case store.OpPut:
			ops = append(ops, clientv3.OpPut(key, string(c.Value)))
		case store.OpDelete:
			ops = append(ops, clientv3.OpDelete(key))
		}
	}
	return guards, ops
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	bounded, finish, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer finish()
	if from == 0 {
		// The feed may be behind what other calls have been told already.
		if from, err = s.revision(bounded); err != nil {
			return nil, err
		}
	}
	return s.feed.Watch(ctx, prefix, from)
}

// revision asks a majority for the current revision.
func (s *Store) revision(ctx context.Context) (store.Revision, error) {
	r, err := s.client.Get(ctx, s.keys.format, clientv3.WithKeysOnly())
	if err != nil {
		return 0, failure("asking for the revision", err)
	}
	return store.Revision(r.Header.Revision), nil
}

// Err returns why the store cannot be used any more, nil if it can.
func (s *Store) Err() error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Broken is closed when the store cannot be used any more.
func (s *Store) Broken() <-chan struct{} { return s.down }

// breakDown makes every later call fail with err and ends all watches.
func (s *Store) breakDown(err error) {
	if s.broken.CompareAndSwap(nil, &err) {
		s.cfg.Log.Error("the store cannot be used any more", "error", err)
		close(s.down)
		s.feed.Close()
	}
}

// Close implements store.Store. Calls under way are cut short: whether their
// writes were made is unknown, as they are told.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.end = true
		s.mu.Unlock()
		s.stop()
		s.calls.Wait()
		s.done.Wait()
		s.feed.Close()
		s.owner.release()
		if s.cfg.Client != nil {
			return
		}
		if err := s.client.Close(); err != nil {
			s.closed = errs.Newf(errs.Unavailable, "closing the connection to etcd: %w", err)
		}
	})
	return s.closed
}

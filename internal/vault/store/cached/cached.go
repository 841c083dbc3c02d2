package cached

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// Config is what a Store can be told. The zero Config fits a store that only
// this process writes to.
type Config struct {
	MaxBytes   int           // of kept entries, with what keeping them costs; 0 = 64 MiB
	MaxSilence time.Duration // how old the latest sign of life of the watch may be, by its proof, for the cache to be believed; 0 = for ever
	Retry      time.Duration // between attempts to watch again; 0 = 100 ms
	Log        *slog.Logger  // nil = slog.Default()
}

// Store implements store.Store over another. Events of its watches are those
// of the inner store, each delivered when the cache has taken note of it.
type Store struct {
	inner  store.Store
	cfg    Config
	table  *table
	relay  feed.Relay
	born   time.Time    // times below are since then, by the monotonic clock
	heard  atomic.Int64 // the time of the latest sign of life (store.Event.At), ns
	live   atomic.Bool  // the watch runs: the table may be believed
	closed atomic.Bool
	taken  progress

	stop context.CancelFunc
	done sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Stats say how the cache does.
type Stats struct {
	Hits, Misses uint64 // reads answered from memory and from the store
	Entries      int
	Bytes        int
	Live         bool // false while reads go through for want of a watch
}

// New decorates inner, and closes it when it is closed (see store.Borrow).
func New(inner store.Store, cfg Config) *Store {
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.Retry <= 0 {
		cfg.Retry = 100 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &Store{inner: inner, cfg: cfg, table: newTable(cfg.MaxBytes), born: time.Now()}
	s.taken.changed = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	f := follower{Store: s}
	w, err := f.start(ctx) // here, so that the cache is live when New returns
	s.done.Go(func() { f.run(ctx, w, err) })
	return s
}

// Get implements store.Store. A hit takes no lock and allocates nothing.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	hash := s.table.hash(key)
	shard := s.table.shard(hash)
	if s.believed() {
		if it := s.table.find(hash, key); it != nil {
			shard.hits.Add(1)
			return it.entry, nil
		}
	}
	shard.misses.Add(1)
	if s.closed.Load() {
		return store.Entry{}, errClosed()
	}
	m := s.table.now(hash)
	e, err := s.inner.Get(ctx, key)
	if err == nil {
		s.table.fill(hash, e, m, s.believed())
	}
	return e, err
}

// believed reports whether the table may be used now. Whoever finds the watch
// silent turns the cache off for everybody: he will see newer entries than the
// table holds, which leave it when he has read them (table.fill).
func (s *Store) believed() bool {
	if !s.live.Load() {
		return false
	}
	if s.cfg.MaxSilence > 0 && s.silent() {
		s.live.Store(false)
		return false
	}
	return true
}

func (s *Store) silent() bool {
	return time.Since(s.born)-time.Duration(s.heard.Load()) > s.cfg.MaxSilence
}

// List implements store.Store; it always asks the inner store.
func (s *Store) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	if s.closed.Load() {
		return nil, errClosed()
	}
	return s.inner.List(ctx, folder, after, limit)
}

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if s.closed.Load() {
		return 0, errClosed()
	}
	s.table.begin(changes)
	rev, err := s.inner.Apply(ctx, changes...)
	s.table.end(changes, rev, err, s.believed())
	return rev, err
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	if s.closed.Load() {
		return nil, errClosed()
	}
	w, err := s.inner.Watch(ctx, prefix, from)
	if err != nil {
		return nil, err
	}
	return s.relay.Forward(ctx, w, func(ctx context.Context, e store.Event) (store.Event, bool, error) {
		// Whoever sees the event must not read an older state afterwards.
		return e, true, s.taken.wait(ctx, e.Revision)
	})
}

// Stats may be called at any time.
func (s *Store) Stats() Stats {
	st := Stats{Live: s.believed()}
	for i := range s.table.shards {
		sh := &s.table.shards[i]
		st.Hits += sh.hits.Load()
		st.Misses += sh.misses.Load()
		sh.mu.Lock()
		st.Entries += len(sh.clock)
		st.Bytes += sh.bytes
		sh.mu.Unlock()
	}
	return st
}

// Close implements store.Store. It forgets what was kept.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.stop()
	s.done.Wait()
	s.relay.Close()
	return s.inner.Close()
}

func errClosed() error { return errs.New(errs.Unavailable, "the store is closed") }

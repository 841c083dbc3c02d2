package session

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// finder is a backend that can search, and that knows its quota.
type finder struct {
	backend
	finds     atomic.Int64
	perSecond float64
}

func (f *finder) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	if _, err := f.backend.Open(ctx, cfg); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *finder) Rate() (perSecond float64, burst int) { return f.perSecond, 1 }

func (f *finder) Find(_ context.Context, q provider.Query) ([]provider.Found, error) {
	f.finds.Add(1)
	time.Sleep(f.hold)
	f.mu.Lock()
	defer f.mu.Unlock()
	return []provider.Found{{Key: q.Path + "/a"}}, f.err
}

func pool(f *finder) *Pool {
	f.changes = make(chan provider.Change)
	return New(Config{
		Providers: map[string]provider.Provider{"test": f}, Cluster: kube{}, Clock: clock.RealClock{},
		Log: slog.New(slog.DiscardHandler), Concurrency: 4,
	})
}

func TestSearchesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{perSecond: 1e6, backend: backend{hold: time.Second}}
		p := pool(f)
		defer p.Close()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				path := []string{"x", "y"}[i%2]
				found, began, err := p.Find(t.Context(), object(t, 1), provider.Query{Path: path})
				if err != nil || len(found) != 1 || found[0].Key != path+"/a" || began.IsZero() {
					t.Errorf("%v %v %v", found, began, err)
				}
			})
		}
		all.Wait()
		if n := f.finds.Load(); n != 2 {
			t.Errorf("%d searches for two queries, want 2", n)
		}
		// An empty query is a search too, and not the read of an empty key.
		if _, _, err := p.Find(t.Context(), object(t, 1), provider.Query{}); err != nil || f.finds.Load() != 3 || f.reads.Load() != 0 {
			t.Errorf("%d searches, %d reads (%v)", f.finds.Load(), f.reads.Load(), err)
		}
	})
}

func TestAStoreThatCannotSearchSaysSo(t *testing.T) {
	run(t, &backend{}, func(t *testing.T, p *Pool) {
		if _, _, err := p.Find(t.Context(), object(t, 1), provider.Query{}); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%v, want unsupported", err)
		}
		if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); err != nil {
			t.Errorf("a read after it: %v", err)
		}
	})
}

// A change spoils what a search has found, whatever it was about.
func TestSearchAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{perSecond: 1e6}
		p := pool(f)
		defer p.Close()
		find := func() {
			if _, _, err := p.Find(t.Context(), object(t, 1), provider.Query{Path: "x"}); err != nil {
				t.Error(err)
			}
		}
		find()
		ctx, stop := context.WithCancel(t.Context())
		heard := make(chan struct{})
		go func() { _ = p.Notify(ctx, object(t, 1), func(provider.Change) { close(heard) }) }()
		f.changes <- provider.Change{Topic: "t/elsewhere"}
		<-heard
		find()
		stop()
		if n := f.finds.Load(); n != 2 {
			t.Errorf("%d searches, want a second one after the change", n)
		}
	})
}

func TestCallsKeepToTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{perSecond: 10}
		p := pool(f)
		defer p.Close()
		began := time.Now()
		var all sync.WaitGroup
		for i := range 41 {
			all.Go(func() {
				if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: string(rune('a' + i))}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took != 4*time.Second { // of the bubble
			t.Errorf("41 calls at 10 a second took %v, want 4 s", took)
		}
	})
}

// Whoever is refreshed by time in one burst takes one read, however long the burst
// takes, within bounds; others get what was read just now, and nobody gets what is
// known to be old.
func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &finder{perSecond: 1e6}
		p := pool(f)
		defer p.Close()
		recent := Recent{p}
		req := provider.Request{Key: "app"}
		read := func(from interface {
			Read(context.Context, v1.Store, provider.Request) (provider.Value, error)
		}, want int64) {
			t.Helper()
			if _, err := from.Read(t.Context(), object(t, 1), req); err != nil {
				t.Error(err)
			}
			if got := f.reads.Load(); got != want {
				t.Errorf("%d reads, want %d", got, want)
			}
		}
		for range 20 { // 8 s
			read(recent, 1)
			time.Sleep(400 * time.Millisecond)
			synctest.Wait()
		}
		read(p, 2)
		read(recent, 2)
		for range 30 {
			time.Sleep(400 * time.Millisecond)
			synctest.Wait()
			if _, err := recent.Read(t.Context(), object(t, 1), req); err != nil {
				t.Error(err)
			}
		}
		if got := f.reads.Load(); got != 3 { // the one before was kept for ten seconds
			t.Errorf("%d reads in 12 s, want one more", got-2)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		read(recent, 4) // nobody came in between
	})
}

// never is a store that does not answer: its server hangs, or its settings say to try
// again for a year.
type never struct{ backend }

func (n *never) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	_, err := n.backend.Open(ctx, cfg)
	return n, err
}

func (*never) hang(ctx context.Context) error {
	tries := 1_000_000
	return provider.Retry{Max: &tries, Wait: time.Hour}.Read(ctx, clock.RealClock{}, func() error { return errs.New(errs.Unavailable, "no") })
}

func (n *never) Check(ctx context.Context) error { return n.hang(ctx) }
func (n *never) Read(ctx context.Context, _ provider.Request) (provider.Value, error) {
	return provider.Value{}, n.hang(ctx)
}
func (n *never) Find(ctx context.Context, _ provider.Query) ([]provider.Found, error) {
	return nil, n.hang(ctx)
}
func (n *never) Write(ctx context.Context, _ provider.Write) error  { return n.hang(ctx) }
func (n *never) Delete(ctx context.Context, _ provider.Place) error { return n.hang(ctx) }
func (n *never) Exists(ctx context.Context, _ provider.Place) (bool, error) {
	return false, n.hang(ctx)
}

// Guards the operator's workers, each of which waits for a call, and its end, which waits
// for all.
func TestNoCallLastsForEver(t *testing.T) {
	n := &never{}
	run(t, &n.backend, func(t *testing.T, p *Pool) {
		p.cfg.Providers["test"] = n
		store, ctx := object(t, 1), t.Context()
		at := provider.Place{Key: "a"}
		for name, call := range map[string]func() error{
			"Read":   func() error { _, err := p.Read(ctx, store, provider.Request{Key: "a"}); return err },
			"Find":   func() error { _, _, err := p.Find(ctx, store, provider.Query{}); return err },
			"Check":  func() error { return p.Check(ctx, store) },
			"Write":  func() error { return p.Write(ctx, store, provider.Write{Place: at}) },
			"Delete": func() error { return p.Delete(ctx, store, at) },
			"Exists": func() error { _, err := p.Exists(ctx, store, at); return err },
		} {
			time.Sleep(2 * downPause) // in a synctest bubble
			began := time.Now()
			if err := call(); !errs.Is(err, errs.Unavailable) || time.Since(began) != longest {
				t.Errorf("%s: %v after %v", name, err, time.Since(began))
			}
		}
	})
}

package session

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// caller is a backend that takes requests.
type caller struct{ *backend }

func (c caller) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	_, err := c.backend.Open(ctx, cfg)
	return c, err
}

func (c caller) Call(_ context.Context, method, path string, _ any) (json.RawMessage, error) {
	if n := c.inFlight.Add(1); n > c.most.Load() {
		c.most.Store(n)
	}
	defer c.inFlight.Add(-1)
	time.Sleep(c.hold) // in a synctest bubble
	c.mu.Lock()
	defer c.mu.Unlock()
	return json.RawMessage(`"` + method + " " + path + `"`), c.err
}

func (c caller) Locate(path string) string   { return "at/" + path }
func (c caller) LocateKey(key string) string { return "at/data/" + key }

func runCaller(t *testing.T, b *backend, f func(*testing.T, *Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{
			Providers: map[string]provider.Provider{"test": caller{b}}, Cluster: kube{}, Clock: clock.RealClock{},
			Log: slog.New(slog.DiscardHandler), Concurrency: 4,
		})
		f(t, p)
		p.Close()
		if b.opens.Load() != b.closes.Load() {
			t.Errorf("%d opened, %d closed", b.opens.Load(), b.closes.Load())
		}
	})
}

// Requests are not shared, and bounded together with reads.
func TestCalls(t *testing.T) {
	b := &backend{hold: time.Second}
	runCaller(t, b, func(t *testing.T, p *Pool) {
		v, err := p.Vault(t.Context(), object(t, 1))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				if got, err := v.Call(t.Context(), "POST", "x", nil); err != nil || string(got) != `"POST x"` {
					t.Error(string(got), err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); b.most.Load() != 4 || took != 3*time.Second || b.opens.Load() != 1 {
			t.Errorf("%d at once in %v with %d opens, want 4 in 3s with 1", b.most.Load(), took, b.opens.Load())
		}
		short, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
		defer cancel()
		for range 4 {
			wg.Go(func() { _, _ = p.Call(t.Context(), object(t, 1), "POST", "x", nil) })
		}
		synctest.Wait()
		if _, err := p.Call(short, object(t, 1), "POST", "x", nil); !errs.Is(err, errs.Unavailable) {
			t.Errorf("a caller that gives up: %v", err)
		}
		wg.Wait()
	})
}

// A store that is down for reads is still asked: an act has its own patience.
// What answers is up for reads as well.
func TestCallsWhileDown(t *testing.T) {
	b := &backend{}
	runCaller(t, b, func(t *testing.T, p *Pool) {
		b.fail(errs.New(errs.Unavailable, "sealed"))
		_, _ = p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"})
		if _, err := p.Call(t.Context(), object(t, 1), "GET", "x", nil); !errs.Is(err, errs.Unavailable) {
			t.Errorf("a call to a store that is down: %v", err)
		}
		b.fail(nil)
		if _, err := p.Call(t.Context(), object(t, 1), "GET", "x", nil); err != nil {
			t.Errorf("a call after it came back: %v", err)
		}
		if _, err := p.Read(t.Context(), object(t, 1), provider.Request{Key: "a"}); err != nil {
			t.Errorf("a read after that: %v", err)
		}
	})
}

func TestLocations(t *testing.T) {
	b := &backend{}
	runCaller(t, b, func(t *testing.T, p *Pool) {
		path, err := p.Locate(t.Context(), object(t, 1), "data/x")
		key, err2 := p.LocateKey(t.Context(), object(t, 1), "x")
		if path != "at/data/x" || key != path || err != nil || err2 != nil {
			t.Errorf("%q, %v; %q, %v", path, err, key, err2)
		}
	})
}

// A store that neither takes requests nor names anything says so.
func TestStoresThatOnlyRead(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		if _, err := p.Call(t.Context(), object(t, 1), "GET", "x", nil); !errs.Is(err, errs.Unsupported) {
			t.Errorf("calling: %v", err)
		}
		if _, err := p.Vault(t.Context(), object(t, 1)); !errs.Is(err, errs.Unsupported) {
			t.Errorf("a vault: %v", err)
		}
		if at, err := p.LocateKey(t.Context(), object(t, 1), "x"); at != "" || err != nil {
			t.Errorf("a location: %q, %v", at, err)
		}
	})
	b = &backend{openErr: errs.New(errs.NotExist, "no credentials")}
	run(t, b, func(t *testing.T, p *Pool) {
		if _, err := p.LocateKey(t.Context(), object(t, 1), "x"); !errs.Is(err, errs.Unavailable) {
			t.Errorf("a location in a store that does not open: %v", err)
		}
	})
}

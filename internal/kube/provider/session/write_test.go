package session

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// writable is a backend that can be written to.
type writable struct {
	backend
	writes int
}

func (b *writable) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	_, err := b.backend.Open(ctx, cfg)
	return b, err
}

func (b *writable) did() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writes++
	return b.err
}

func (b *writable) Write(context.Context, provider.Write) error          { return b.did() }
func (b *writable) Delete(context.Context, provider.Place) error         { return b.did() }
func (b *writable) Exists(context.Context, provider.Place) (bool, error) { return true, b.did() }

// Writes go to the backend one by one; reads that begin after one see it; while
// the store is down nothing is written, and who asks is told what the first heard.
func TestWrites(t *testing.T) {
	b := &writable{}
	run(t, &b.backend, func(t *testing.T, p *Pool) {
		p.cfg.Providers["test"] = b
		store, ctx := object(t, 1), t.Context()
		read := func(want int64) {
			t.Helper()
			if _, err := p.Read(ctx, store, provider.Request{Key: "a"}); err != nil || b.reads.Load() != want {
				t.Errorf("%d reads (%v), want %d", b.reads.Load(), err, want)
			}
		}
		read(1)
		read(1)
		w := provider.Write{Place: provider.Place{Key: "a"}, Value: redact.FromString("v")}
		if err := p.Write(ctx, store, w); err != nil {
			t.Fatal(err)
		}
		read(2)
		if err := p.Delete(ctx, store, w.Place); err != nil {
			t.Fatal(err)
		}
		read(3)
		if ok, err := p.Exists(ctx, store, w.Place); !ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		read(3)
		if ok, err := p.Writable(ctx, store); !ok || err != nil {
			t.Errorf("writable: %v, %v", ok, err)
		}
		b.fail(errs.New(errs.Unavailable, "writing a: sealed"))
		for range 3 {
			if err := p.Write(ctx, store, w); !errs.Is(err, errs.Unavailable) {
				t.Errorf("%v, want unavailable", err)
			}
		}
		if err := p.Delete(ctx, store, provider.Place{Key: "other"}); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), " a:") {
			t.Errorf("%v, want unavailable, without the other's key", err)
		}
		if b.writes != 4 {
			t.Errorf("%d calls, want 4: it is down", b.writes)
		}
		b.fail(errs.New(errs.Conflict, "foreign"))
		time.Sleep(2 * downPause)
		for range 2 {
			if err := p.Write(ctx, store, w); !errs.Is(err, errs.Conflict) {
				t.Errorf("%v, want conflict", err)
			}
		}
	})
}

func TestNotWritable(t *testing.T) {
	b := &backend{}
	run(t, b, func(t *testing.T, p *Pool) {
		if err := p.Write(t.Context(), object(t, 1), provider.Write{}); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%v, want unsupported", err)
		}
		if ok, err := p.Writable(t.Context(), object(t, 1)); ok || err != nil {
			t.Errorf("writable: %v, %v", ok, err)
		}
	})
}

// scarce is a writable with a quota of one call a minute.
type scarce struct{ writable }

func (b *scarce) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	_, err := b.backend.Open(ctx, cfg)
	return b, err
}

func (b *scarce) Rate() (perSecond float64, burst int) { return 1.0 / 60, 1 }

// A write that waits for its turn ends with its context; others lose no turn by it,
// and the store is not taken to be down.
func TestWriteGivesUp(t *testing.T) {
	b := &scarce{}
	run(t, &b.backend, func(t *testing.T, p *Pool) {
		p.cfg.Providers["test"] = b
		store, w := object(t, 1), provider.Write{Place: provider.Place{Key: "a"}}
		if err := p.Write(t.Context(), store, w); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := p.Write(ctx, store, w); !errs.Is(err, errs.Unavailable) {
				t.Errorf("%v, want unavailable", err)
			}
			cancel()
		}
		if waited := time.Since(began); waited != 5*time.Second {
			t.Errorf("waited %v, want the five seconds of its contexts", waited)
		}
		if err := p.Write(t.Context(), store, w); err != nil || time.Since(began) > time.Minute {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

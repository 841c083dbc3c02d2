package gate

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// A subscription is a request like any other to the rate limits: with a token or
// without, nobody asks more often by way of it.
func TestSubscriptionsAreRateLimited(t *testing.T) {
	b := newBench(t)
	v := b.vault
	tx := v.Begin()
	if err := quota.Put(tx, &quota.Rule{Kind: quota.RateLimit, Name: "all", Rate: 2, Interval: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := v.Quotas.Load(t.Context(), v.Store); err != nil {
		t.Fatal(err)
	}
	for i, want := range []errs.Kind{errs.Unauthenticated, errs.Unauthenticated, errs.Exhausted} {
		req := &Request{ID: "s", Operation: engine.Read, Path: "sys/events/subscribe/lab/*", Time: time.Now()}
		if _, err := b.gate.Subscribe(t.Context(), req, "lab/*"); !errs.Is(err, want) {
			t.Errorf("subscription %d: %v", i, err)
		}
		if req.Rate.Limit != 2 {
			t.Errorf("subscription %d: the client is told of a limit of %d", i, req.Rate.Limit)
		}
	}
}

// The stream calls Next with a deadline. One that ends between taking an event
// and deciding on it must not lose the event, of which nobody would be told.
func TestNextThatFailsKeepsTheEvent(t *testing.T) {
	b := newBench(t)
	b.lab.on("create kv/x", func(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		tx.Put(req.Path, []byte("v"))
		tx.Emit(engine.Event{Type: "lab/write", Path: req.Path})
		return nil, nil
	})
	sub, err := b.gate.Subscribe(t.Context(), &Request{
		ID: "s", Operation: engine.Read, Path: "sys/events/subscribe/lab/*", Token: b.root, Time: time.Now(),
	}, "lab/*")
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if _, err := b.do(engine.Update, "lab/kv/x", b.root); err != nil {
		t.Fatal(err)
	}
	b.fault.Add(fault.Rule{Op: fault.Get, Times: 1, Err: context.DeadlineExceeded})
	if _, err := sub.Next(t.Context()); !errs.Is(err, errs.Unavailable) {
		t.Fatalf("Next whose look at the token fails: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if message, err := sub.Next(ctx); err != nil || !strings.Contains(string(message), `"path":"lab/kv/x"`) {
		t.Errorf("the next call heard %s, %v", message, err)
	}
}

package kms_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
)

var errNotThisOne = errs.New(errs.Denied, "not this one")

// A node that starts when a version that is ripe does not encrypt goes on with the one
// before, as those do that were not started anew: after stale_after, and not before.
func TestStartWithAVersionThatDoesNotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		runs := run(t, s)
		old := encrypt(t, runs)
		s.change(func() { s.refused = map[string]error{"2": errNotThisOne} })
		s.turn("2", time.Now())
		pass(time.Hour)
		if status(t, runs) != old.KeyID {
			t.Fatal("who was not started anew has turned")
		}
		p := run(t, s)
		pass(2*time.Minute - time.Second)
		if _, err := p.Status(); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), errNotThisOne.Error()) {
			t.Errorf("it does not wait for the newer one, which may have been active: %v", err)
		}
		pass(4 * time.Second)
		if status(t, p) != old.KeyID || encrypt(t, p).KeyID != old.KeyID {
			t.Error("it goes on with another version than the one before")
		}
		if a := p.About(); a.Waiting != "2" {
			t.Errorf("nobody can see which version is overdue: %+v", a)
		}
		s.change(func() { s.refused = nil })
		pass(31 * time.Second)
		if status(t, p) == old.KeyID {
			t.Error("when the newer one works it is not turned to")
		}
		s.change(func() { s.refused = map[string]error{"2": errNotThisOne} })
		pass(time.Hour)
		if _, err := p.Status(); err == nil {
			t.Error("it turned back from a version that it had told")
		}
	})
}

// What others have used, or this node before it was started anew, is seen by what is
// decrypted: nothing older is written with from then on.
func TestStartBehindAVersionInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		s.turn("2", time.Now())
		pass(time.Hour)
		sealed := encrypt(t, run(t, s))
		if string(sealed.Annotations[kms.Annotation]) != "2" {
			t.Fatal("version 2 is not active")
		}
		s.change(func() { s.refused = map[string]error{"2": errNotThisOne} })
		p := run(t, s)
		opens(t, p, sealed)
		for range 20 {
			pass(time.Minute)
			if id, err := p.Status(); err == nil {
				t.Fatalf("it writes with %s, older than what is in use", id)
			}
		}
		s.change(func() { s.refused = nil })
		pass(31 * time.Second)
		if status(t, p) != sealed.KeyID {
			t.Error("when it works again it is not active")
		}
	})
}

// A version that waits and hangs takes no time from the active one.
func TestWaitingVersionThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p, err := kms.New(kms.Config{Name: "cluster", Key: hanging{s}, StaleAfter: time.Minute, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		s.turn("2", time.Now())
		s.turn("3", time.Now())
		begun := time.Now()
		if err := p.Look(t.Context()); err == nil {
			t.Error("nobody hears of a version that hangs")
		}
		if took := time.Since(begun); took != 12*time.Second {
			t.Errorf("two versions that hang take %v", took)
		}
		if a := p.About(); a.Version != "1" || !a.Looked.Equal(begun) {
			t.Errorf("the active version is not known to be well: %+v", a)
		}
		start(t, p)
		for range 600 {
			pass(time.Second)
			status(t, p)
		}
	})
}

// hanging answers of the first version only.
type hanging struct{ *store }

func (h hanging) WrapAs(ctx context.Context, id string, aad []byte, plain redact.Secret) ([]byte, error) {
	if id != "1" {
		<-ctx.Done()
		return nil, errs.Newf(errs.Unavailable, "no answer: %w", ctx.Err())
	}
	return h.store.WrapAs(ctx, id, aad, plain)
}

// panicking panics when its versions are asked for, or with a version.
type panicking struct {
	*store
	asked, wraps atomic.Bool
}

func (p *panicking) History(ctx context.Context) (keystore.History, error) {
	if p.asked.Load() {
		panic("canary-panic")
	}
	return p.store.History(ctx)
}

func (p *panicking) WrapAs(ctx context.Context, id string, aad []byte, plain redact.Secret) ([]byte, error) {
	if p.wraps.Load() {
		panic("canary-panic")
	}
	return p.store.WrapAs(ctx, id, aad, plain)
}

// A key store's client that panics makes the plugin ill and does not end it: what is
// encrypted is still read.
func TestStoreThatPanics(t *testing.T) {
	for name, set := range map[string]func(*panicking){
		"asked for versions": func(p *panicking) { p.asked.Store(true) },
		"as it encrypts":     func(p *panicking) { p.wraps.Store(true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, log := &panicking{store: newStore(time.Now())}, new(buffer.Buffer)
				p, err := kms.New(kms.Config{Name: "cluster", Key: s, Log: slog.New(slog.NewTextHandler(log, nil))})
				if err != nil {
					t.Fatal(err)
				}
				start(t, p)
				sealed := encrypt(t, p)
				set(s)
				pass(3 * time.Minute)
				if _, err := p.Status(); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "log has more") || strings.Contains(err.Error(), ".go:") {
					t.Errorf("status: %v", err)
				}
				opens(t, p, sealed)
				if text := log.String(); strings.Contains(text, "canary") || !strings.Contains(text, "older_test.go") {
					t.Errorf("the log does not say where it panicked, or what with:\n%s", text)
				}
				s.asked.Store(false)
				s.wraps.Store(false)
				pass(31 * time.Second)
				if status(t, p) != sealed.KeyID {
					t.Error("another key id afterwards")
				}
			})
		})
	}
}

// When Run has returned nothing asks the store any more, also not for who still waits.
func TestNothingOutlivesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p, err := kms.New(kms.Config{Name: "cluster", Key: stubborn{s}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); p.Run(ctx) }()
		synctest.Wait()
		s.turn("2", time.Now().Add(-time.Hour))
		other, err := kms.New(kms.Config{Name: "cluster", Key: s, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		sealed := encrypt(t, other)
		s.change(func() { s.slow = 20 * time.Second })
		waiting := make(chan error, 1)
		go func() { _, err := p.Decrypt(t.Context(), sealed); waiting <- err }()
		synctest.Wait() // until it waits for the store
		begun := time.Now()
		cancel()
		<-done
		if time.Since(begun) != time.Second {
			t.Errorf("Run ended after %v, and a question to the store after a second", time.Since(begun))
		}
		if err := <-waiting; !errs.Is(err, errs.Unavailable) || time.Since(begun) != time.Second {
			t.Errorf("who waited when Run ended hears %v after %v", err, time.Since(begun))
		}
		before := s.count()
		time.Sleep(time.Minute) // in a bubble of synctest
		if _, err := p.Decrypt(t.Context(), sealed); !errs.Is(err, errs.Unavailable) || s.count() != before {
			t.Errorf("after Run: %v, and the store was asked %d times", err, s.count()-before)
		}
	})
}

// stubborn takes a second to end after it was told to.
type stubborn struct{ *store }

func (s stubborn) History(ctx context.Context) (keystore.History, error) {
	h, err := s.store.History(ctx)
	if ctx.Err() != nil {
		time.Sleep(time.Second) // in a bubble of synctest
	}
	return h, err
}

// A key id that was told once is asked for at the start, and not when the version that
// had it is taken away while the plugin runs: then it is warned of.
func TestKnownKeyID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, log := newStore(time.Now()), new(buffer.Buffer)
		known := status(t, run(t, s))
		with := func(s *store) *kms.Plugin {
			p, err := kms.New(kms.Config{Name: "cluster", Key: s, Known: known, Log: slog.New(slog.NewTextHandler(log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			start(t, p)
			return p
		}
		if status(t, with(s)) != known {
			t.Error("the key itself is refused")
		}
		s.turn("2", time.Now())
		pass(time.Hour)
		p := with(s)
		sealed := encrypt(t, p)
		if sealed.KeyID == known || strings.Contains(log.String(), "known_key_id") {
			t.Error("the key is refused, or warned of, when it was turned")
		}
		all := s.all
		s.change(func() { s.all = all[1:] })
		pass(31 * time.Second)
		if status(t, p) != sealed.KeyID || !strings.Contains(log.String(), "known_key_id="+known) {
			t.Errorf("the version of that key id is gone, and nobody is warned:\n%s", log)
		}
		for name, other := range map[string]func(){
			"without the version": func() { s.all = all[1:] },
			"another lineage":     func() { s.all, s.lineage = all, "other" },
			"made anew":           func() { s.all, s.lineage = []keystore.Version{{ID: "1", Made: time.Now(), Wraps: true}}, "lineage" },
		} {
			s.change(other)
			p := with(s)
			if _, err := p.Status(); !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), known) {
				t.Errorf("%s: status: %v", name, err)
			}
			if _, err := p.Encrypt(t.Context(), seed); !errs.Is(err, errs.Conflict) {
				t.Errorf("%s: encrypting: %v", name, err)
			}
			s.change(func() { s.all, s.lineage = all, "lineage" })
			pass(31 * time.Second)
			if status(t, p) != sealed.KeyID {
				t.Errorf("%s: it is not well when the key is back", name)
			}
		}
	})
}

package login

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// issuer gives "token-1", "token-2" and so on, which live for an hour.
type issuer struct {
	clock *clocktesting.FakeClock
	life  time.Duration // 0: it does not say
	err   error
	given int
}

func (i *issuer) source(context.Context) (Token, error) {
	if i.err != nil {
		return Token{}, i.err
	}
	i.given++
	t := Token{Value: redact.FromString(fmt.Sprintf("token-%d", i.given))}
	if i.life != 0 {
		t.Expires = i.clock.Now().Add(i.life)
	}
	return t, nil
}

func newKeeper(t *testing.T) (*issuer, *Keeper) {
	i := &issuer{clock: clocktesting.NewFakeClock(noon), life: time.Hour}
	k := New("the cloud", i.source, i.clock)
	t.Cleanup(k.Close)
	return i, k
}

func want(t *testing.T, k *Keeper, what, value string) {
	t.Helper()
	got, err := k.Token(t.Context())
	if err != nil || got.Value.RevealString() != value {
		t.Errorf("%s: %s (%v), want %s", what, got.Value.RevealString(), err, value)
	}
}

// One login serves until two thirds of its life are over; when no other can be had it
// serves until just before its end, and another is tried for not at each use.
func TestLife(t *testing.T) {
	i, k := newKeeper(t)
	want(t, k, "first", "token-1")
	i.clock.Step(39 * time.Minute)
	want(t, k, "before two thirds", "token-1")
	i.clock.Step(time.Minute)
	want(t, k, "at two thirds", "token-2")
	i.clock.Step(40 * time.Minute)
	i.err = errs.New(errs.Unavailable, "away")
	want(t, k, "while nobody answers", "token-2")
	i.err = nil
	want(t, k, "just after", "token-2")
	i.clock.Step(pause)
	want(t, k, "a while after", "token-3")
	i.err = errs.New(errs.Exhausted, "too many")
	i.clock.Step(time.Hour - leeway)
	if _, err := k.Token(t.Context()); !errs.Is(err, errs.Exhausted) {
		t.Errorf("over: %v", err)
	}
	i.err = nil
	want(t, k, "and again", "token-4")
}

// A token that does not say when it ends serves until it is refused.
func TestNoEnd(t *testing.T) {
	i, k := newKeeper(t)
	i.life = 0
	want(t, k, "first", "token-1")
	i.clock.Step(10000 * time.Hour)
	want(t, k, "years later", "token-1")
	if again, err := k.Renew(t.Context(), Token{Value: redact.FromString("token-1")}); !again || err != nil {
		t.Error(again, err)
	}
	want(t, k, "refused", "token-2")
}

// What is refused leads to one new login, and not to one for each that hears of it, nor
// to one after the other.
func TestRenew(t *testing.T) {
	i, k := newKeeper(t)
	want(t, k, "first", "token-1")
	old, err := k.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // three that used the same
		if again, err := k.Renew(t.Context(), old); !again || err != nil {
			t.Error(again, err)
		}
	}
	if i.given != 2 {
		t.Errorf("%d logins, want 2", i.given)
	}
	fresh, err := k.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := k.Renew(t.Context(), fresh); again || err != nil || i.given != 2 {
		t.Errorf("at once again: %t %v, %d logins", again, err, i.given)
	}
	i.clock.Step(pause)
	i.err = errs.New(errs.Denied, "the application is disabled")
	if again, err := k.Renew(t.Context(), fresh); again || !errs.Is(err, errs.Denied) {
		t.Error(again, err)
	}
	i.err = nil
	want(t, k, "after it", "token-3")
}

// Whatever fails, it is no secret that is missing, and what is no login is none.
func TestFailures(t *testing.T) {
	i, k := newKeeper(t)
	for _, c := range []struct {
		err  error
		want errs.Kind
	}{
		{errs.New(errs.NotExist, "no such application"), errs.Unavailable},
		{errors.New("of a library"), errs.Unavailable},
		{errs.New(errs.Denied, "no"), errs.Denied},
		{errs.New(errs.Invalid, "no"), errs.Invalid},
		{errs.New(errs.Unauthenticated, "no"), errs.Unauthenticated},
	} {
		i.err = c.err
		if _, err := k.Token(t.Context()); !errs.Is(err, c.want) {
			t.Errorf("%v: %v, want kind %v", c.err, err, c.want)
		}
	}
	for name, bad := range map[string]Token{
		"empty": {}, "over": {Value: redact.FromString("canary"), Expires: noon}, "long over": {Value: redact.FromString("canary"), Expires: noon.Add(-time.Hour)},
	} {
		k := New("the cloud", func(context.Context) (Token, error) { return bad, nil }, i.clock)
		_, err := k.Token(t.Context())
		if !errs.Is(err, errs.Unavailable) || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		k.Close()
	}
}

// Any number of callers share one login; one that gives up leaves it to the others;
// Close ends it.
func TestShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logins atomic.Int32
		release := make(chan struct{})
		k := New("the cloud", func(ctx context.Context) (Token, error) {
			logins.Add(1)
			select {
			case <-release:
				return Token{Value: redact.FromString("token")}, nil
			case <-ctx.Done():
				return Token{}, ctx.Err()
			}
		}, clocktesting.NewFakeClock(noon))
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if got, err := k.Token(t.Context()); err != nil || got.Value.Empty() {
					t.Error(err)
				}
			})
		}
		hasty, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			if _, err := k.Token(hasty); !errs.Is(err, errs.Unavailable) {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(release)
		all.Wait()
		if n := logins.Load(); n != 1 {
			t.Errorf("%d logins, want 1", n)
		}

		stuck := New("the cloud", func(ctx context.Context) (Token, error) {
			<-ctx.Done()
			return Token{}, ctx.Err()
		}, clocktesting.NewFakeClock(noon))
		began := time.Now()
		if _, err := stuck.Token(t.Context()); !errs.Is(err, errs.Unavailable) || time.Since(began) != Timeout {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		done := make(chan error)
		go func() { _, err := stuck.Token(t.Context()); done <- err }()
		synctest.Wait()
		stuck.Close()
		if err := <-done; !errs.Is(err, errs.Unavailable) {
			t.Error(err)
		}
		k.Close()
	})
}

// Whatever happens in whatever order: what is given out is not over, no login is made
// although one is good, and none is made twice for one refusal.
func FuzzKeeper(f *testing.F) {
	f.Add([]byte{0, 60, 1, 0, 2, 0, 3, 0, 0, 200})
	f.Fuzz(func(t *testing.T, script []byte) {
		i, k := newKeeper(t)
		var last Token
		for n := 0; n+1 < len(script) && n < 200; n += 2 {
			switch script[n] % 4 {
			case 0:
				i.clock.Step(time.Duration(script[n+1]) * time.Minute)
			case 1:
				i.err = nil
				if script[n+1]%2 == 1 {
					i.err = errs.New(errs.Unavailable, "away")
				}
			case 2:
				before := i.given
				_, _ = k.Renew(t.Context(), last)
				if i.given > before+1 {
					t.Fatalf("%d logins for one refusal", i.given-before)
				}
			case 3:
				got, err := k.Token(t.Context())
				if err == nil && !i.clock.Now().Before(got.Expires) {
					t.Fatalf("what ended %s is given out at %s", got.Expires, i.clock.Now())
				}
				if err == nil {
					last = got
				}
			}
		}
	})
}

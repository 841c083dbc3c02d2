package kms_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kms"
)

var errThrottled = errs.New(errs.Exhausted, "too many requests")

// After a restart with a store that only opens, what is encrypted opens, and nothing
// is encrypted: an API server that runs can go on reading.
func TestStoreThatOnlyOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		sealed := encrypt(t, run(t, s))
		s.change(func() { s.wraps = errThrottled })
		p := run(t, s)
		opens(t, p, sealed)
		if _, err := p.Status(); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), errThrottled.Error()) {
			t.Errorf("status of a plugin that has never encrypted: %v", err)
		}
		if _, err := p.Encrypt(t.Context(), seed); !errs.Is(err, errs.Unavailable) {
			t.Errorf("encrypting: %v", err)
		}
		if a := p.About(); a != (kms.About{}) {
			t.Errorf("it says that something is active: %+v", a)
		}
		s.change(func() { s.wraps = nil })
		pass(3 * time.Second)
		if status(t, p) != sealed.KeyID {
			t.Error("another key id than before the restart")
		}
	})
}

// A version that nobody was told of may be another one by the time the store works.
func TestNotToldIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		s.turn("2", time.Now())
		pass(time.Hour)
		s.change(func() { s.wraps = errThrottled })
		p := run(t, s)
		s.change(func() { s.all, s.wraps = s.all[:1], nil })
		pass(3 * time.Second)
		if sealed := encrypt(t, p); string(sealed.Annotations[kms.Annotation]) != "1" || status(t, p) != sealed.KeyID {
			t.Error("a version that was never active is missed when it is gone")
		}
	})
}

// A version that does not work does not become active, and does not make ill what does.
func TestVersionThatDoesNotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p := run(t, s)
		sealed := encrypt(t, p)
		s.turn("2", time.Now())
		s.change(func() { s.refused = map[string]error{"2": errs.New(errs.Denied, "not this one")} })
		made := time.Now()
		for time.Since(made) < 20*time.Minute {
			pass(30 * time.Second)
			if status(t, p) != sealed.KeyID {
				t.Fatal("a version that cannot encrypt is active")
			}
		}
		if a := p.About(); a.Waiting != "2" || !a.Due.Equal(made.Add(3*time.Minute)) || time.Since(a.Looked) > 31*time.Second {
			t.Errorf("nobody can see that a version is overdue: %+v", a)
		}
		opens(t, p, encrypt(t, p))
		s.change(func() { s.refused = nil })
		pass(31 * time.Second)
		if status(t, p) == sealed.KeyID {
			t.Error("when it works it is not active")
		}
		// That the one before does not work any more is nobody's concern.
		s.change(func() { s.refused = map[string]error{"1": errs.New(errs.Denied, "not this one")} })
		pass(5 * time.Minute)
		status(t, p)
		s.change(func() { s.refused = map[string]error{"2": errs.New(errs.Denied, "not this one")} })
		pass(5 * time.Minute)
		if _, err := p.Status(); !errs.Is(err, errs.Unavailable) {
			t.Errorf("the active version does not work, and Status says %v", err)
		}
	})
}

// The moment of a turn that passes while the store is away makes no questions beyond
// those of each poll.
func TestTurnWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p := run(t, s)
		id := status(t, p)
		s.turn("2", time.Now())
		pass(time.Minute)
		s.change(func() { s.away = errAway })
		before := s.questions()
		pass(10 * time.Minute)
		if n := s.questions() - before; n > 22 {
			t.Errorf("a store that is away was asked %d times in ten minutes", n)
		}
		s.change(func() { s.away = nil })
		pass(31 * time.Second)
		if status(t, p) == id {
			t.Error("when the store is back the key is not turned")
		}
	})
}

// A store that answers late: Status never waits for it, calls end by their own time,
// and what takes longer than a poll is no contact.
func TestSlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(time.Now())
		p := run(t, s)
		sealed := encrypt(t, p)
		s.change(func() { s.slow = 5 * time.Second })
		for range 40 {
			pass(7 * time.Second)
			begun := time.Now()
			if status(t, p) != sealed.KeyID || time.Since(begun) != 0 {
				t.Fatalf("Status waits %v for a slow store", time.Since(begun))
			}
		}
		opens(t, p, sealed)
		s.change(func() { s.slow = time.Minute })
		pass(4 * time.Minute)
		begun := time.Now()
		if _, err := p.Status(); !errs.Is(err, errs.Unavailable) || time.Since(begun) != 0 {
			t.Errorf("a store that takes a minute for an answer: %v", err)
		}
		s.change(func() { s.slow = 0 })
		pass(time.Minute)
		if status(t, p) != sealed.KeyID {
			t.Error("another key id when the store is fast again")
		}
	})
}

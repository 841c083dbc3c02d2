package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type key struct{}

// A limited context behaves as one of context.WithTimeout, whether or not
// somebody waited for it before.
func TestLimitIsLikeWithTimeout(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(cancelParent func(), l *limited)
		want error
	}{
		"nothing happens": {func(func(), *limited) {}, nil},
		"its time comes":  {func(func(), *limited) { time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"parent ends":     {func(cancel func(), _ *limited) { cancel() }, context.Canceled},
		"finished":        {func(_ func(), l *limited) { l.finish() }, context.Canceled},
	} {
		for _, before := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
				defer cancel()
				l := limit(parent, time.Second)
				defer l.finish()
				if before {
					_ = l.Done()
				}
				child, stop := context.WithCancel(l)
				defer stop()
				c.end(cancel, l)
				synctest.Wait()
				if err := l.Err(); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("%s, waited for before %v: Err is %v, want %v", name, before, err, c.want)
				}
				if err := child.Err(); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("%s, waited for before %v: Err of a child is %v, want %v", name, before, err, c.want)
				}
				select {
				case <-l.Done():
					if c.want == nil {
						t.Errorf("%s: done", name)
					}
				default:
					if c.want != nil {
						t.Errorf("%s: not done", name)
					}
				}
				if l.Value(key{}) != "v" || child.Value(key{}) != "v" {
					t.Errorf("%s: the parent's values are lost", name)
				}
				if until, ok := l.Deadline(); !ok || time.Until(until) > time.Second {
					t.Errorf("%s: deadline %v, %v", name, until, ok)
				}
			})
		}
	}
}

func TestLimitAnEarlierDeadline(t *testing.T) {
	parent, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	l := limit(parent, time.Hour)
	defer l.finish()
	if until, _ := l.Deadline(); time.Until(until) > time.Second {
		t.Errorf("the parent's deadline is ignored: %v", until)
	}
}

// What is made lazily costs a request that nobody waits for one allocation.
func TestLimitAllocates(t *testing.T) {
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		l := limit(ctx, time.Second)
		_ = l.Err()
		l.finish()
	}); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

package await

import (
	"context"
	"testing"
	"time"
)

const (
	// lookEvery is how often it is looked, so that what is waited for has room to happen.
	lookEvery = 20 * time.Millisecond
	// spare is what is left of a test's time when waiting ends: go test kills it at the
	// end, without a word about what was waited for.
	spare = 10 * time.Second
	// longest is how long is waited in a test that nothing kills: as long as go test lets
	// all tests of a package run, if it is not told otherwise.
	longest = 10 * time.Minute
)

// Context ends with the test, and a little before it would be killed; of one that nothing
// kills (-timeout=0, benchmarks), after ten minutes.
func Context(t testing.TB) context.Context {
	t.Helper()
	at := time.Now().Add(longest)
	if ends, ok := t.(interface {
		Deadline() (time.Time, bool)
	}); ok {
		if killed, ok := ends.Deadline(); ok {
			at = killed.Add(-spare)
		}
	}
	ctx, stop := context.WithDeadline(t.Context(), at)
	t.Cleanup(stop)
	return ctx
}

// Until waits until f holds. A test that it does not hold in fails with what.
func Until(t testing.TB, what string, f func() bool) {
	t.Helper()
	until(Context(t), t, what, f)
}

func until(ctx context.Context, t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for !f() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for this: %s", what)
		case <-tick.C:
		}
	}
}

// Next returns the next of a channel, and whether it is open. A test in which nothing
// comes fails with what.
func Next[E any](t testing.TB, what string, from <-chan E) (E, bool) {
	t.Helper()
	return next(Context(t), t, what, from)
}

func next[E any](ctx context.Context, t testing.TB, what string, from <-chan E) (e E, ok bool) {
	t.Helper()
	select {
	case e, ok = <-from:
	case <-ctx.Done():
		t.Fatalf("waited in vain for this: %s", what)
	}
	return e, ok
}

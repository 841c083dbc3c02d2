package await

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// told is a test that keeps what it failed with.
type told struct {
	testing.TB
	what string
}

func (t *told) Helper() {}

func (t *told) Fatalf(format string, args ...any) { t.what = fmt.Sprintf(format, args...); panic(t) }

// failure is what f failed with.
func failure(t *testing.T, f func(ctx context.Context, t testing.TB)) (what string) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	as := &told{TB: t}
	defer func() {
		if got := recover(); got != any(as) {
			t.Errorf("it did not fail, or for another reason: %v", got)
		}
		what = as.what
	}()
	f(ctx, as)
	return ""
}

// endless is a test that nothing kills: of -timeout=0 if it has a Deadline, a benchmark
// if not.
type endless struct{ testing.TB }

type timeless struct{ endless }

func (timeless) Deadline() (at time.Time, ok bool) { return at, false }

// It is not waited for ever in a test that nothing kills.
func TestBounded(t *testing.T) {
	for name, one := range map[string]testing.TB{"a benchmark": endless{t}, "-timeout=0": timeless{endless{t}}} {
		if _, ok := Context(one).Deadline(); !ok {
			t.Errorf("%s: it waits for ever", name)
		}
	}
}

// What does not come is named in the failure; what comes is waited for.
func TestAwait(t *testing.T) {
	if what := failure(t, func(ctx context.Context, t testing.TB) { until(ctx, t, "the moon", func() bool { return false }) }); what != "waited in vain for this: the moon" {
		t.Error(what)
	}
	if what := failure(t, func(ctx context.Context, t testing.TB) { next(ctx, t, "a star", make(chan int)) }); what != "waited in vain for this: a star" {
		t.Error(what)
	}
	looked := 0
	Until(t, "the third look", func() bool { looked++; return looked == 3 })
	c := make(chan int, 1)
	c <- 7
	if got, ok := Next(t, "the seven", c); got != 7 || !ok {
		t.Error(got)
	}
	if at, ok := t.Deadline(); ok {
		if ends, has := Context(t).Deadline(); !has || !ends.Before(at) {
			t.Error("it waits until the test is killed")
		}
	}
}

package kms

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// rate of calls, per second.
const rate = 1000

// outcome of a load.
type outcome struct {
	calls    int
	p50, p99 float64 // milliseconds
}

// paced makes calls at the rate for as long as loads take, after a second that does not
// count, and reports how long they took.
func (w world) paced(ctx context.Context, name string, call func(context.Context) error) (outcome, error) {
	if _, err := pace(ctx, rate, call); err != nil {
		return outcome{}, err
	}
	took, err := pace(ctx, int(w.Duration.Seconds()*rate), call)
	if err != nil {
		return outcome{}, err
	}
	slices.Sort(took)
	o := outcome{calls: len(took), p50: ms(took[len(took)/2]), p99: ms(took[len(took)*99/100])}
	w.Say("  %s: %d calls, p50 %.2f ms, p99 %.2f ms, the slowest %.1f ms", name, o.calls, o.p50, o.p99, ms(took[len(took)-1]))
	return o, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// pace makes n calls at the rate, whether or not earlier ones have ended. Each is timed
// from when it was due, so that one that is late counts as slow.
func pace(ctx context.Context, n int, call func(context.Context) error) ([]time.Duration, error) {
	if n < 1 {
		return nil, errs.New(errs.Invalid, "the time for a load is too short for one call")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := 0; i < n && ctx.Err() == nil; i++ {
		due := begun.Add(time.Duration(i) * time.Second / rate)
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
		}
		all.Go(func() {
			if err := call(ctx); err != nil {
				cancel(err)
			}
			took[i] = time.Since(due)
		})
	}
	all.Wait()
	return took, context.Cause(ctx)
}

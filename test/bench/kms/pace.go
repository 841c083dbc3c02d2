package kms

import (
	"context"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const (
	// rate of calls, per second.
	rate = 1000
	// slice is how long one subject is called before the next one is.
	slice = 2 * time.Second
	// loads is how many times as long as other loads each subject is called, in all: of
	// a minute one call in a hundred is 600, and one stall of the machine is not.
	loads = 6
)

// subject is what is called.
type subject struct {
	name string
	call func(context.Context) error
}

// sample is one call: how much later than it was due it was sent, which is this
// process's doing, and how long it took from then on.
type sample struct{ late, took time.Duration }

// outcome of a load. Times are milliseconds.
type outcome struct {
	calls         int
	p50, p99, max float64 // from when it was sent
	due           float64 // p99 from when it was due
	late          float64 // p99 of how late it was sent
}

// compare calls subjects at the rate, each for a while in turn, so that what else the
// machine does meets all of them. The first one is what the others are told beside.
func (w world) compare(ctx context.Context, subjects ...subject) ([]outcome, error) {
	samples := make([][]sample, len(subjects))
	rounds := max(int(loads*w.Duration/slice), 1)
	for round := range rounds + 1 {
		for i, s := range subjects {
			got, err := undisturbed(ctx, int(slice.Seconds()*rate), s.call)
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first one makes connections, and threads
				samples[i] = append(samples[i], got...)
			}
		}
	}
	all := make([]outcome, len(subjects))
	for i, s := range subjects {
		o := summary(samples[i])
		all[i] = o
		w.Say("  %s: %d calls, p50 %.3f ms, p99 %.2f ms (%.1f times %s), the slowest %.1f ms; sent late: p99 %.2f ms; from when it was due: p99 %.2f ms",
			s.name, o.calls, o.p50, o.p99, o.p99/all[0].p99, subjects[0].name, o.max, o.late, o.due)
	}
	return all, nil
}

func summary(samples []sample) outcome {
	of := func(f func(sample) time.Duration) []time.Duration {
		all := make([]time.Duration, len(samples))
		for i, s := range samples {
			all[i] = f(s)
		}
		slices.Sort(all)
		return all
	}
	p99 := func(all []time.Duration) float64 { return ms(all[len(all)*99/100]) }
	took := of(func(s sample) time.Duration { return s.took })
	return outcome{
		calls: len(took), p50: ms(took[len(took)/2]), p99: p99(took), max: ms(took[len(took)-1]),
		late: p99(of(func(s sample) time.Duration { return s.late })),
		due:  p99(of(func(s sample) time.Duration { return s.late + s.took })),
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// undisturbed is pace on a thread of its own, whose sleep takes no processor from the
// calls, and without a collection of this process's garbage in between.
func undisturbed(ctx context.Context, n int, call func(context.Context) error) ([]sample, error) {
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 1))
	until, end := sleeper()
	defer end()
	return pace(ctx, n, until, call)
}

// pace makes n calls at the rate, whether or not earlier ones have ended.
func pace(ctx context.Context, n int, until func(time.Time), call func(context.Context) error) ([]sample, error) {
	if n < 1 {
		return nil, errs.New(errs.Invalid, "the time for a load is too short for one call")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	samples := make([]sample, n)
	var all sync.WaitGroup
	begun := time.Now()
	for i := 0; i < n && ctx.Err() == nil; i++ {
		due := begun.Add(time.Duration(i) * time.Second / rate)
		until(due)
		all.Go(func() {
			sent := time.Now()
			if err := call(ctx); err != nil {
				cancel(err)
			}
			samples[i] = sample{late: sent.Sub(due), took: time.Since(sent)}
		})
	}
	all.Wait()
	return samples, context.Cause(ctx)
}

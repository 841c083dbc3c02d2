package kms

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// until sleeps by the clock of a bubble of synctest.
func until(due time.Time) { time.Sleep(time.Until(due)) }

// A call waits for none that is under way, and each is timed from when it was sent; what
// was sent late is told apart.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		stall := func(due time.Time) {
			until(due)
			if time.Since(begun) == time.Second {
				time.Sleep(30 * time.Millisecond) // in a bubble of synctest
			}
		}
		samples, err := pace(t.Context(), 2*rate, stall, func(context.Context) error {
			time.Sleep(5 * time.Millisecond) // in a bubble of synctest
			return nil
		})
		if err != nil || len(samples) != 2*rate {
			t.Fatalf("%d calls, %v", len(samples), err)
		}
		late := 0
		for i, s := range samples {
			if s.took != 5*time.Millisecond {
				t.Fatalf("call %d took %v", i, s.took)
			}
			if s.late > 0 {
				late++
			}
		}
		if late != 30 || samples[rate].late != 30*time.Millisecond || samples[rate+1].late != 29*time.Millisecond {
			t.Errorf("a stall of 30 ms makes %d calls late, the first by %v", late, samples[rate].late)
		}
		if all := time.Since(begun); all != 2*time.Second+4*time.Millisecond {
			t.Errorf("two seconds of calls took %v", all)
		}
	})
}

func TestPaceEndsWithTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var calls atomic.Int64
		_, err := pace(t.Context(), rate, until, func(context.Context) error {
			if calls.Add(1) == 3 {
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) || calls.Load() > 4 {
			t.Errorf("after %d calls: %v", calls.Load(), err)
		}
	})
	if _, err := pace(t.Context(), 0, until, nil); err == nil {
		t.Error("no call at all is measured")
	}
}

// The real sleep never ends before its time.
func TestSleeper(t *testing.T) {
	until, end := sleeper()
	defer end()
	for i := range 20 {
		due := time.Now().Add(time.Duration(i) * 100 * time.Microsecond)
		if until(due); time.Now().Before(due) {
			t.Fatal("it woke before it was due")
		}
	}
}

func TestSummary(t *testing.T) {
	samples := make([]sample, 200)
	for i := range samples {
		samples[i] = sample{late: time.Duration(i) * time.Millisecond, took: time.Duration(200-i) * time.Millisecond}
	}
	if got, want := summary(samples), (outcome{calls: 200, p50: 101, p99: 199, max: 200, due: 200, late: 198}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestWithin(t *testing.T) {
	const text = `# HELP strongkeep_kms_call_duration_seconds Calls
strongkeep_kms_call_duration_seconds_bucket{code="OK",method="Encrypt",le="0.0001"} 980
strongkeep_kms_call_duration_seconds_bucket{code="OK",method="Encrypt",le="0.0003"} 995
strongkeep_kms_call_duration_seconds_bucket{code="OK",method="Encrypt",le="+Inf"} 1000
strongkeep_kms_call_duration_seconds_bucket{code="OK",method="Status",le="0.0001"} 10
strongkeep_kms_call_duration_seconds_bucket{code="OK",method="Status",le="+Inf"} 1000
`
	for method, want := range map[string]string{"Encrypt": "0.0003", "Status": "+Inf", "Decrypt": ""} {
		if got := within(text, method); got != want {
			t.Errorf("99 of 100 of %s within %q, want %q", method, got, want)
		}
	}
}

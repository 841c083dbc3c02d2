package kms

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A call that is late because earlier ones take long counts as slow from when it was due,
// and none is left out.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		took, err := pace(t.Context(), 2*rate, func(context.Context) error {
			time.Sleep(5 * time.Millisecond) // in a bubble of synctest
			return nil
		})
		if err != nil || len(took) != 2*rate {
			t.Fatalf("%d calls, %v", len(took), err)
		}
		for i, d := range took {
			if d != 5*time.Millisecond {
				t.Fatalf("call %d took %v", i, d)
			}
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
		_, err := pace(t.Context(), rate, func(context.Context) error {
			if calls.Add(1) == 3 {
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) || calls.Load() > 4 {
			t.Errorf("after %d calls: %v", calls.Load(), err)
		}
	})
	if _, err := pace(t.Context(), 0, nil); err == nil {
		t.Error("no call at all is measured")
	}
}

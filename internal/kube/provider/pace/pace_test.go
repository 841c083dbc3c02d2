package pace_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/kube/provider/pace"
)

// More calls than there are turns for are refused, and cost nobody else a turn.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := rate.NewLimiter(2, 1)
		var done, full atomic.Int32
		for range 1000 {
			go func() {
				switch err := pace.Wait(t.Context(), limit, clock.RealClock{}, 5*time.Second); {
				case err == nil:
					done.Add(1)
				case errors.Is(err, pace.ErrFull):
					full.Add(1)
				default:
					t.Error(err)
				}
			}()
		}
		time.Sleep(6 * time.Second) // the bubble's clock
		synctest.Wait()
		if done.Load() != 11 || full.Load() != 989 {
			t.Errorf("%d calls are made and %d refused, want 11 in five seconds", done.Load(), full.Load())
		}
		if err := pace.Wait(t.Context(), limit, clock.RealClock{}, 5*time.Second); err != nil {
			t.Errorf("nobody waits any more: %v", err)
		}
	})
}

// Who gives up leaves the turn to the next.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := rate.NewLimiter(rate.Every(time.Minute), 1)
		if err := pace.Wait(t.Context(), limit, clock.RealClock{}, 0); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := pace.Wait(ctx, limit, clock.RealClock{}, 0); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want the end of the context", err)
			}
			cancel()
		}
		began := time.Now()
		if err := pace.Wait(t.Context(), limit, clock.RealClock{}, 0); err != nil || time.Since(began) > time.Minute {
			t.Errorf("waited %v (%v)", time.Since(began), err)
		}
	})
}

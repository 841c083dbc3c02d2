package wake_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/wake"
)

// However often the cluster changes, a look is never woken twice within the floor,
// and no change is without a look after it.
func TestPace(t *testing.T) {
	const settle, floor = 100 * time.Millisecond, 2 * time.Second
	clock := clocktesting.NewFakePassiveClock(time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC))
	pace := wake.NewPace(clock, settle, floor)
	name := types.NamespacedName{Namespace: "a", Name: "db"}
	var looks []time.Time
	for range 1000 { // a minute and a half of changes, each 90 ms
		now := clock.Now()
		at := now.Add(pace.Wait(name))
		if at.Before(now) {
			t.Fatalf("a look at %s for a change at %s", at, now)
		}
		if n := len(looks); n == 0 || !at.Equal(looks[n-1]) {
			looks = append(looks, at)
		}
		clock.SetTime(now.Add(90 * time.Millisecond))
	}
	for i := 1; i < len(looks); i++ {
		if apart := looks[i].Sub(looks[i-1]); apart < floor {
			t.Fatalf("two looks within %s", apart)
		}
	}
	if len(looks) < 40 {
		t.Errorf("only %d looks", len(looks))
	}
	if got := pace.Wait(types.NamespacedName{Name: "other"}); got != settle {
		t.Errorf("another waits %s for it", got)
	}
	clock.SetTime(clock.Now().Add(time.Hour))
	if got := pace.Wait(name); got != settle {
		t.Errorf("after an hour it waits %s", got)
	}
	clock.SetTime(clock.Now().Add(-time.Hour))
	if got := pace.Wait(name); got > floor {
		t.Errorf("a clock that was put back makes it wait %s", got)
	}
}

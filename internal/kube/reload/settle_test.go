package reload

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

func TestSettling(t *testing.T) {
	clk := testingclock.NewFakePassiveClock(time.Unix(1e9, 0))
	r := New(Config{Object: &appsv1.Deployment{}, Clock: clk})
	s := &sight{}
	step := func(content string, later, want time.Duration) {
		t.Helper()
		clk.SetTime(clk.Now().Add(later))
		s.present = rollout.Stamp{"secret/a": content}
		if got := r.wait(s); got != want {
			t.Errorf("waits %v, want %v", got, want)
		}
	}
	step("1", 0, 2*time.Second)
	step("1", time.Second, time.Second)
	step("2", 500*time.Millisecond, 2*time.Second)
	step("2", 2*time.Second, 0)
	r.settled(s.work.Object)
	step("3", time.Minute, 2*time.Second)
	for i := range 12 { // never still
		step(string(rune('a'+i)), 1500*time.Millisecond, min(2*time.Second, 20*time.Second-time.Duration(i+1)*1500*time.Millisecond))
	}
}

package rotate

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

func TestSmoke(t *testing.T) {
	now := time.Unix(1e9, 0)
	o := Observed{Due: Due{Cause: CauseSchedule}, Gate: Gate{Open: true, Slot: true}, Plan: Plan{Watch: time.Minute}}
	for range 40 {
		o.Now = now
		s := Decide(o)
		t.Logf("%s %s %s after %v: %s", s.Phase, s.Act, s.Reason, s.After, s.Message)
		o.Turn = o.Turn.Take(s, now)
		o.Due = Due{}
		now = now.Add(s.After)
		if !o.Turn.Closed.IsZero() {
			o.Watched += s.After
		}
		if s.Act != NoAct && !s.Later {
			o.Act = Outcome{Act: s.Act, Number: o.Turn.Number, Done: true}
		}
		if s.Phase == v1alpha1.PhaseIdle {
			return
		}
	}
	t.Fatal("no end")
}

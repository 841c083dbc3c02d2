package tell

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
)

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func status(phase v1alpha1.Phase, kind, reason, message string, yes metav1.ConditionStatus) *v1alpha1.RotationStatus {
	return &v1alpha1.RotationStatus{Turn: 7, Phase: phase, Conditions: []metav1.Condition{{Type: kind, Status: yes, Reason: reason, Message: message}}}
}

func TestOf(t *testing.T) {
	progressing := func(phase v1alpha1.Phase, reason string) *v1alpha1.RotationStatus {
		return status(phase, v1alpha1.ConditionProgressing, reason, "m; next: c", metav1.ConditionTrue)
	}
	reminded := progressing(v1alpha1.PhaseStaging, rotate.ReasonAwaitsPerson)
	reminded.RemindedAt = &metav1.Time{Time: epoch}
	held, other := progressing(v1alpha1.PhaseHeld, "SecretsStuck"), progressing(v1alpha1.PhaseHeld, "ConsumersUnknown")
	held.HeldFor, other.HeldFor = "SecretsStuck", "ConsumersUnknown"
	refused := status(v1alpha1.PhaseIdle, v1alpha1.ConditionReady, "Refused", "why", metav1.ConditionFalse)
	for name, tc := range map[string]struct {
		before, after *v1alpha1.RotationStatus
		want          []Event
	}{
		"made":            {&v1alpha1.RotationStatus{}, progressing(v1alpha1.PhaseIdle, "NothingDue"), nil},
		"a phase":         {progressing(v1alpha1.PhaseStaged, "x"), progressing(v1alpha1.PhasePublishing, "x"), []Event{{"Normal", "Publishing", "turn 7: m; next: c"}}},
		"nothing new":     {progressing(v1alpha1.PhaseStaged, "x"), progressing(v1alpha1.PhaseStaged, "y"), nil},
		"held":            {progressing(v1alpha1.PhaseStaged, "x"), held, []Event{{"Warning", "Held", "turn 7: m; next: c"}}},
		"held for other":  {held, other, []Event{{"Warning", "ConsumersUnknown", "turn 7: m; next: c"}}},
		"reminder":        {progressing(v1alpha1.PhaseStaging, rotate.ReasonAwaitsPerson), reminded, []Event{{"Warning", "AwaitsPerson", "turn 7: m; next: c"}}},
		"reminded before": {reminded, reminded, nil},
		"refused":         {&v1alpha1.RotationStatus{}, refused, []Event{{"Warning", "Refused", "why"}}},
		"refused before":  {refused, refused, nil},
		"taken back":      {progressing(v1alpha1.PhaseFailed, "x"), status(v1alpha1.PhaseFailed, v1alpha1.ConditionReady, rotate.ReasonTurnFailed, "why", metav1.ConditionFalse), nil},
	} {
		got := Of(tc.before, tc.after)
		if len(got) != len(tc.want) || len(got) > 0 && got[0] != tc.want[0] {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if !Awaits(reminded) || Awaits(held) {
		t.Error("what waits for somebody is not known")
	}
}

func TestRemind(t *testing.T) {
	spec := &v1alpha1.RotationSpec{Target: v1alpha1.Target{Manual: &v1alpha1.ManualTarget{RemindEvery: &metav1.Duration{Duration: time.Hour}}}}
	s := &v1alpha1.RotationStatus{Turn: 7, Phase: v1alpha1.PhaseStaging}
	var times []time.Duration
	at := func(d time.Duration, phase v1alpha1.Phase, reason string, spec *v1alpha1.RotationSpec) {
		next := s.DeepCopy()
		next.Phase = phase
		Remind(next, s, spec, reason, epoch.Add(d))
		if next.RemindedAt != nil && !next.RemindedAt.Equal(s.RemindedAt) {
			times = append(times, d)
		}
		s = next
	}
	for m := range 150 { // a look each minute, some of them blind
		reason := rotate.ReasonAwaitsPerson
		if m%7 == 3 {
			reason = rotate.ReasonNotObserved
		}
		at(time.Duration(m)*time.Minute, v1alpha1.PhaseStaging, reason, spec)
	}
	at(151*time.Minute, v1alpha1.PhaseStaged, rotate.ReasonStaged, spec)
	if s.RemindedAt != nil {
		t.Error("what is over is still remembered")
	}
	at(152*time.Minute, v1alpha1.PhaseStaged, rotate.ReasonAwaitsApproval, &v1alpha1.RotationSpec{})
	at(25*time.Hour, v1alpha1.PhaseStaged, rotate.ReasonAwaitsApproval, &v1alpha1.RotationSpec{})
	at(27*time.Hour, v1alpha1.PhaseStaged, rotate.ReasonAwaitsApproval, &v1alpha1.RotationSpec{})
	at(28*time.Hour, v1alpha1.PhaseHeld, rotate.ReasonHoldAsked, &v1alpha1.RotationSpec{})
	at(-30*time.Hour, v1alpha1.PhaseHeld, rotate.ReasonHoldAsked, &v1alpha1.RotationSpec{}) // the clock leapt
	want := []time.Duration{0, time.Hour, 2 * time.Hour, 152 * time.Minute, 27 * time.Hour, 28 * time.Hour, -30 * time.Hour}
	if len(times) != len(want) {
		t.Fatalf("reminded after %v, want %v", times, want)
	}
	for i := range want {
		if times[i] != want[i] {
			t.Errorf("reminded after %v, want %v", times, want)
		}
	}
}

package slot

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

func TestSlots(t *testing.T) {
	of := func(uid string, phase v1alpha1.Phase) v1alpha1.Rotation {
		now := metav1.Now()
		return v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}, Status: v1alpha1.RotationStatus{Phase: phase, PublishedAt: &now}}
	}
	s := New(2)
	all := []v1alpha1.Rotation{of("a", v1alpha1.PhaseStaged), of("b", v1alpha1.PhaseStaged), of("c", v1alpha1.PhaseStaged), of("held", v1alpha1.PhaseHeld), of("idle", v1alpha1.PhaseIdle)}
	if !s.Offer("a", all) || !s.Offer("b", all) || s.Offer("c", all) {
		t.Fatal("two of three that ask at once must get a slot, though the cache shows none")
	}
	if !s.Offer("a", all) {
		t.Error("a slot that was granted is refused to who has it")
	}
	all[0].Status.Phase = v1alpha1.PhaseRolling
	all[1].Status.Phase = v1alpha1.PhaseRollingBack
	if s.Offer("c", all) || len(s.granted) != 0 {
		t.Errorf("what the cache shows is not counted once: %v", s.granted)
	}
	all[0].Status.Phase = v1alpha1.PhaseDone
	if !s.Offer("c", all) {
		t.Error("a turn that is over keeps its slot")
	}
	s.Release("c")
	s.granted["gone"] = true
	if !s.Offer("a", all) || s.granted["gone"] {
		t.Error("a Rotation that is gone keeps its slot")
	}
}

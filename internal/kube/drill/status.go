package drill

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// nextStatus is the status of s.drill after p. It is pure; what was seen of pods
// and ExternalSecrets is in next already.
func nextStatus(s seen, p plan, next *v1alpha1.DrillStatus) {
	now := metav1.NewTime(s.now.Truncate(1e9))
	before := s.drill.Status.Phase
	next.Phase, next.Reason = p.phase, p.reason
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&next.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: s.drill.Generation, LastTransitionTime: now,
		})
	}
	switch p.phase {
	case v1alpha1.DrillPending:
		set(v1alpha1.ConditionRunning, metav1.ConditionFalse, p.reason, p.message)
	case v1alpha1.DrillRefused:
		set(v1alpha1.ConditionRefused, metav1.ConditionTrue, p.reason, p.message)
		meta.RemoveStatusCondition(&next.Conditions, v1alpha1.ConditionRunning)
		next.ExternalSecrets, next.Pods, next.ReadyBefore = nil, nil, 0
	case v1alpha1.DrillRunning:
		if before != v1alpha1.DrillRunning {
			until := metav1.NewTime(now.Add(s.drill.Spec.Duration.Duration))
			next.Began, next.Until = &now, &until
			set(v1alpha1.ConditionRunning, metav1.ConditionTrue, p.reason, p.message)
			set(v1alpha1.ConditionUndone, metav1.ConditionFalse, p.reason, "it is under way")
		}
	case v1alpha1.DrillUndoing:
		if before != v1alpha1.DrillUndoing {
			next.Ended = &now
			set(v1alpha1.ConditionRunning, metav1.ConditionFalse, p.reason, p.message)
		}
		set(v1alpha1.ConditionUndone, metav1.ConditionFalse, p.reason, "ExternalSecrets are read again until they are ready and their Secrets right")
	case v1alpha1.DrillRecovering:
		if before != v1alpha1.DrillRecovering {
			next.Undone = &now
			set(v1alpha1.ConditionUndone, metav1.ConditionTrue, reasonRestored, p.message)
		}
	case v1alpha1.DrillOver:
		reason := reasonNotRecovered
		if s.well {
			next.Recovered, reason = &now, reasonRecovered
		}
		set(v1alpha1.ConditionUndone, metav1.ConditionTrue, reason, p.message)
	}
}

func condition(d *v1alpha1.Drill, kind string) string {
	if c := meta.FindStatusCondition(d.Status.Conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

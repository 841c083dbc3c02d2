package controller

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
)

// Defaults of a Rotation's spec, as its documentation names them.
const (
	defaultOverlap       = 24 * time.Hour
	defaultWatch         = 10 * time.Minute
	defaultDeadline      = 10 * time.Minute
	defaultMaxConcurrent = 5
)

// planOf fills in the defaults of a spec.
func planOf(spec *v1alpha1.RotationSpec) rotate.Plan {
	return rotate.Plan{
		Suspend:        spec.Suspend,
		ManualApproval: spec.Approval == v1alpha1.ApprovalManual,
		NeedComplete:   spec.Consumers.Require != v1alpha1.RequireKnown,
		NeedBackend:    or(spec.Proof.Backend, v1alpha1.BackendWhereKnown),
		Method:         or(spec.Rollout.Method, v1alpha1.RolloutTemplate),
		OverlapMax:     duration(spec.Overlap.Max, defaultOverlap),
		AtLimit:        or(spec.Overlap.AtLimit, v1alpha1.AtLimitHold),
		Watch:          duration(spec.Overlap.Watch, defaultWatch),
	}
}

func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func duration(d *metav1.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.Duration
}

// turnOf reads where the turn is.
func turnOf(s *v1alpha1.RotationStatus) rotate.Turn {
	return rotate.Turn{
		Number: s.Turn, NoOld: s.First, Cause: s.Cause, Phase: or(s.Phase, v1alpha1.PhaseIdle),
		HeldFrom: s.HeldFrom, HeldFor: s.HeldFor, HeldText: s.HeldMessage,
		Act: rotate.Act(s.Act), Back: rotate.Back(s.Back), Why: s.BackReason, WhyText: s.BackMessage,
		Since: at(s.Since), Begun: at(s.Begun), Published: at(s.PublishedAt), Closed: at(s.ClosedAt), Resumed: at(s.ResumedAt),
	}
}

func at(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

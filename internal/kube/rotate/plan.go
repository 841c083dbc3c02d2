package rotate

import (
	"cmp"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/utils/ptr"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Defaults of a Rotation's spec, as its documentation names them.
const (
	defaultOverlap = 24 * time.Hour
	defaultWatch   = 10 * time.Minute
)

// PlanOf fills in the defaults of a spec.
func PlanOf(spec *v1alpha1.RotationSpec) Plan {
	return Plan{
		Suspend:        spec.Suspend,
		ManualApproval: spec.Approval == v1alpha1.ApprovalManual,
		NeedComplete:   spec.Consumers.Require != v1alpha1.RequireKnown,
		NeedBackend:    cmp.Or(spec.Proof.Backend, v1alpha1.BackendWhereKnown),
		NeedClients:    cmp.Or(spec.Proof.Clients, v1alpha1.ClientsWhereKnown),
		Method:         cmp.Or(spec.Rollout.Method, v1alpha1.RolloutTemplate),
		OverlapMax:     ptr.Deref(spec.Overlap.Max, metav1.Duration{Duration: defaultOverlap}).Duration,
		AtLimit:        cmp.Or(spec.Overlap.AtLimit, v1alpha1.AtLimitHold),
		Watch:          ptr.Deref(spec.Overlap.Watch, metav1.Duration{Duration: defaultWatch}).Duration,
	}
}

// TurnOf reads where the turn is.
func TurnOf(s *v1alpha1.RotationStatus) Turn {
	return Turn{
		Number: s.Turn, NoOld: s.First, Cause: s.Cause, Phase: cmp.Or(s.Phase, v1alpha1.PhaseIdle),
		HeldFrom: s.HeldFrom, HeldFor: s.HeldFor, HeldText: s.HeldMessage,
		Act: Act(s.Act), Back: Back(s.Back), Why: s.BackReason, WhyText: s.BackMessage,
		Since: instant(s.Since), Begun: instant(s.Begun), Published: instant(s.PublishedAt), Closed: instant(s.ClosedAt), Resumed: instant(s.ResumedAt),
		Staged: instant(s.StagedAt), Retired: instant(s.RetiredAt), Ended: instant(s.EndedAt),
	}
}

// instant is *t, the zero time for nil.
func instant(t *metav1.Time) time.Time { return ptr.Deref(t, metav1.Time{}).Time }

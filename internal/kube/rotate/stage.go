package rotate

import (
	"fmt"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

func staging(o Observed) Step {
	s, res := do(o, ActStage, Step{Reason: ReasonStaging, Message: "the new credential is made beside the old one, and tried"})
	switch res {
	case done:
		return o.to(v1alpha1.PhaseStaged, Step{Did: ActStage, Reason: ReasonStaged, Message: "a login with the new credential succeeded"})
	case broken:
		return o.goBack(ReasonStageFailed, s.Message)
	}
	return s
}

// staged waits until consumers may be touched. What would hold the turn later
// holds it now, while nobody has seen the new credential.
func staged(o Observed) Step {
	if reason, text := obstacle(o); reason != "" {
		return o.hold(reason, text)
	}
	switch {
	case o.Plan.ManualApproval && !o.Asks.Approve:
		return o.here(Step{Reason: ReasonAwaitsApproval, Message: "staged; spec.approval is Manual", Next: nextApprove, After: slow})
	case !gateOpen(o):
		return gateShut(o)
	case !o.Gate.Slot:
		return o.here(Step{Reason: ReasonNoSlot, Message: "staged; as many turns are under way as the operator allows", After: poll})
	}
	return o.to(v1alpha1.PhasePublishing, Step{Act: ActPublish, Reason: ReasonPublishing, Message: "readers are shown the new credential"})
}

func publishing(o Observed) Step {
	if o.Turn.Published.IsZero() {
		s, res := do(o, ActPublish, Step{Reason: ReasonPublishing, Message: "readers are shown the new credential"})
		switch res {
		case done:
			return o.to(v1alpha1.PhasePublishing, Step{Did: ActPublish, Reason: ReasonPublished, Message: "readers see the new credential; Secrets follow"})
		case broken:
			return o.hold(ReasonActFailed, s.Message)
		}
		return s
	}
	if reason, text := obstacle(o); reason != "" {
		return o.hold(reason, text)
	}
	if !confirmed(o) {
		return o.await(late(o))
	}
	return o.to(v1alpha1.PhaseRolling, Step{Reason: ReasonRolling, Message: fmt.Sprintf("%d Secrets hold the new version; consumers are restarted where they must be", o.Secrets.Confirmed)})
}

// late says which Secrets are awaited.
func late(o Observed) Step {
	text := fmt.Sprintf("%d of %d Secrets hold the version", o.Secrets.Confirmed, o.Secrets.Total)
	if len(o.Secrets.Late) > 0 {
		text += "; not yet: " + list(o.Secrets.Late)
	}
	return Step{Reason: ReasonSecretsLate, Message: text, Next: nextStatus}
}

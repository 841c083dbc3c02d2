package rotate

import (
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Decide returns what is to be done next. The caller writes Turn.Take of it into
// the status, with the resourceVersion that was observed, and does Step.Act (unless
// Later) only when that is written.
func Decide(o Observed) Step {
	s := phase(o)
	if o.Asks.RollBack && s.Phase == o.Turn.Phase && s.Phase != v1alpha1.PhaseHeld {
		if text := refusal(o.Turn); text != "" {
			s.Reason, s.Message = ReasonBackRefused, text+"; "+s.Message
		}
	}
	return s
}

func phase(o Observed) Step { //nolint:cyclop // flat: a line for each phase
	switch o.Turn.Phase {
	case "", v1alpha1.PhaseIdle:
		return idle(o)
	case v1alpha1.PhaseStaging:
		return forward(o, staging)
	case v1alpha1.PhaseStaged:
		return forward(o, staged)
	case v1alpha1.PhasePublishing:
		return forward(o, publishing)
	case v1alpha1.PhaseRolling:
		return forward(o, rolling)
	case v1alpha1.PhaseProving:
		return forward(o, proving)
	case v1alpha1.PhaseQuiescing:
		return forward(o, quiescing)
	case v1alpha1.PhaseRetiring:
		return retiring(o)
	case v1alpha1.PhaseDone:
		return recording(o)
	case v1alpha1.PhaseHeld:
		return held(o)
	case v1alpha1.PhaseRollingBack:
		return rollingBack(o)
	case v1alpha1.PhaseFailed:
		return failed(o)
	}
	return o.here(Step{Reason: ReasonUnknownPhase, After: longest, Act: o.Turn.Act, Later: o.Turn.Act != NoAct,
		Message: "phase " + string(o.Turn.Phase) + " is not known to this version of Strongkeep: upgrade the operator", Next: nextStatus})
}

// refusal is why a turn does not go back although somebody asks for it.
func refusal(t Turn) string {
	switch t.origin() {
	case v1alpha1.PhaseRetiring:
		return "going back is refused: the old credential is being removed, and may be gone"
	case v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing:
		if t.NoOld {
			return "going back is refused: there is no credential before this one"
		}
	}
	return ""
}

// forward is what all phases from Staging to Quiescing have in common: what may
// stop them, in the order of weight.
func forward(o Observed, phase func(Observed) Step) Step {
	t := o.Turn
	if o.Asks.RollBack && t.canGoBack() {
		return o.goBack(ReasonBackAsked, "somebody asked to go back")
	}
	closed := t.Phase == v1alpha1.PhaseQuiescing // then waiting for sight may hurt
	if reason, text := failing(o); reason != "" && (closed || len(o.Blind) == 0) {
		if t.canGoBack() {
			return o.goBack(reason, text)
		}
		return o.hold(reason, text+"; there is no credential before this one to go back to")
	}
	if len(o.Blind) > 0 {
		return o.blind()
	}
	if reason, text := stopped(o); reason != "" {
		return o.hold(reason, text)
	}
	return o.withLeak(phase(o))
}

// withLeak makes of a turn that has not published the one that replaces what leaked.
func (o Observed) withLeak(s Step) Step {
	if o.Asks.Leaked && unpublished(o.Turn.Phase) && (unpublished(s.Phase) || s.Phase == v1alpha1.PhasePublishing) {
		s.Cause = CauseLeak
	}
	return s
}

func unpublished(p v1alpha1.Phase) bool {
	return p == v1alpha1.PhaseStaging || p == v1alpha1.PhaseStaged
}

// stopped is why a turn must not go on for now: people say so.
func stopped(o Observed) (reason, text string) {
	switch {
	case o.Refused != "":
		return ReasonRefused, o.Refused
	case o.Plan.Suspend:
		return ReasonSuspended, "spec.suspend is true"
	case o.Asks.Hold != "":
		return ReasonHoldAsked, "held by request: " + o.Asks.Hold
	}
	return "", ""
}

// failing is why a turn must go back: consumers fail that did not before.
func failing(o Observed) (reason, text string) {
	origin := o.Turn.origin()
	switch origin {
	case v1alpha1.PhasePublishing:
		if o.Turn.Published.IsZero() {
			return "", ""
		}
	case v1alpha1.PhaseRolling, v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing:
	default:
		return "", ""
	}
	switch {
	case len(o.Proof.Failing) > 0:
		return ReasonConsumersFailing, "consumers fail since the new credential was published: " + list(o.Proof.Failing)
	case origin != v1alpha1.PhasePublishing && len(o.Rolling.Failed) > 0:
		return ReasonConsumersFailing, "restarts failed: " + list(o.Rolling.Failed)
	}
	return "", ""
}

// idle begins a turn when there is a cause.
func idle(o Observed) Step {
	if s, ok := begin(o); ok {
		return s
	}
	if len(o.Blind) > 0 {
		s := o.blind()
		s.After = slow
		return s
	}
	if reason, text := stopped(o); reason == ReasonRefused || reason == ReasonSuspended {
		next := nextOfHeld(reason)
		if reason == ReasonRefused {
			next = nextOfRefusal(text)
		}
		return o.here(Step{Reason: reason, Message: text, Next: next, After: longest})
	}
	s := o.here(Step{Reason: ReasonNothingDue, Message: "no turn is due", After: untilDue(o)})
	if !o.Due.Next.IsZero() {
		s.Message = "the next turn is due at " + stamp(o.Due.Next)
	}
	return s
}

// failed stays so, with its reason, until there is a new cause.
func failed(o Observed) Step {
	if s, ok := begin(o); ok {
		return s
	}
	return o.here(Step{Reason: o.Turn.Why, Message: o.Turn.WhyText, Next: nextStart, After: untilDue(o)})
}

// begin is the step into a new turn. A hold that stands is honoured when the
// turn has begun, so that it is seen.
func begin(o Observed) (Step, bool) {
	cause := o.Due.Cause
	if o.Asks.Rotate {
		cause = CauseDemand
	}
	if o.Asks.Leaked {
		cause = CauseLeak
	}
	if cause == "" || o.Plan.Suspend || o.Refused != "" || len(o.Blind) > 0 {
		return Step{}, false
	}
	return Step{
		Phase: v1alpha1.PhaseStaging, Act: ActStage, Begin: cause, Cause: cause, After: soon,
		Reason: ReasonBegun, Message: "a turn begins: " + cause,
	}, true
}

// untilDue is when to look again while no turn is under way.
func untilDue(o Observed) time.Duration {
	if o.Due.Next.IsZero() {
		return 0
	}
	return min(max(o.Due.Next.Sub(o.Now), soon), longest)
}

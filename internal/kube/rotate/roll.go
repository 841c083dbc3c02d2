package rotate

import (
	"fmt"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

func rolling(o Observed) Step {
	if reason, text := obstacle(o); reason != "" {
		return o.hold(reason, text)
	}
	if !confirmed(o) {
		return o.to(v1alpha1.PhasePublishing, late(o)) // edited by hand, or a new one
	}
	if rolled(o) {
		return o.to(v1alpha1.PhaseProving, Step{Reason: ReasonRolled, Message: fmt.Sprintf("%d workloads run on the new template", o.Rolling.Done)})
	}
	if !gateOpen(o) {
		shut := gateShut(o)
		shut.Message = restarts(o) + "; " + shut.Message
		return o.await(shut)
	}
	return restart(o, ActRoll)
}

// restart goes on with restarts, which are announced once and done again and
// again: each round begins as many as are allowed.
func restart(o Observed, a Act) Step {
	wait := o.await(Step{Reason: ReasonRolling, Message: restarts(o)})
	if wait.Phase != o.Turn.Phase {
		return wait
	}
	s, res := do(o, a, wait)
	if res == broken {
		return o.hold(ReasonActFailed, s.Message)
	}
	if res == done {
		s.After = wait.After
	}
	return s
}

// restarts says how far they are.
func restarts(o Observed) string {
	r := o.Rolling
	text := fmt.Sprintf("%d of %d workloads restarted", r.Done, r.Total)
	if len(r.Under) > 0 {
		text += "; under way: " + list(r.Under)
	}
	if len(r.Waiting) > 0 {
		text += "; waiting: " + list(r.Waiting)
	}
	if len(r.Failed) > 0 {
		text += "; failed: " + list(r.Failed)
	}
	return text
}

// proving waits for the evidence. What came apart since is put together first.
func proving(o Observed) Step {
	if reason, text := obstacle(o); reason != "" {
		return o.hold(reason, text)
	}
	switch {
	case !confirmed(o):
		return o.to(v1alpha1.PhasePublishing, late(o))
	case !rolled(o):
		return o.to(v1alpha1.PhaseRolling, Step{Reason: ReasonRolling, Message: restarts(o)})
	case !shown(o):
		return o.await(Step{Reason: ReasonProving, Message: unshown(o), Next: nextStatus})
	case o.Turn.NoOld:
		return o.to(v1alpha1.PhaseDone, o.accepting(Step{Act: ActRecord, Reason: ReasonFirst, Message: unshown(o) + "; there is no credential before this one to close"}))
	case !gateOpen(o): // everything is shown: no limit holds it
		s := gateShut(o)
		s.Message = unshown(o) + "; " + s.Message
		return s
	}
	return o.to(v1alpha1.PhaseQuiescing, o.accepting(Step{Act: ActClose, Reason: ReasonProven, Message: unshown(o) + "; the old credential is closed"}))
}

// accepting says in s, and so for the statement, that only a person's word lets
// the turn go on, where it is so.
func (o Observed) accepting(s Step) Step {
	if !o.Asks.AcceptUnproven {
		return s
	}
	o.Asks.AcceptUnproven = false
	if reason, _ := obstacle(o); reason != "" || !settled(o) {
		s.Reason, s.Message = ReasonAcceptedUnproven, "a person accepts that not everything is shown: "+s.Message
	}
	return s
}

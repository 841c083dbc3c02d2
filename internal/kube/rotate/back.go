package rotate

import (
	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// rollingBack undoes, in order, what may have been done. Opening and showing the
// old credential again depend on nothing that is observed.
func rollingBack(o Observed) Step {
	switch o.Turn.Back {
	case BackWanted:
		return undo(o, ActReopen, BackOpen, ActRestore)
	case BackOpen:
		return undo(o, ActRestore, BackShown, NoAct)
	case BackShown:
		return returning(o)
	case BackRolled:
		return undo(o, ActDiscard, BackCleared, ActRecord)
	default:
		return recordingBack(o)
	}
}

// recordingBack is the end of the way back: the statement says how far the turn
// came, and why it went back. Nothing but the vault is asked for it.
func recordingBack(o Observed) Step {
	s, ok := record(o, Step{Reason: o.Turn.Why, Message: "going back: " + o.Turn.WhyText + "; the statement of the turn is signed and stored"},
		"the turn went back, but its statement is not stored; it is tried again: ")
	if !ok {
		return s
	}
	return o.to(v1alpha1.PhaseFailed, Step{Did: ActRecord, Reason: o.Turn.Why, Message: o.Turn.WhyText, Next: nextStart})
}

// undo does one act of the way back, and announces the next.
func undo(o Observed, a Act, reached Back, next Act) Step {
	s, res := do(o, a, Step{Reason: o.Turn.Why, Message: "going back: " + o.Turn.WhyText})
	switch res {
	case broken:
		if a == ActDiscard && o.Turn.Seen && o.Turn.Known < o.Turn.Number {
			s.Back, s.Act, s.After = BackCleared, ActRecord, soon // it was never staged: there is nothing to remove
			return s
		}
		if a == ActReopen {
			h := o.hold(ReasonReopenFailed, s.Message+"; the old credential may still be closed; it is tried again")
			h.Act, h.Later, h.After = ActReopen, true, backoffMax
			return h
		}
		return o.hold(ReasonActFailed, s.Message)
	case done:
		s.Back, s.Did, s.Act, s.After = reached, a, next, soon
	}
	return s
}

// returning waits until every consumer is on the old credential again; only then
// may the new one go.
func returning(o Observed) Step {
	if len(o.Blind) > 0 {
		return o.blind()
	}
	if !confirmed(o) {
		return o.await(late(o))
	}
	if !rolled(o) {
		return restart(o, ActUnroll)
	}
	if reason, text := obstacle(o); reason != "" {
		return o.hold(reason, text)
	}
	if !shown(o) {
		return o.await(Step{Reason: o.Turn.Why, Message: "going back: " + unshown(o), Next: nextStatus})
	}
	s := o.here(Step{Act: ActDiscard, After: soon, Reason: o.Turn.Why, Message: "consumers are on the old credential again; the new one is removed"})
	s.Back = BackRolled
	return s
}

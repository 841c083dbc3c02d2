package rotate

import (
	"strconv"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// held waits: for who asked for it to let go, for a person to resume after an act
// that failed, or for the cause to go away.
func held(o Observed) Step {
	t := o.Turn
	if !holdable(t.HeldFrom) {
		return stay(o, ReasonUnknownPhase, "it is not known where the turn was held: heldFrom is "+strconv.Quote(string(t.HeldFrom)))
	}
	if o.Asks.RollBack && t.canGoBack() {
		return o.goBack(ReasonBackAsked, "somebody asked to go back")
	}
	asked := t.HeldFor == ReasonHoldAsked || t.HeldFor == ReasonSuspended
	if reason, text := failing(o); reason != "" && !asked && len(o.Blind) == 0 && t.canGoBack() {
		return o.goBack(reason, text)
	}
	if t.Act == ActReopen {
		return heldOpen(o)
	}
	return heldOn(o, asked)
}

// heldOn stays while people say so, goes on when they let it, or when the cause
// is gone.
func heldOn(o Observed, asked bool) Step {
	wanted := asked || o.Asks.Resume
	reason, text := stopped(o)
	switch {
	case reason != "" && wanted:
		return stay(o, reason, text)
	case reason != "":
		return stay(o, o.Turn.HeldFor, o.Turn.HeldText)
	case wanted:
		return letGo(o, !asked)
	}
	return heal(o)
}

// holdable reports whether a turn can be held in p.
func holdable(p v1alpha1.Phase) bool {
	switch p {
	case v1alpha1.PhaseStaging, v1alpha1.PhaseStaged, v1alpha1.PhasePublishing, v1alpha1.PhaseRolling,
		v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing, v1alpha1.PhaseRollingBack:
		return true
	default:
		return false
	}
}

// heldOpen opens the old credential again, however often that takes.
func heldOpen(o Observed) Step {
	s, res := insist(o, ActReopen, Step{})
	s.Reason, s.Message, s.Next = o.Turn.HeldFor, o.Turn.HeldText, nextOfHeld(o.Turn.HeldFor)
	if res == done {
		s.Act, s.Did, s.After = NoAct, ActReopen, soon
		if s.Back == BackWanted {
			s.Back = BackOpen
		}
	}
	return s
}

// heal lets go when the cause is gone: when the phase would not hold now.
func heal(o Observed) Step {
	t := o.Turn
	if t.HeldFor == ReasonActFailed || len(o.Blind) > 0 {
		return stay(o, t.HeldFor, t.HeldText)
	}
	p := o
	p.Turn.Phase, p.Turn.HeldFrom, p.Turn.Act, p.Act = resumed(t), "", NoAct, Outcome{}
	next := phase(p)
	if next.Phase == v1alpha1.PhaseHeld {
		return stay(o, next.Reason, next.Message)
	}
	return letGo(o, false)
}

// stay is held further.
func stay(o Observed, reason, text string) Step {
	return o.here(Step{Reason: reason, Message: text, Next: nextOfHeld(reason), Act: o.Turn.Act, Later: o.Turn.Act != NoAct, After: slow})
}

// letGo goes on where the turn was held. Limits count anew if a person says so.
func letGo(o Observed, extend bool) Step {
	return o.to(resumed(o.Turn), Step{Reason: ReasonResumed, Extend: extend, Message: "goes on; it was held for " + o.Turn.HeldFor})
}

// resumed is where a held turn goes on: what was closed is open again.
func resumed(t Turn) v1alpha1.Phase {
	if t.HeldFrom == v1alpha1.PhaseQuiescing {
		return v1alpha1.PhaseProving
	}
	return t.HeldFrom
}

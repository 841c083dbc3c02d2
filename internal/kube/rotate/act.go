package rotate

import (
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// How soon to look again.
const (
	soon       = 100 * time.Millisecond // something was just decided or done
	poll       = 10 * time.Second       // something is awaited that no watch tells of
	slow       = time.Minute            // a person is awaited
	longest    = time.Hour              // nothing is: clocks leap
	backoffMin = 5 * time.Second
	backoffMax = 5 * time.Minute
)

// result is how an act stands.
type result int

const (
	going  result = iota // to be done, now or later
	done                 // known to be done
	broken               // failed, and would fail again
)

// do returns the step that does a: now, or later when it failed lately. s is
// what to say meanwhile. When the act is done or broken the step is s as it was
// given, with what went wrong in its message.
func do(o Observed, a Act, s Step) (Step, result) {
	s = o.here(s)
	s.Act = a
	out := o.Act
	if o.Turn.Act != a || out.Act != a || out.Number != o.Turn.Number || !out.Done && out.Failed == "" {
		s.After = soon
		return s, going
	}
	switch {
	case out.Done:
		return s, done
	case out.Waits:
		s.Reason, s.Message, s.Next = ReasonAwaitsPerson, out.Failed, nextOfWait(a)
		return later(o, s, waitOf(o, a)), going
	case out.Again:
		s.Reason, s.Message = ReasonActRetried, string(a)+": "+out.Failed+"; it is tried again"
		return later(o, s, backoff(out.Tries)), going
	default:
		s.Message = string(a) + ": " + out.Failed
		return s, broken
	}
}

// insist is do for acts that nothing can take the place of: what is broken is
// tried again, slowly.
func insist(o Observed, a Act, s Step) (Step, result) {
	s, res := do(o, a, s)
	if res == broken {
		return later(o, s, backoffMax), broken
	}
	return s, res
}

// later makes a step wait until d after its act was last tried.
func later(o Observed, s Step, d time.Duration) Step {
	left := d - o.Now.Sub(o.Act.Last)
	if left <= 0 || left > d { // left > d: the clock was set back
		s.After = soon
		return s
	}
	s.Later, s.After = true, left
	return s
}

// backoff doubles from try to try.
func backoff(tries int) time.Duration {
	d := backoffMin
	for ; tries > 1 && d < backoffMax; tries-- {
		d *= 2
	}
	return min(d, backoffMax)
}

// waitOf is how long to wait for a person before the act is tried again.
func waitOf(o Observed, a Act) time.Duration {
	if (a == ActRetire || a == ActDiscard) && o.Asks.RetireConfirmed {
		return backoffMin
	}
	return slow
}

func nextOfWait(a Act) string {
	switch a {
	case ActStage:
		return nextProvide
	case ActRetire, ActDiscard:
		return nextRetired
	default:
		return nextStatus
	}
}

// here fills in that a step stays where the turn is.
func (o Observed) here(s Step) Step {
	t := o.Turn
	s.Phase, s.HeldFrom, s.Back = t.Phase, t.HeldFrom, t.Back
	if s.Phase == "" {
		s.Phase = v1alpha1.PhaseIdle
	}
	return s
}

// to fills in that a step enters a phase.
func (o Observed) to(p v1alpha1.Phase, s Step) Step {
	s.Phase, s.HeldFrom, s.Back, s.After = p, "", o.Turn.Back, soon
	return s
}

// blind is the step of who cannot see: what was announced stays so.
func (o Observed) blind() Step {
	return o.here(Step{
		Act: o.Turn.Act, Later: o.Turn.Act != NoAct, After: poll, Reason: ReasonNotObserved,
		Message: "waiting, since not everything could be asked: " + list(o.Blind), Next: nextStatus,
	})
}

// hold is the step into Held. What is closed, or may be, is opened again: old and
// new work for as long as a turn is held.
func (o Observed) hold(reason, message string) Step {
	t := o.Turn
	s := Step{Phase: v1alpha1.PhaseHeld, HeldFrom: t.origin(), Back: t.Back, After: soon, Reason: reason, Message: message, Next: nextOfHeld(reason)}
	if s.HeldFrom == v1alpha1.PhaseQuiescing && (!t.Closed.IsZero() || t.Act == ActClose || t.Act == ActReopen) {
		s.Act = ActReopen
	}
	return s
}

// goBack is the step into RollingBack, which begins with what may have been done.
func (o Observed) goBack(reason, message string) Step {
	t := o.Turn
	s := o.to(v1alpha1.PhaseRollingBack, Step{Reason: reason, Message: message, Extend: true})
	switch t.origin() {
	case v1alpha1.PhaseStaging, v1alpha1.PhaseStaged:
		s.Back, s.Act = BackRolled, ActDiscard
	case v1alpha1.PhaseQuiescing:
		s.Back, s.Act = BackWanted, ActReopen
		if t.Phase == v1alpha1.PhaseHeld && t.Act == NoAct && t.Closed.IsZero() {
			s.Back, s.Act = BackOpen, ActRestore
		}
	default:
		s.Back, s.Act = BackOpen, ActRestore
	}
	return s
}

// canGoBack reports whether there is something to go back to.
func (t Turn) canGoBack() bool {
	switch t.origin() {
	case v1alpha1.PhaseStaging, v1alpha1.PhaseStaged:
		return true
	case v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing:
		return !t.NoOld
	default:
		return false
	}
}

package drill

import (
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// seen is everything a decision is made from.
type seen struct {
	now   time.Time
	drill *v1alpha1.Drill
	// allowed: the namespace's label allows drills. may: why the drill must not
	// be, or must end; both mean nothing when blind is not empty.
	allowed bool
	may     refusal
	blind   string // what could not be asked
	undone  bool   // nothing is left of it
	well    bool   // the workload is as well as before
	gone    bool   // there is no such workload any more
}

// refusal is why a drill may not be; the zero refusal is none.
type refusal struct{ reason, message string }

// plan is a decision. after is when to look again; 0: never.
type plan struct {
	phase           v1alpha1.DrillPhase
	reason, message string
	after           time.Duration
}

// Reasons of phases and conditions.
const (
	reasonTimeIsUp     = "TimeIsUp"
	reasonStopped      = "Stopped"
	reasonClock        = "ClockLeapt"
	reasonNotAllowed   = "NotAllowed"
	reasonTooLate      = "TooLate"
	reasonBlind        = "CannotAsk"
	reasonBroken       = "Broken"
	reasonRestored     = "Restored"
	reasonRecovered    = "Recovered"
	reasonNotRecovered = "NotRecovered"
)

const (
	// patience is how old a Drill may be when it begins: one that nobody saw for
	// longer would surprise people.
	patience = 10 * time.Minute
	// recovery is how long pods are watched after everything is restored.
	recovery = 10 * time.Minute
	// tick is how often things are looked at meanwhile.
	tick = 2 * time.Second
)

// decide is pure.
func decide(s seen) plan {
	switch s.drill.Status.Phase {
	case v1alpha1.DrillRunning:
		return running(s)
	case v1alpha1.DrillUndoing:
		if s.undone {
			return plan{v1alpha1.DrillRecovering, s.drill.Status.Reason, "everything is as it was; the pods are watched", time.Millisecond}
		}
		return plan{v1alpha1.DrillUndoing, s.drill.Status.Reason, "ExternalSecrets are read again until they are ready and their Secrets right", tick}
	case v1alpha1.DrillRecovering:
		return recovering(s)
	}
	return beginning(s)
}

func beginning(s seen) plan {
	refuse := func(reason, message string) plan {
		return plan{phase: v1alpha1.DrillRefused, reason: reason, message: message}
	}
	d := s.drill
	again := fmt.Sprintf("strongkeep drill start -n %s %s/%s -failure=%s", d.Namespace, d.Spec.Workload.Kind, d.Spec.Workload.Name, d.Spec.Failure)
	switch {
	case d.Stopped():
		return refuse(reasonStopped, "it was stopped before it began")
	case s.now.Sub(d.CreationTimestamp.Time) > patience:
		return refuse(reasonTooLate, fmt.Sprintf("it could not begin within %s: make another with %s", patience, again))
	case s.blind != "":
		return plan{v1alpha1.DrillPending, reasonBlind, s.blind, tick}
	case !s.allowed:
		return refuse(reasonNotAllowed, fmt.Sprintf("namespace %s does not allow drills: kubectl label namespace %s %s=%s, then %s",
			d.Namespace, d.Namespace, v1alpha1.LabelDrills, v1alpha1.DrillsAllowed, again))
	case s.may.reason != "":
		return refuse(s.may.reason, s.may.message)
	}
	return plan{v1alpha1.DrillRunning, reasonBroken, fmt.Sprintf("%s since now, for %s", d.Spec.Failure, d.Spec.Duration.Duration), time.Millisecond}
}

// running ends a drill for whatever reason there is. What cannot be asked ends
// nothing: the deadline does.
func running(s seen) plan {
	d := s.drill
	undo := func(reason, message string) plan {
		return plan{v1alpha1.DrillUndoing, reason, message, time.Millisecond}
	}
	switch until := d.Status.Until; {
	case d.Stopped():
		return undo(reasonStopped, "it was stopped")
	case until == nil || !s.now.Before(until.Time):
		return undo(reasonTimeIsUp, "its time is up")
	case !d.Active(s.now):
		return undo(reasonClock, "the clock says that it has not begun yet: it has leapt")
	case s.blind != "":
	case !s.allowed:
		return undo(reasonNotAllowed, fmt.Sprintf("namespace %s no longer allows drills", d.Namespace))
	case s.may.reason != "":
		return undo(s.may.reason, s.may.message)
	}
	return plan{v1alpha1.DrillRunning, reasonBroken, condition(d, v1alpha1.ConditionRunning), min(tick, d.Status.Until.Sub(s.now))}
}

func recovering(s seen) plan {
	reason := s.drill.Status.Reason
	switch {
	case s.gone:
		return plan{v1alpha1.DrillOver, reason, "the workload is gone", 0}
	case s.well:
		return plan{v1alpha1.DrillOver, reason, "the workload is as well as before", 0}
	case s.drill.Status.Undone == nil || s.now.Sub(s.drill.Status.Undone.Time) >= recovery:
		return plan{v1alpha1.DrillOver, reason, fmt.Sprintf("the workload was not as well as before within %s: see the findings, and kubectl describe its pods", recovery), 0}
	}
	return plan{v1alpha1.DrillRecovering, reason, "everything is as it was; the pods are watched", tick}
}

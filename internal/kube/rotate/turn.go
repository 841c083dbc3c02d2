package rotate

import (
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Take returns the turn after s was decided at now. It is what is written into
// the status before s.Act is done. NoOld and Known are the caller's to fill when
// s.Begin is not empty: from what readers see just before.
func (t Turn) Take(s Step, now time.Time) Turn { //nolint:cyclop // flat: a case after the other
	if s.Begin != "" {
		t = Turn{Number: max(t.Number, t.Known) + 1, Known: t.Known, Seen: t.Seen, NoOld: t.NoOld, Cause: s.Begin, Begun: now}
	}
	if s.Cause != "" {
		t.Cause = s.Cause
	}
	if t.Phase != s.Phase {
		t.Since = now
	}
	if s.Phase == v1alpha1.PhaseRollingBack && t.Back == Forward {
		t.Why, t.WhyText = s.Reason, s.Message
	}
	t.HeldFrom, t.HeldFor, t.HeldText = "", "", ""
	if s.Phase == v1alpha1.PhaseHeld {
		t.HeldFrom, t.HeldFor, t.HeldText = s.HeldFrom, s.Reason, s.Message
	}
	if s.Act == ActRecord && t.Act != ActRecord {
		t.Ended = now
	}
	t.Phase, t.Back, t.Act = s.Phase, s.Back, s.Act
	if s.Extend {
		t.Resumed = now
	}
	switch s.Did {
	case ActStage:
		t.Staged = now
	case ActRetire, ActDiscard:
		t.Retired = now
	case ActPublish:
		t.Published = now
	case ActClose:
		t.Closed = now
	case ActReopen:
		t.Closed = time.Time{}
	}
	return t
}

// Result is how a turn that comes to its end has ended.
type Result string

// The results. Abandoned is what the Rotation's deletion makes of a turn.
const (
	ResultRotated    Result = "Rotated"    // the old credential is removed; of a first turn there is none
	ResultRolledBack Result = "RolledBack" // the new one was staged, and is removed
	ResultFailed     Result = "Failed"     // there never was a new one that is known to work
	ResultAbandoned  Result = "Abandoned"
)

// Result is how the turn ends when it is at its end, and what it would end as if
// it were given up now.
func (t Turn) Result() Result {
	switch {
	case t.Phase == v1alpha1.PhaseDone || t.Phase == v1alpha1.PhaseIdle:
		return ResultRotated
	case t.Phase != v1alpha1.PhaseFailed && t.Back != BackCleared:
		return ResultAbandoned
	case t.Staged.IsZero() && t.Published.IsZero():
		return ResultFailed
	}
	return ResultRolledBack
}

// origin is the phase that a turn is in, or was held in.
func (t Turn) origin() v1alpha1.Phase {
	if t.Phase == v1alpha1.PhaseHeld {
		return t.HeldFrom
	}
	return t.Phase
}

package rotate

import (
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Take returns the turn after s was decided at now. It is what is written into
// the status before s.Act is done. NoOld and Known are the caller's to fill when
// s.Begin is not empty: from what readers see just before.
func (t Turn) Take(s Step, now time.Time) Turn {
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
	t.Phase, t.Back, t.Act = s.Phase, s.Back, s.Act
	if s.Extend {
		t.Resumed = now
	}
	switch s.Did {
	case ActPublish:
		t.Published = now
	case ActClose:
		t.Closed = now
	case ActReopen:
		t.Closed = time.Time{}
	}
	return t
}

// origin is the phase that a turn is in, or was held in.
func (t Turn) origin() v1alpha1.Phase {
	if t.Phase == v1alpha1.PhaseHeld {
		return t.HeldFrom
	}
	return t.Phase
}

package schedule

import (
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cron"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
)

// Gate says whether consumers may be touched now: a window is open, or there
// are none, and nothing is frozen. Slot is not its affair. Opens is the first time
// at which both are so, as far as it can be told.
func (Calendar) Gate(rot *v1alpha1.Rotation, now time.Time) (rotate.Gate, error) {
	windows, err := windowsOf(rot.Spec.Windows)
	if err != nil {
		return rotate.Gate{}, err
	}
	for i, f := range rot.Spec.Freezes {
		if !f.Until.After(f.From.Time) {
			return rotate.Gate{}, errs.Newf(errs.Invalid, "freezes[%d]: until must be after from", i)
		}
	}
	frozen := freezeAt(rot.Spec.Freezes, now)
	opens, isOpen := windows.at(now)
	g := rotate.Gate{Open: frozen == nil && isOpen, Frozen: frozen != nil}
	switch {
	case g.Open:
		return g, nil
	case g.Frozen:
		g.Reason = "frozen until " + frozen.Until.UTC().Format(time.RFC3339)
		if frozen.Reason != "" {
			g.Reason += ": " + frozen.Reason
		}
		opens = frozen.Until.Time
	default:
		g.Reason = fmt.Sprintf("none of %d windows is open", len(windows))
	}
	g.Opens = firstOpen(windows, rot.Spec.Freezes, opens)
	return g, nil
}

// firstOpen is the first time from t at which a window is open and nothing is
// frozen; zero when that is too far to tell.
func firstOpen(w windows, freezes []v1alpha1.Freeze, t time.Time) time.Time {
	for range 2*len(freezes) + 2 {
		if f := freezeAt(freezes, t); f != nil {
			t = f.Until.Time
			continue
		}
		opens, isOpen := w.at(t)
		if isOpen {
			return t
		}
		t = opens
	}
	return time.Time{}
}

// freezeAt returns the freeze that holds at t and ends last; nil: none.
func freezeAt(freezes []v1alpha1.Freeze, t time.Time) (found *v1alpha1.Freeze) {
	for i := range freezes {
		f := &freezes[i]
		if !t.Before(f.From.Time) && t.Before(f.Until.Time) && (found == nil || f.Until.After(found.Until.Time)) {
			found = f
		}
	}
	return found
}

type window struct {
	cron cron.Schedule
	open time.Duration
}

type windows []window

func windowsOf(specs []v1alpha1.Window) (windows, error) {
	out := make(windows, 0, len(specs))
	for i, s := range specs {
		c, err := cron.Parse(s.Cron, s.TimeZone)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "windows[%d]: %w", i, err)
		}
		if s.Duration.Duration < minPeriod || s.Duration.Duration > maxWindow {
			return nil, errs.Newf(errs.Invalid, "windows[%d]: duration is %v: it must be between %v and %v", i, s.Duration.Duration, minPeriod, maxWindow)
		}
		if c.Next(time.Unix(0, 0)).IsZero() {
			return nil, errs.Newf(errs.Invalid, "windows[%d]: cron %q never fires: there is no such date within five years", i, s.Cron)
		}
		out = append(out, window{cron: c, open: s.Duration.Duration})
	}
	return out, nil
}

// at reports whether a window is open at t; if not, opens is when the next is.
func (w windows) at(t time.Time) (opens time.Time, isOpen bool) {
	if len(w) == 0 {
		return t, true
	}
	for _, x := range w {
		start := x.cron.Next(t.Add(-x.open)) // the first that is not over at t
		if start.IsZero() {
			continue
		}
		if !start.After(t) {
			return t, true
		}
		if opens.IsZero() || start.Before(opens) {
			opens = start
		}
	}
	return opens, false
}

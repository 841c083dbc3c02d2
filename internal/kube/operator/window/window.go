package window

import (
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/cron"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Bounds.
const (
	shortest   = time.Minute
	longest    = 366 * 24 * time.Hour
	maxWindows = 100
	maxMerged  = 100 // spans that overlap or touch and are followed to where they end
)

// The kinds of SyncWindows.
const (
	kindAllow = "allow"
	kindDeny  = "deny"
)

// Windows are spans of time that come again. The zero Windows are always open.
type Windows struct {
	deny  bool
	spans []span
}

// span begins at each time of a cron expression, in UTC, and lasts.
type span struct {
	begins cron.Schedule
	lasts  time.Duration
}

// Parse reads spec; nil is the zero Windows. Errors are Invalid and name the field.
func Parse(spec *v1.SyncWindows) (Windows, error) {
	if spec == nil {
		return Windows{}, nil
	}
	w := Windows{deny: spec.Kind == kindDeny}
	if !w.deny && spec.Kind != kindAllow {
		return Windows{}, errs.Newf(errs.Invalid, "syncWindows.kind %q is not one of allow and deny", spec.Kind)
	}
	if n := len(spec.Windows); n == 0 || n > maxWindows {
		return Windows{}, errs.Newf(errs.Invalid, "syncWindows.windows has %d entries: it must have between 1 and %d", n, maxWindows)
	}
	for i, s := range spec.Windows {
		c, err := cron.Parse(s.Schedule, "")
		if err != nil {
			return Windows{}, errs.Newf(errs.Invalid, "syncWindows.windows[%d].schedule: %w", i, err)
		}
		if c.Next(time.Unix(0, 0)).IsZero() {
			return Windows{}, errs.Newf(errs.Invalid, "syncWindows.windows[%d].schedule: cron %q never fires: there is no such date within five years", i, s.Schedule)
		}
		if d := s.Duration.Duration; d < shortest || d > longest {
			return Windows{}, errs.Newf(errs.Invalid, "syncWindows.windows[%d].duration is %v: it must be between %v and %v", i, d, shortest, longest)
		}
		w.spans = append(w.spans, span{c, s.Duration.Duration})
	}
	return w, nil
}

// At reports whether the store may be followed at t, and until when that holds:
// zero for ever. After a long row of spans that follow each other, until may be
// before its end; what to do then is found by asking again.
func (w Windows) At(t time.Time) (open bool, until time.Time) {
	if len(w.spans) == 0 {
		return true, time.Time{}
	}
	if end := w.end(t); end.After(t) {
		return !w.deny, end
	}
	return w.deny, w.next(t)
}

// end returns when the spans that hold at t are over, t when none does.
func (w Windows) end(t time.Time) time.Time {
	end := t
	for range maxMerged {
		longer := end
		for _, s := range w.spans {
			// The first that is not over at end.
			if began := s.begins.Next(end.Add(-s.lasts)); !began.IsZero() && !began.After(end) && began.Add(s.lasts).After(longer) {
				longer = began.Add(s.lasts)
			}
		}
		if longer.Equal(end) {
			break
		}
		end = longer
	}
	return end
}

// next returns when the next span begins after t; zero: never.
func (w Windows) next(t time.Time) (first time.Time) {
	for _, s := range w.spans {
		if at := s.begins.Next(t); !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

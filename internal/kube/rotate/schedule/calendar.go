package schedule

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/cron"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
)

// Bounds.
const (
	minPeriod = time.Minute
	minRetry  = 10 * time.Minute
	maxRetry  = 24 * time.Hour
	maxWindow = 366 * 24 * time.Hour
)

// Calendar answers for a Rotation. Its errors are Invalid and name the field.
type Calendar struct{}

// Due says whether a turn should begin. limit is the age at which policies
// want a turn to begin, 0 for none; changed is when what readers see was published, zero when
// that is not known. After a turn that failed the next is tried at the next cron
// time, or after a tenth of the interval or age, at least 10 minutes and at most a
// day.
func (Calendar) Due(rot *v1alpha1.Rotation, limit time.Duration, changed, now time.Time) (rotate.Due, error) {
	s, last := &rot.Spec.Schedule, lastOf(rot)
	var due rotate.Due
	sooner := func(cause string, at time.Time) {
		if due.Next.IsZero() || at.Before(due.Next) {
			due = rotate.Due{Cause: cause, Next: at}
		}
	}
	at, err := byCron(s, last)
	if err != nil {
		return rotate.Due{}, err
	}
	if !at.IsZero() {
		sooner(rotate.CauseSchedule, at)
	}
	if s.Interval != nil {
		if err := period("schedule.interval", s.Interval.Duration); err != nil {
			return rotate.Due{}, err
		}
		sooner(rotate.CauseInterval, last.after(last.ended, s.Interval.Duration))
	}
	age, err := greatestAge(s, limit)
	if err != nil {
		return rotate.Due{}, err
	}
	if age > 0 {
		from := later(changed, last.done)
		if from.IsZero() {
			from = last.ended
		}
		sooner(rotate.CauseAge, last.after(from, age))
	}
	if due.Next.After(now) {
		due.Cause = ""
	}
	return due, nil
}

// byCron is when schedule.cron comes next; zero without one.
func byCron(s *v1alpha1.Schedule, last past) (time.Time, error) {
	if s.Cron != "" {
		return nextOf("schedule.cron", s.Cron, s.TimeZone, last.any())
	}
	if s.TimeZone != "" {
		return time.Time{}, errs.New(errs.Invalid, "schedule.timeZone is that of schedule.cron, which is empty")
	}
	return time.Time{}, nil
}

// greatestAge is the stricter of schedule.maxAge and what policies allow; 0 for none.
func greatestAge(s *v1alpha1.Schedule, limit time.Duration) (time.Duration, error) {
	if s.MaxAge == nil {
		return limit, nil
	}
	own := s.MaxAge.Duration
	if err := period("schedule.maxAge", own); err != nil {
		return 0, err
	}
	if limit <= 0 || own < limit {
		return own, nil
	}
	return limit, nil
}

func period(field string, d time.Duration) error {
	if d < minPeriod {
		return errs.Newf(errs.Invalid, "%s is %v: it must be at least %v", field, d, minPeriod)
	}
	return nil
}

// nextOf returns the first time of a cron expression after t.
func nextOf(field, text, zone string, t time.Time) (time.Time, error) {
	c, err := cron.Parse(text, zone)
	if err != nil {
		return time.Time{}, errs.Newf(errs.Invalid, "%s: %w", field, err)
	}
	at := c.Next(t)
	if at.IsZero() {
		return time.Time{}, errs.Newf(errs.Invalid, "%s: cron %q never fires: there is no such date within five years", field, text)
	}
	return at, nil
}

// past is what happened to a Rotation before.
type past struct {
	done   time.Time // the last turn ended well; zero: none did
	ended  time.Time // the same, or when the Rotation was made
	failed time.Time // the last turn failed; zero: it did not
}

func lastOf(rot *v1alpha1.Rotation) past {
	p := past{done: timeOf(rot.Status.LastDone)}
	p.ended = later(p.done, rot.CreationTimestamp.Time)
	if rot.Status.Phase == v1alpha1.PhaseFailed {
		p.failed = timeOf(rot.Status.Since)
	}
	return p
}

func (p past) any() time.Time { return later(p.ended, p.failed) }

// after is d after from, or, when the last turn failed, not before it is worth
// another try.
func (p past) after(from time.Time, d time.Duration) time.Time {
	at := from.Add(d)
	if p.failed.IsZero() {
		return at
	}
	return later(at, p.failed.Add(min(max(d/10, minRetry), maxRetry)))
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

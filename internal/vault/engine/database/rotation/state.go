package rotation

import (
	"time"

	"github.com/robfig/cron/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// State is a password that changes on time, and where the change stands. It is
// stored as part of a connection (its own user's) and of a static role, as JSON
// among its fields.
type State struct {
	Period   time.Duration `json:",omitempty"` // 0 = not by period
	Schedule string        `json:",omitempty"` // cron with five fields, UTC; "" = not by schedule
	Window   time.Duration `json:",omitempty"` // how long after its time a scheduled change may begin; 0 = any time
	Off      bool          `json:",omitempty"` // not by itself

	Password string    `json:",omitempty"` // in force, as far as we know; "" = not known yet
	Pending  string    `json:",omitempty"` // being set; in force perhaps, "" = no change is under way
	Last     time.Time // of the last change; zero = never
	Next     time.Time // when it is to change; zero = not by itself
	Due      time.Time // when Work looks after it: Next, or the next try; zero = never
	Claims   []Claim   `json:",omitempty"` // on passwords that may be in force, or come to be; never changed in place
	Failures int       `json:",omitempty"` // in a row
	Error    string    `json:",omitempty"` // of the last try, without secrets
}

// Limits and pauses.
const (
	minPeriod = 5 * time.Second
	minWindow = time.Hour
	firstTry  = 5 * time.Second // pause after the first failure; doubled by each
	lastTry   = 10 * time.Minute
	// abandoned is when Work takes up a change that was begun by a request which
	// has not been heard of since.
	abandoned = time.Minute
)

// Fields are those that Decode reads.
func Fields() []engine.Field {
	return []engine.Field{
		{Name: "rotation_period", Type: engine.Duration, Help: "How often the password changes, at least every 5 s. Not with rotation_schedule."},
		{Name: "rotation_schedule", Help: "When the password changes, as cron with five fields, in UTC."},
		{Name: "rotation_window", Type: engine.Duration, Help: "How long after a scheduled time the change may still begin, at least 1 h.", Default: "0, any time"},
	}
}

// parseSchedule reads minute, hour, day of month, month and day of week.
func parseSchedule(text string) (cron.Schedule, error) {
	const maxSchedule = 256
	if len(text) > maxSchedule {
		return nil, errs.Newf(errs.Invalid, "rotation_schedule is longer than %d bytes", maxSchedule)
	}
	s, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(text)
	if err != nil {
		return nil, errs.New(errs.Invalid, `could not parse rotation_schedule: it must be five cron fields, such as "0 3 * * SAT"`)
	}
	return s, nil
}

// Decode applies a request. What it leaves out stays; period and schedule
// replace each other.
func (r *State) Decode(req *engine.Request) error { //nolint:cyclop // a flat list of conditions
	d := req.Decode()
	period, schedule, window := d.Duration("rotation_period", 0), d.String("rotation_schedule", ""), d.Duration("rotation_window", r.Window)
	if err := d.Err(); err != nil {
		return err
	}
	if d.Has("rotation_period") && period != 0 && schedule != "" {
		return errs.New(errs.Invalid, "mutually exclusive fields rotation_period and rotation_schedule were both specified; only one of them can be provided")
	}
	switch {
	case schedule != "":
		s, err := parseSchedule(schedule)
		if err != nil {
			return err
		}
		if s.Next(req.Time.UTC()).IsZero() {
			return errs.New(errs.Invalid, "rotation_schedule never comes true")
		}
		r.Schedule, r.Period = schedule, 0
	case d.Has("rotation_schedule") && !d.Has("rotation_period"):
		r.Schedule, window = "", 0
	}
	if d.Has("rotation_period") && schedule == "" {
		if period != 0 && period < minPeriod {
			return errs.New(errs.Invalid, "rotation_period must be 5 seconds or more")
		}
		if period != 0 {
			r.Schedule = ""
			if !d.Has("rotation_window") {
				window = 0
			}
		}
		r.Period = period
	}
	if window != 0 && r.Schedule == "" {
		return errs.New(errs.Invalid, "rotation_window is invalid with use of rotation_period")
	}
	if window != 0 && window < minWindow {
		return errs.New(errs.Invalid, "rotation_window must be 3600 seconds or more")
	}
	r.Window = window
	return nil
}

// after is the first time to change the password after t; zero = never.
func (r *State) after(t time.Time) time.Time {
	switch {
	case r.Off:
		return time.Time{}
	case r.Period > 0:
		return t.Add(r.Period)
	case r.Schedule != "":
		if s, err := parseSchedule(r.Schedule); err == nil {
			return s.Next(t.UTC())
		}
	}
	return time.Time{}
}

// Reschedule fits Next and Due to settings that may have changed.
func (r *State) Reschedule(now time.Time) {
	from := now
	if r.Period > 0 && !r.Last.IsZero() && r.Last.Before(now) {
		from = r.Last
	}
	r.Next = r.after(from)
	r.Due = r.Next
	if r.Pending != "" {
		r.Due = now
	}
	r.watch(now)
}

// begin notes a password that is about to be set by who makes this claim.
func (r *State) begin(pending, claim string, now time.Time) {
	r.Pending = pending
	r.claim(claim, pending, now)
	r.Due = now.Add(abandoned)
}

// comes reports whether it is time for a change.
func (r *State) comes(now time.Time) bool { return !r.Next.IsZero() && !r.Next.After(now) }

// done makes the pending password the current one.
func (r *State) done(now time.Time) {
	r.Password, r.Pending = r.Pending, ""
	r.Last, r.Failures, r.Error = now, 0, ""
	r.Next = r.after(now)
	r.Due = r.Next
	r.watch(now)
}

// failed notes why a change did not come about and when to try again. forget
// says that the pending password is known not to be in force.
func (r *State) failed(reason string, forget bool, now time.Time) {
	defer r.watch(now)
	if forget {
		r.Pending = ""
	}
	r.Failures++
	r.Error = reason
	if r.Pending == "" && r.Next.IsZero() {
		r.Due = time.Time{} // it was asked for once, and is not to happen by itself
		return
	}
	r.Due = now.Add(backoff(r.Failures))
	if r.Pending == "" && r.missed(r.Due) {
		r.Next = r.after(now)
		r.Due = r.Next
	}
}

// missed reports whether a scheduled change is too late to begin at t.
func (r *State) missed(t time.Time) bool {
	return r.Schedule != "" && r.Window > 0 && !r.Next.IsZero() && t.After(r.Next.Add(r.Window))
}

func backoff(failures int) time.Duration {
	pause := firstTry
	for range min(failures, 20) - 1 {
		pause = min(2*pause, lastTry)
	}
	return pause
}

// Show adds what is known of the rotation, and no password.
func (r *State) Show(o engine.Builder) engine.Builder {
	if r.Schedule != "" {
		o = o.Str("rotation_schedule", r.Schedule).Int("rotation_window", int64(r.Window/time.Second))
	} else {
		o = o.Int("rotation_period", int64(r.Period/time.Second))
	}
	if !r.Last.IsZero() {
		o = o.Time("last_vault_rotation", r.Last)
	}
	if !r.Next.IsZero() {
		o = o.Time("next_vault_rotation", r.Next)
	}
	if r.Error != "" {
		o = o.Str("last_error", r.Error).Int("failures", int64(r.Failures)).Time("next_attempt", r.Due)
	}
	if r.Pending != "" {
		o = o.Bool("rotation_pending", true)
	}
	return o
}

// TTL is for how many seconds the password will stay, as far as is planned.
func (r *State) TTL(now time.Time) int64 {
	left := max(r.Next.Sub(now), 0)
	if r.Period > 0 {
		left = min(left, r.Period) // the clock was set back
	}
	return int64((left + time.Second - 1) / time.Second)
}

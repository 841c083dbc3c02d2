package schedule

import (
	"strings"
	"time"
	_ "time/tzdata" // images have no zones of their own

	"github.com/robfig/cron/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// maxText is the longest expression or zone, in bytes.
const maxText = 256

// Cron is a cron expression of five fields in a time zone. A local time that a
// change of clocks leaves out counts as so much later; one that it repeats
// counts once, the first time. Where every hour counts (the hour field begins
// with "*"), true hours do.
type Cron struct {
	fields cron.Schedule
	zone   *time.Location
	hourly bool
}

// Parse reads an expression, such as "0 3 * * 0", and a zone, such as
// "Europe/Berlin"; UTC when it is empty. The error, Invalid, says what is wrong.
func Parse(text, zone string) (Cron, error) {
	if len(text) > maxText || len(zone) > maxText {
		return Cron{}, errs.Newf(errs.Invalid, "cron expression or time zone is longer than %d bytes", maxText)
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return Cron{}, errs.Newf(errs.Invalid, "time zone %q is not known: give one of IANA's names, such as Europe/Berlin", zone)
	}
	words := strings.Fields(text)
	if len(words) != 5 || strings.Contains(text, "=") || strings.HasPrefix(text, "@") {
		return Cron{}, errs.Newf(errs.Invalid, `cron %q must have five fields, minute, hour, day of month, month and day of week, such as "0 3 * * 0"; the zone has a field of its own`, text)
	}
	fields, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(strings.Join(words, " "))
	if err != nil {
		return Cron{}, errs.Newf(errs.Invalid, "cron %q: %w", text, err)
	}
	return Cron{fields: fields, zone: location, hourly: strings.HasPrefix(words[1], "*")}, nil
}

// Next returns the first time after t; zero when there is none within five years.
func (c Cron) Next(t time.Time) time.Time {
	if c.hourly {
		return c.fields.Next(t.In(c.zone))
	}
	// Clocks on walls are counted as if they were UTC, from before any change that
	// may repeat them.
	for wall := wallOf(t, c.zone).Add(-24 * time.Hour); ; {
		if wall = c.fields.Next(wall); wall.IsZero() {
			return time.Time{}
		}
		if at := c.instant(wall); at.After(t) {
			return at
		}
	}
}

// wallOf is what a clock on a wall shows at t, as a time in UTC.
func wallOf(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// instant is the first time at which clocks show wall; where they never do,
// what they would have shown without the change.
func (c Cron) instant(wall time.Time) time.Time {
	at := func(near time.Duration) time.Time {
		_, offset := wall.Add(near).In(c.zone).Zone()
		return wall.Add(-time.Duration(offset) * time.Second)
	}
	before, after := at(-24*time.Hour), at(24*time.Hour)
	first, second := before, after
	if second.Before(first) {
		first, second = second, first
	}
	for _, t := range []time.Time{first, second} {
		if wallOf(t, c.zone).Equal(wall) {
			return t.In(c.zone)
		}
	}
	return before.In(c.zone)
}

package cron

import (
	"strings"
	"time"
	_ "time/tzdata" // images have no zones of their own

	robfig "github.com/robfig/cron/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// maxText is the longest expression or zone, in bytes.
const maxText = 256

// Schedule is a cron expression of five fields in a time zone. A local time that a
// change of clocks leaves out counts as so much later; one that it repeats
// counts once, the first time. Where every hour counts (the hour field begins
// with "*"), true hours do.
type Schedule struct {
	fields robfig.Schedule
	zone   *time.Location
	hourly bool
}

// Parse reads an expression, such as "0 3 * * 0", and a zone, such as
// "Europe/Berlin"; UTC when it is empty. The error, Invalid, says what is wrong.
func Parse(text, zone string) (Schedule, error) {
	if len(text) > maxText || len(zone) > maxText {
		return Schedule{}, errs.Newf(errs.Invalid, "cron expression or time zone is longer than %d bytes", maxText)
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return Schedule{}, errs.Newf(errs.Invalid, "time zone %q is not known: give one of IANA's names, such as Europe/Berlin", zone)
	}
	words := strings.Fields(text)
	if len(words) != 5 || strings.Contains(text, "=") || strings.HasPrefix(text, "@") {
		return Schedule{}, errs.Newf(errs.Invalid, `cron %q must have five fields, minute, hour, day of month, month and day of week, such as "0 3 * * 0"; the zone has a field of its own`, text)
	}
	fields, err := robfig.NewParser(robfig.Minute | robfig.Hour | robfig.Dom | robfig.Month | robfig.Dow).Parse(strings.Join(words, " "))
	if err != nil {
		return Schedule{}, errs.Newf(errs.Invalid, "cron %q: %w", text, err)
	}
	return Schedule{fields: fields, zone: location, hourly: strings.HasPrefix(words[1], "*")}, nil
}

// Next returns the first time after t; zero when there is none within five years.
func (s Schedule) Next(t time.Time) time.Time {
	if s.hourly {
		return s.fields.Next(t.In(s.zone))
	}
	// Clocks on walls are counted as if they were UTC, from before any change that
	// may repeat them.
	for wall := wallOf(t, s.zone).Add(-24 * time.Hour); ; {
		if wall = s.fields.Next(wall); wall.IsZero() {
			return time.Time{}
		}
		if at := s.instant(wall); at.After(t) {
			return at
		}
	}
}

// firings bounds how many are looked at by Gaps: more than a year of one that fires each day.
const firings = 400

// Gaps are the shortest and the longest time between two of the first 400 since 2024: they
// do not depend on today. Zero of one that does not come twice.
func (s Schedule) Gaps() (shortest, longest time.Duration) {
	last := s.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	for range firings {
		next := s.Next(last)
		if last.IsZero() || next.IsZero() {
			break
		}
		gap := next.Sub(last)
		if shortest == 0 || gap < shortest {
			shortest = gap
		}
		longest, last = max(longest, gap), next
	}
	return shortest, longest
}

// wallOf is what a clock on a wall shows at t, as a time in UTC.
func wallOf(t time.Time, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	return t.UTC().Add(time.Duration(offset) * time.Second)
}

// instant is the first time at which clocks show wall; where they never do,
// what they would have shown without the change.
func (s Schedule) instant(wall time.Time) time.Time {
	at := func(near time.Duration) time.Time {
		_, offset := wall.Add(near).In(s.zone).Zone()
		return wall.Add(-time.Duration(offset) * time.Second)
	}
	before, after := at(-24*time.Hour), at(24*time.Hour)
	first, second := before, after
	if second.Before(first) {
		first, second = second, first
	}
	for _, t := range []time.Time{first, second} {
		if wallOf(t, s.zone).Equal(wall) {
			return t.In(s.zone)
		}
	}
	return before.In(s.zone)
}

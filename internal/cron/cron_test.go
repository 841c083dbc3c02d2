package cron_test

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/cron"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func when(t testing.TB, s string) time.Time {
	t.Helper()
	if s == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestNextAcrossClockChanges(t *testing.T) {
	for _, tc := range []struct{ name, text, zone, after, want string }{
		{"plain", "0 3 * * *", "", "2026-01-01T00:00:00Z", "2026-01-01T03:00:00Z"},
		{"strictly after", "0 3 * * *", "", "2026-01-01T03:00:00Z", "2026-01-02T03:00:00Z"},
		{"zone", "0 3 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T01:00:00Z"},
		{"a time left out counts later", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:30:00Z"}, // 03:30 there
		{"and once", "30 2 * * *", "Europe/Berlin", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"},
		{"a time repeated counts first", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		{"and not again", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"every hour is every hour", "30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		{"half an hour", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00:00Z", "2026-10-03T15:45:00Z"}, // 02:45 there
		{"leap day", "0 0 29 2 *", "", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"a day that the zone left out", "0 12 30 12 *", "Pacific/Apia", "2011-12-28T00:00:00Z", "2011-12-30T22:00:00Z"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := cron.Parse(tc.text, tc.zone)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Next(when(t, tc.after)); !got.Equal(when(t, tc.want)) {
				t.Errorf("after %s: %s, want %s", tc.after, got.UTC().Format(time.RFC3339), tc.want)
			}
		})
	}
}

func TestGaps(t *testing.T) {
	for _, tc := range []struct {
		text, zone        string
		shortest, longest time.Duration
	}{
		{"0 3 * * *", "", 24 * time.Hour, 24 * time.Hour},
		{"0 3 * * *", "Europe/Berlin", 23 * time.Hour, 25 * time.Hour},
		{"0 22 * * 1-5", "", 24 * time.Hour, 72 * time.Hour},
		{"*/20 1 * * *", "", 20 * time.Minute, 23*time.Hour + 20*time.Minute},
		{"0 0 29 2 *", "", 1461 * 24 * time.Hour, 1461 * 24 * time.Hour},
		{"0 0 30 2 *", "", 0, 0},
	} {
		s, err := cron.Parse(tc.text, tc.zone)
		if err != nil {
			t.Fatal(err)
		}
		if shortest, longest := s.Gaps(); shortest != tc.shortest || longest != tc.longest {
			t.Errorf("%s in %q: %s to %s", tc.text, tc.zone, shortest, longest)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 3 * * 0", "*/5 2 * * *", "0 0 30 2 *", "TZ= 0 3 * *", "@daily", "1-59/7 1,2 * JAN MON", "0 3 L * *"} {
		f.Add(s, "Europe/Berlin", int64(1_790_000_000))
	}
	f.Fuzz(func(t *testing.T, text, zone string, at int64) {
		c, err := cron.Parse(text, zone)
		if err != nil {
			if errs.KindOf(err) != errs.Invalid {
				t.Errorf("%v", err)
			}
			return
		}
		from := time.Unix(at%4_000_000_000, 0)
		if next := c.Next(from); !next.IsZero() && !next.After(from) {
			t.Errorf("%q in %q: %s is not after %s", text, zone, next, from)
		}
	})
}

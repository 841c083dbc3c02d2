package rotation

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 5 * time.Second, 2: 10 * time.Second, 5: 80 * time.Second, 8: 10 * time.Minute, 1000: 10 * time.Minute} {
		if got := backoff(n); got != want {
			t.Errorf("after %d failures %v, want %v", n, got, want)
		}
	}
}

func FuzzParseSchedule(f *testing.F) {
	for _, s := range []string{"* * * * *", "0 3 * * SAT", "*/5 1-3 1,2 * 7", "0 0 30 2 *", "@daily", "TZ=UTC * * * * *", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		schedule, err := parseSchedule(s)
		if err != nil {
			return
		}
		if next := schedule.Next(now); !next.IsZero() && !next.After(now) {
			t.Errorf("%q: after %v comes %v", s, now, next)
		}
	})
}

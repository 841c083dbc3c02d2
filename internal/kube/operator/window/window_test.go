package window

import (
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

func parse(t testing.TB, text string) (Windows, error) {
	t.Helper()
	var spec *v1.SyncWindows
	if err := yaml.UnmarshalStrict([]byte(text), &spec); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return Parse(spec)
}

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

// facts/external-secrets.md §1.2: syncWindows.
func TestAt(t *testing.T) {
	const night = `windows: [{schedule: "0 22 * * *", duration: 8h}]`
	for name, c := range map[string]struct {
		spec, at string
		open     bool
		until    string
	}{
		"none":                      {"null", "2026-01-01T00:00:00Z", true, ""},
		"allow, before":             {"kind: allow\n" + night, "2026-01-01T21:59:59Z", false, "2026-01-01T22:00:00Z"},
		"allow, to the second":      {"kind: allow\n" + night, "2026-01-01T22:00:00Z", true, "2026-01-02T06:00:00Z"},
		"allow, after midnight":     {"kind: allow\n" + night, "2026-01-02T05:59:59Z", true, "2026-01-02T06:00:00Z"},
		"allow, over to the second": {"kind: allow\n" + night, "2026-01-02T06:00:00Z", false, "2026-01-02T22:00:00Z"},
		"deny, before":              {"kind: deny\n" + night, "2026-01-01T21:59:59Z", true, "2026-01-01T22:00:00Z"},
		"deny, in it":               {"kind: deny\n" + night, "2026-01-02T01:00:00Z", false, "2026-01-02T06:00:00Z"},
		"UTC, whatever the clock's": {"kind: allow\n" + night, "2026-07-01T23:00:00+02:00", false, "2026-07-01T22:00:00Z"},
		"two that overlap":          {`{kind: deny, windows: [{schedule: "0 8 * * *", duration: 4h}, {schedule: "0 11 * * *", duration: 3h}]}`, "2026-01-01T09:00:00Z", false, "2026-01-01T14:00:00Z"},
		"two that touch":            {`{kind: allow, windows: [{schedule: "0 8 * * *", duration: 1h}, {schedule: "0 9 * * *", duration: 1h}]}`, "2026-01-01T08:30:00Z", true, "2026-01-01T10:00:00Z"},
		"the first of two":          {`{kind: allow, windows: [{schedule: "0 20 * * *", duration: 1h}, {schedule: "0 9 * * *", duration: 1h}]}`, "2026-01-01T08:30:00Z", false, "2026-01-01T09:00:00Z"},
		"weekends":                  {`{kind: deny, windows: [{schedule: "0 0 * * 6", duration: 48h}]}`, "2026-01-04T12:00:00Z", false, "2026-01-05T00:00:00Z"},
		"longer than its period":    {`{kind: allow, windows: [{schedule: "0 0 29 2 *", duration: 24h}]}`, "2026-03-01T00:00:00Z", false, "2028-02-29T00:00:00Z"},
		"always":                    {`{kind: deny, windows: [{schedule: "* * * * *", duration: 1h}]}`, "2026-01-01T00:00:00Z", false, "2026-01-01T01:41:00Z"},
	} {
		w, err := parse(t, c.spec)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		open, until := w.At(when(t, c.at))
		if name == "always" { // somewhere in it, and not soon
			if open || until.Sub(when(t, c.at)) < time.Hour {
				t.Errorf("%s: open %v until %v", name, open, until)
			}
			continue
		}
		if open != c.open || !until.Equal(when(t, c.until)) {
			t.Errorf("%s: open %v until %v, want %v until %s", name, open, until, c.open, c.until)
		}
	}
}

func TestRefusals(t *testing.T) {
	for spec, want := range map[string]string{
		`{kind: maybe, windows: [{schedule: "* * * * *", duration: 1h}]}`:                              "syncWindows.kind",
		`{kind: allow, windows: []}`:                                                                   "has 0 entries",
		`{kind: allow, windows: [{schedule: "x", duration: 1h}]}`:                                      "syncWindows.windows[0].schedule",
		`{kind: allow, windows: [{schedule: "@daily", duration: 1h}]}`:                                 "five fields",
		`{kind: allow, windows: [{schedule: "TZ=UTC * * * *", duration: 1h}]}`:                         "five fields",
		`{kind: allow, windows: [{schedule: "0 0 31 2 *", duration: 1h}]}`:                             "never fires",
		`{kind: deny, windows: [{schedule: "* * * * *", duration: 1s}]}`:                               "syncWindows.windows[0].duration",
		`{kind: deny, windows: [{schedule: "* * * * *", duration: -1h}]}`:                              "duration",
		`{kind: deny, windows: [{schedule: "* * * * *", duration: 10000h}]}`:                           "duration",
		`{kind: deny, windows: [{schedule: "0 0 * * *", duration: 1h}, {schedule: "", duration: 1h}]}`: "windows[1]",
	} {
		if _, err := parse(t, spec); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want invalid with %q", spec, err, want)
		}
	}
}

// Until is never in the past, and what At says holds until then, but for a long
// row that is followed in parts.
func FuzzAt(f *testing.F) {
	f.Add("0 22 * * *", int64(8*60), "30 2 * * 1", int64(30), int64(1_800_000_000), true)
	f.Add("*/5 * * * *", int64(5), "0 0 1 1 *", int64(60*24*300), int64(0), false)
	f.Fuzz(func(t *testing.T, a string, minutesA int64, b string, minutesB, at int64, deny bool) {
		spec := &v1.SyncWindows{Kind: map[bool]string{true: kindDeny, false: kindAllow}[deny]}
		for _, x := range []struct {
			cron    string
			minutes int64
		}{{a, minutesA}, {b, minutesB}} {
			s := v1.SyncWindow{Schedule: x.cron}
			s.Duration.Duration = time.Duration(x.minutes%(366*24*60)) * time.Minute
			spec.Windows = append(spec.Windows, s)
		}
		w, err := Parse(spec)
		if err != nil {
			return
		}
		now := time.Unix(at%4_000_000_000, 0)
		open, until := w.At(now)
		if until.IsZero() {
			return
		}
		if !until.After(now) {
			t.Fatalf("at %v until %v", now, until)
		}
		if before, _ := w.At(until.Add(-time.Second)); before != open {
			t.Errorf("open %v from %v until %v, but not a second before", open, now, until)
		}
	})
}

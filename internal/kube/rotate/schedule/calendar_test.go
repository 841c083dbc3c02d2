package schedule_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/schedule"
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

func rotation(t *testing.T, s v1alpha1.Schedule, created, done, failed string) *v1alpha1.Rotation {
	rot := &v1alpha1.Rotation{Spec: v1alpha1.RotationSpec{Schedule: s}}
	rot.CreationTimestamp = metav1.NewTime(when(t, created))
	if done != "" {
		rot.Status.LastDone = &metav1.Time{Time: when(t, done)}
	}
	if failed != "" {
		rot.Status.Phase, rot.Status.Since = v1alpha1.PhaseFailed, &metav1.Time{Time: when(t, failed)}
	}
	return rot
}

func hours(n int) *metav1.Duration { return &metav1.Duration{Duration: time.Duration(n) * time.Hour} }

func TestDue(t *testing.T) {
	const jan1 = "2026-01-01T00:00:00Z"
	daily := v1alpha1.Schedule{Cron: "0 3 * * *"}
	for _, tc := range []struct {
		name                               string
		s                                  v1alpha1.Schedule
		limit                              time.Duration
		created, done, failed, changed, at string
		cause, next                        string
	}{
		{name: "on demand only", created: jan1, at: jan1},
		{name: "not yet", s: daily, created: jan1, at: "2026-01-01T02:59:59Z", next: "2026-01-01T03:00:00Z"},
		{name: "to the second", s: daily, created: jan1, at: "2026-01-01T03:00:00Z", cause: "Schedule", next: "2026-01-01T03:00:00Z"},
		{name: "missed for ten days: once", s: daily, created: jan1, done: "2026-01-02T03:10:00Z", at: "2026-01-12T12:00:00Z", cause: "Schedule", next: "2026-01-03T03:00:00Z"},
		{name: "and not twice", s: daily, created: jan1, done: "2026-01-12T12:20:00Z", at: "2026-01-12T12:21:00Z", next: "2026-01-13T03:00:00Z"},
		{name: "the clock went back", s: daily, created: jan1, done: "2026-01-12T03:20:00Z", at: "2026-01-12T02:59:00Z", next: "2026-01-13T03:00:00Z"},
		{name: "failed: next cron time", s: daily, created: jan1, failed: "2026-01-05T03:10:00Z", at: "2026-01-05T04:00:00Z", next: "2026-01-06T03:00:00Z"},
		{name: "interval from creation", s: v1alpha1.Schedule{Interval: hours(720)}, created: jan1, at: jan1, next: "2026-01-31T00:00:00Z"},
		{name: "interval from the end", s: v1alpha1.Schedule{Interval: hours(24)}, created: jan1, done: "2026-01-05T00:00:00Z", at: "2026-01-06T00:00:00Z", cause: "Interval", next: "2026-01-06T00:00:00Z"},
		{name: "interval, failed: a tenth later", s: v1alpha1.Schedule{Interval: hours(20)}, created: jan1, failed: "2026-01-05T00:00:00Z", at: "2026-01-05T01:00:00Z", next: "2026-01-05T02:00:00Z"},
		{name: "age", s: v1alpha1.Schedule{MaxAge: hours(48)}, created: jan1, changed: "2026-01-10T00:00:00Z", at: "2026-01-11T00:00:00Z", next: "2026-01-12T00:00:00Z"},
		{name: "age of what was there before", s: v1alpha1.Schedule{MaxAge: hours(48)}, created: jan1, changed: "2020-01-10T00:00:00Z", at: jan1, cause: "Age", next: "2020-01-12T00:00:00Z"},
		{name: "age not known", s: v1alpha1.Schedule{MaxAge: hours(48)}, created: jan1, at: jan1, next: "2026-01-03T00:00:00Z"},
		{name: "the policy is stricter", s: v1alpha1.Schedule{MaxAge: hours(480)}, limit: 24 * time.Hour, created: jan1, changed: jan1, at: jan1, next: "2026-01-02T00:00:00Z"},
		{name: "the schedule is stricter", s: v1alpha1.Schedule{MaxAge: hours(24)}, limit: 480 * time.Hour, created: jan1, changed: jan1, at: jan1, next: "2026-01-02T00:00:00Z"},
		{name: "overdue and failed: not at once", limit: time.Hour, created: jan1, changed: jan1, failed: "2026-02-01T00:00:00Z", at: "2026-02-01T00:05:00Z", next: "2026-02-01T00:10:00Z"},
		{name: "the first to come", s: v1alpha1.Schedule{Cron: "0 3 * * *", Interval: hours(1), MaxAge: hours(2)}, created: jan1, changed: jan1, at: jan1, next: "2026-01-01T01:00:00Z"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := schedule.Calendar{}.Due(rotation(t, tc.s, tc.created, tc.done, tc.failed), tc.limit, when(t, tc.changed), when(t, tc.at))
			if err != nil {
				t.Fatal(err)
			}
			if got.Cause != tc.cause || !got.Next.Equal(when(t, tc.next)) {
				t.Errorf("%+v, want cause %q at %s", got, tc.cause, tc.next)
			}
		})
	}
}

func TestInvalid(t *testing.T) {
	for _, tc := range []struct {
		name, names string
		spec        v1alpha1.RotationSpec
	}{
		{"never fires", "never fires", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Cron: "0 0 30 2 *"}}},
		{"no cron", "five fields", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Cron: "daily"}}},
		{"descriptor", "five fields", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Cron: "@daily"}}},
		{"seconds", "five fields", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Cron: "0 0 3 * * *"}}},
		{"zone inside", "five fields", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Cron: "TZ=UTC 0 3 * *"}}},
		{"out of range", "schedule.cron", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Cron: "61 3 * * *"}}},
		{"zone", "Mars/Olympus", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Cron: "0 3 * * *", TimeZone: "Mars/Olympus"}}},
		{"local zone", "Local", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Cron: "0 3 * * *", TimeZone: "Local"}}},
		{"zone without cron", "timeZone", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{TimeZone: "UTC"}}},
		{"short interval", "schedule.interval", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{Interval: &metav1.Duration{Duration: time.Second}}}},
		{"negative age", "schedule.maxAge", v1alpha1.RotationSpec{Schedule: v1alpha1.Schedule{MaxAge: hours(-1)}}},
		{"window never", "windows[0]", v1alpha1.RotationSpec{Windows: []v1alpha1.Window{{Cron: "0 0 31 4 *", Duration: *hours(1)}}}},
		{"window of nothing", "windows[0]", v1alpha1.RotationSpec{Windows: []v1alpha1.Window{{Cron: "0 0 * * *"}}}},
		{"freeze backwards", "freezes[0]", v1alpha1.RotationSpec{Freezes: []v1alpha1.Freeze{{From: metav1.NewTime(time.Unix(10, 0)), Until: metav1.NewTime(time.Unix(5, 0))}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rot := &v1alpha1.Rotation{Spec: tc.spec}
			now := when(t, "2026-01-01T00:00:00Z")
			_, err := schedule.Calendar{}.Due(rot, 0, now, now)
			if err == nil {
				_, err = schedule.Calendar{}.Gate(rot, now)
			}
			if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), tc.names) {
				t.Errorf("%v, want Invalid that names %q", err, tc.names)
			}
		})
	}
}

func TestGate(t *testing.T) {
	nights := []v1alpha1.Window{{Cron: "0 22 * * 1-5", Duration: *hours(4), TimeZone: "Europe/Berlin"}}
	freeze := func(from, until string) v1alpha1.Freeze {
		return v1alpha1.Freeze{From: metav1.NewTime(when(t, from)), Until: metav1.NewTime(when(t, until)), Reason: "fair"}
	}
	for _, tc := range []struct {
		name    string
		windows []v1alpha1.Window
		freezes []v1alpha1.Freeze
		at      string
		want    rotate.Gate
		opens   string
	}{
		{name: "always", at: "2026-01-05T12:00:00Z", want: rotate.Gate{Open: true}},
		{name: "day", windows: nights, at: "2026-01-05T12:00:00Z", want: rotate.Gate{Reason: "none of 1 windows is open"}, opens: "2026-01-05T21:00:00Z"},
		{name: "it opens", windows: nights, at: "2026-01-05T21:00:00Z", want: rotate.Gate{Open: true}},
		{name: "past midnight", windows: nights, at: "2026-01-06T00:59:59Z", want: rotate.Gate{Open: true}},
		{name: "it closes", windows: nights, at: "2026-01-06T01:00:00Z", want: rotate.Gate{Reason: "none of 1 windows is open"}, opens: "2026-01-06T21:00:00Z"},
		{name: "weekend", windows: nights, at: "2026-01-10T12:00:00Z", want: rotate.Gate{Reason: "none of 1 windows is open"}, opens: "2026-01-12T21:00:00Z"},
		{name: "frozen", freezes: []v1alpha1.Freeze{freeze("2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z")}, at: "2026-01-05T12:00:00Z",
			want: rotate.Gate{Frozen: true, Reason: "frozen until 2026-01-08T00:00:00Z: fair"}, opens: "2026-01-08T00:00:00Z"},
		{name: "frozen, then shut", windows: nights, freezes: []v1alpha1.Freeze{freeze("2026-01-01T00:00:00Z", "2026-01-08T12:00:00Z")}, at: "2026-01-05T22:00:00Z",
			want: rotate.Gate{Frozen: true, Reason: "frozen until 2026-01-08T12:00:00Z: fair"}, opens: "2026-01-08T21:00:00Z"},
		{name: "shut, then frozen", windows: nights, freezes: []v1alpha1.Freeze{freeze("2026-01-05T20:00:00Z", "2026-01-05T23:00:00Z")}, at: "2026-01-05T12:00:00Z",
			want: rotate.Gate{Reason: "none of 1 windows is open"}, opens: "2026-01-05T23:00:00Z"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rot := &v1alpha1.Rotation{Spec: v1alpha1.RotationSpec{Windows: tc.windows, Freezes: tc.freezes}}
			got, err := schedule.Calendar{}.Gate(rot, when(t, tc.at))
			if err != nil {
				t.Fatal(err)
			}
			if !got.Opens.Equal(when(t, tc.opens)) {
				t.Errorf("opens %s, want %s", got.Opens, tc.opens)
			}
			if got.Opens = tc.want.Opens; got != tc.want {
				t.Errorf("%+v, want %+v", got, tc.want)
			}
		})
	}
}

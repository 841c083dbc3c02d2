package timing

import (
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/window"
)

// Once reports whether es is never refreshed any more, also when it is asked to be.
func Once(es *v1.ExternalSecret) bool {
	return es.Spec.RefreshPolicy == v1.RefreshCreatedOnce && v1.IsReady(es.Status.Conditions) && !es.Status.RefreshTime.IsZero()
}

// Next returns when es is refreshed by time, and else what refreshes it. It is for
// people: an event may make it sooner.
func Next(es *v1.ExternalSecret, now time.Time) (at time.Time, says string) {
	switch {
	case Once(es):
		return at, "never: refreshPolicy is CreatedOnce"
	case len(es.Status.Conditions) > 0 && !v1.IsReady(es.Status.Conditions):
		return at, "tried again within 5m, and at once when it, its store or a template changes"
	case es.Status.RefreshTime.IsZero():
		return at, "as soon as it can be: it was never synced"
	case es.Spec.RefreshPolicy == v1.RefreshOnChange:
		return at, "when it changes: refreshPolicy is OnChange"
	case Interval(es) == 0:
		return at, "when it changes: refreshInterval is 0"
	}
	interval := Interval(es)
	at = Slot(es, interval, now).Add(interval)
	if wait := UntilOpen(es, now); wait > 0 {
		return later(at, now.Add(wait)), "by the refresh interval, when syncWindows allow it"
	}
	if _, err := window.Parse(es.Spec.SyncWindows); es.Spec.SyncWindows != nil && err != nil {
		return at, "by the refresh interval; spec.syncWindows cannot be read"
	}
	return at, "by the refresh interval, sooner when the store tells of a change"
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// UntilOpen returns how long syncWindows hold back what follows the store; 0 when
// they do not. Windows that are wrong hold nothing back: the refresh says so.
func UntilOpen(es *v1.ExternalSecret, now time.Time) time.Duration {
	if es.Spec.SyncWindows == nil || Interval(es) == 0 {
		return 0
	}
	w, err := window.Parse(es.Spec.SyncWindows)
	if err != nil {
		return 0
	}
	open, until := w.At(now)
	if open || until.IsZero() {
		return 0
	}
	return until.Sub(now)
}

package externalsecret

import (
	"strings"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
	"github.com/strongkeep/strongkeep/internal/kube/operator/window"
)

// Current reports whether the status of es is of its spec, labels and annotations
// as they are: it was refreshed since they changed last. sure is false when another
// operator wrote the status, who has its own way to say so.
func Current(es *v1.ExternalSecret) (current, sure bool) {
	have, want := es.Status.SyncedResourceVersion, syncedVersion(es)
	_, digest, _ := strings.Cut(have, "-")
	_, own, _ := strings.Cut(want, "-")
	return have == want, len(digest) == len(own)
}

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
	case timing.Interval(es) == 0:
		return at, "when it changes: refreshInterval is 0"
	}
	interval := timing.Interval(es)
	at = timing.Slot(es, interval, now).Add(interval)
	if wait := untilOpen(observed{es: es, now: now}); wait > 0 {
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

package externalsecret

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/drill/fault"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/subscribe"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// observed is everything a decision is made from.
type observed struct {
	now     time.Time
	es      *v1.ExternalSecret
	live    *metav1.PartialObjectMetadata // the target's metadata; nil: there is none
	unseen  error                         // why the target cannot be looked at; nil: it can
	memory  memory
	byTime  bool         // it is refreshed by time and nothing else
	fault   fault.Fault  // what a drill breaks
	due     generate.Due // when what generators made must be made anew
	sources string       // MAC of the versions of stores and template objects; "" when one is missing
}

// memory is what is remembered of an ExternalSecret between reconciles. It is
// lost at a restart, which costs one look at the Secret.
type memory struct {
	verified  target.Version // the target as it was when last known to be right
	mark      string         // target.Mark of our last write; "" when that is not known, or the cache has it
	versions  string         // what our last write says it was made of; "" likewise
	generated string         // and what of it generators made
	drill     string         // the drill for which our last write was of wrong values; "" for right ones, and likewise
	due       string         // why it must be refreshed; "" when it need not
	asked     time.Time      // when the refresh that is due was first asked for; zero: when it begins
	refreshed time.Time      // when the last refresh that succeeded began; zero: not since the start
	failures  int            // in a row
	wished    string         // the state of it and its stores when its wishes were last told
	unheard   bool           // it reads something whose changes no store tells of
	status    target.Patch   // our last patch of the ExternalSecret's status
}

// action is what to do.
type action string

const (
	actNothing action = "nothing"
	actVerify  action = "verify"  // look at the target's content; refresh if it is not right
	actRefresh action = "refresh" // read the store and write what is not right
)

// plan is a decision. next is when to look again although nothing happens; 0
// for never.
type plan struct {
	action action
	why    string
	next   time.Duration
}

// decide is pure. Guards come first: each returns a reason to refresh.
func decide(o observed) plan {
	if why := mustRefresh(o); why != "" {
		return plan{action: actRefresh, why: why}
	}
	next := untilLook(o)
	if !keepsTarget(o.es) || o.live == nil {
		return plan{action: actNothing, next: next}
	}
	if o.memory.verified != (target.Version{UID: o.live.UID, ResourceVersion: o.live.ResourceVersion}) {
		return plan{action: actVerify, why: "the Secret was touched", next: next}
	}
	return plan{action: actNothing, next: next}
}

func mustRefresh(o observed) string {
	if why := notAsItMustBe(o); why != "" || o.es.Spec.RefreshPolicy == v1.RefreshCreatedOnce {
		return why
	}
	switch {
	case o.es.Status.SyncedResourceVersion != syncedVersion(o.es):
		return "the ExternalSecret changed"
	case asked(o) != "":
		return asked(o)
	case sourcesChanged(o):
		return "a store or template object changed"
	case generate.Reached(o.due.End, o.now):
		return "a generated credential is near its end, or gone"
	}
	return duePeriodic(o)
}

// notAsItMustBe returns a reason to refresh whatever the refresh policy is.
func notAsItMustBe(o observed) string {
	es, status := o.es, &o.es.Status
	gone := keepsTarget(es) && o.live == nil
	switch {
	case status.RefreshTime.IsZero() || status.SyncedResourceVersion == "":
		return "never synced"
	case !v1.IsReady(status.Conditions):
		return "not ready"
	case o.unseen != nil:
		return "the target cannot be looked at"
	case gone && !deletedOnPurpose(es):
		return "the Secret is gone"
	case drillChanged(o):
		return "a drill began or ended"
	}
	return ""
}

// drillChanged reports whether the target holds wrong values, of a drill, that it
// is not to hold, or right ones in their place. The Secret itself says so: what is
// left of a drill that nobody knows of any more is put right too.
func drillChanged(o observed) bool {
	return keepsTarget(o.es) && !isMerge(o.es) && o.live != nil && o.live.Annotations[v1alpha1.AnnotationDrill] != o.fault.Mark()
}

// sourcesChanged reports whether the target was made from other versions of
// stores and template objects than there are. Only a target of our own tells.
func sourcesChanged(o observed) bool {
	return keepsTarget(o.es) && !isMerge(o.es) && o.live != nil && target.ParseMark(o.live.Annotations[target.AnnotationMark]).Sources != o.sources
}

// whyInterval is the reason of a refresh by time.
const whyInterval = "the refresh interval is over"

// duePeriodic returns why a refresh by time is due.
func duePeriodic(o observed) string {
	if interval := timing.Interval(o.es); interval > 0 && (untilRefresh(o) <= 0 || generate.Reached(o.due.Interval, o.now)) && timing.UntilOpen(o.es, o.now) == 0 {
		return whyInterval
	}
	return ""
}

// untilDue returns how long what generators made may stay; 0 for ever.
func untilDue(o observed) time.Duration {
	var until time.Duration
	if !o.due.Interval.IsZero() {
		until = max(o.due.Interval.Sub(o.now), timing.UntilOpen(o.es, o.now), time.Millisecond)
	}
	if !o.due.End.IsZero() {
		until = timing.Sooner(until, max(o.due.End.Sub(o.now), time.Millisecond))
	}
	return until
}

// asked returns what o is due for by an event, "" for nothing. The store's word,
// which is nobody's wish, waits for a window.
func asked(o observed) string {
	switch o.memory.due {
	case subscribe.WhyChanged, subscribe.WhyMissed:
		if timing.UntilOpen(o.es, o.now) > 0 {
			return ""
		}
	}
	return o.memory.due
}

// untilLook returns the time to the next look at o when nothing happens; 0 for
// never. Objects whose window opens are not all looked at in the same second.
func untilLook(o observed) time.Duration {
	next, wait := timing.Sooner(untilRefresh(o), untilDue(o)), timing.UntilOpen(o.es, o.now)
	if end := o.due.End; wait > 0 && !end.IsZero() && end.Sub(o.now) < wait {
		return max(end.Sub(o.now), time.Millisecond) // no window holds a credential that ends
	}
	if wait == 0 || o.memory.due == "" && next > wait {
		return next
	}
	return wait + time.Duration(timing.Share(o.es)*float64(openSpread))
}

// openSpread is over how long the refreshes at a window's opening are spread. A
// window is at least twice as long.
const openSpread = 30 * time.Second

// keepsTarget reports whether es writes a Secret at all.
func keepsTarget(es *v1.ExternalSecret) bool { return target.Policy(es) != v1.CreateNone }

func isMerge(es *v1.ExternalSecret) bool { return target.Shared(es) }

// deletedOnPurpose reports whether the target was deleted by deletionPolicy.
func deletedOnPurpose(es *v1.ExternalSecret) bool {
	c := v1.FindCondition(es.Status.Conditions, v1.ConditionReady)
	return c != nil && (c.Reason == v1.ReasonSecretDeleted || c.Reason == v1.ReasonResourceDeleted)
}

// untilRefresh returns the time to the next refresh by the interval, 0 when it is
// due: when there was none in this slot. When there is no interval it is 0 too: see
// timing.Interval. A status tells of refreshes that brought something new; of the
// others nobody knows after a restart, and there is one more.
func untilRefresh(o observed) time.Duration {
	if timing.Interval(o.es) == 0 {
		return 0
	}
	return timing.Left(o.es, o.now, o.memory.refreshed, o.es.Status.RefreshTime.Time)
}

// syncedVersion is the value of status.syncedResourceVersion: it changes with
// the spec, the labels and the annotations, so that a force-sync annotation
// with any value works.
func syncedVersion(es *v1.ExternalSecret) string {
	h := sha256.New()
	for _, values := range []map[string]string{es.Labels, es.Annotations} {
		for _, k := range slices.Sorted(maps.Keys(values)) {
			_, _ = fmt.Fprintf(h, "%q=%q,", k, values[k])
		}
		_, _ = fmt.Fprint(h, ";")
	}
	return fmt.Sprintf("%d-%s", es.Generation, hex.EncodeToString(h.Sum(nil)[:14]))
}

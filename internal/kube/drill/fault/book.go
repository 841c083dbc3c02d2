package fault

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// DefaultDelay is the delay of SlowSync where a Drill gives none.
const DefaultDelay = 10 * time.Second

// prefix tells a person who reads a value what it is.
const prefix = "strongkeep-drill-"

// Fault is what is broken for one ExternalSecret. The zero Fault is nothing.
type Fault struct {
	Drill types.NamespacedName
	UID   types.UID // of the Drill
	v1alpha1.DrillFailure
	Until time.Time
	Delay time.Duration // SlowSync
	Keys  []string      // CredentialRefused; nil: those that look like credentials
	Wrong redact.Secret // CredentialRefused: what takes the place of credentials
}

// Same reports whether f and o are the same breaking by the same Drill.
func (f Fault) Same(o Fault) bool { return f.UID == o.UID && f.DrillFailure == o.DrillFailure }

// Away returns the error of a store that is away, nil when it is not.
func (f Fault) Away() error {
	if f.DrillFailure != v1alpha1.DrillStoreAway {
		return nil
	}
	return errs.Newf(errs.Unavailable, "the store is kept away on purpose by Drill %q until %s: end it with strongkeep drill stop -n %s %s",
		f.Drill, f.Until.UTC().Format(time.RFC3339), f.Drill.Namespace, f.Drill.Name)
}

// Mark is what a Secret of wrong values has in v1alpha1.AnnotationDrill; "" when
// its values are not to be wrong.
func (f Fault) Mark() string {
	if f.DrillFailure != v1alpha1.DrillCredentialRefused {
		return ""
	}
	return f.Drill.Name
}

// Message is what the ExternalSecret of a Secret of wrong values says.
func (f Fault) Message() string {
	return "secret synced with wrong values, on purpose: Drill " + f.Drill.Name + " until " + f.Until.UTC().Format(time.RFC3339)
}

// Spoil makes values wrong where the fault is that. They are then of no version
// of the store: a Rotation that waits for one never takes them for it.
func (f Fault) Spoil(got *gather.Result) {
	if f.Mark() == "" {
		return
	}
	got.Data, got.Versions = Spoilt(got.Data, f.Keys, f.Wrong.RevealString()), nil
}

// Book knows what is broken. It is safe for concurrent use; a nil Book knows of
// nothing.
type Book struct {
	drills client.Reader
	clock  clock.PassiveClock
	digest func(drill string) string

	mu   sync.Mutex
	slow map[types.NamespacedName]held // ExternalSecrets whose sync waits
}

type held struct {
	drill types.UID
	since time.Time
}

// New returns a Book of the Drills that drills, a cache, has. digest makes a keyed
// digest of a Drill's UID: what takes the place of credentials is the same for as
// long as the drill lasts, made of nothing secret, and not to be guessed: there are
// workloads that set their own password to what their Secret holds.
func New(drills client.Reader, c clock.PassiveClock, digest func(drill string) string) *Book {
	return &Book{drills: drills, clock: c, digest: digest, slow: map[types.NamespacedName]held{}}
}

// On returns what is broken for es now. An error means that this is not known.
func (b *Book) On(ctx context.Context, es *v1.ExternalSecret) (Fault, error) {
	if b == nil {
		return Fault{}, nil
	}
	var list v1alpha1.DrillList
	if err := b.drills.List(ctx, &list, client.InNamespace(es.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return Fault{}, errs.Newf(errs.Unavailable, "looking for Drills: %w", err)
	}
	var first *v1alpha1.Drill
	now := b.clock.Now()
	for i := range list.Items {
		if d := &list.Items[i]; breaks(d, es, now) && (first == nil || before(d, first)) {
			first = d
		}
	}
	if first == nil {
		return Fault{}, nil
	}
	return Fault{
		Drill: client.ObjectKeyFromObject(first), UID: first.UID, DrillFailure: first.Spec.Failure, Until: first.Status.Until.Time,
		Delay: Delay(first), Keys: slices.Clone(first.Spec.Keys), Wrong: redact.FromString(prefix + b.digest(string(first.UID))),
	}, nil
}

// Delay returns how much longer a sync takes under d, when that is a SlowSync.
func Delay(d *v1alpha1.Drill) time.Duration {
	if d.Spec.Delay == nil {
		return DefaultDelay
	}
	return d.Spec.Delay.Duration
}

func before(a, b *v1alpha1.Drill) bool {
	if !a.Status.Began.Equal(b.Status.Began) {
		return a.Status.Began.Before(b.Status.Began)
	}
	return strings.Compare(a.Name, b.Name) < 0
}

func breaks(d *v1alpha1.Drill, es *v1.ExternalSecret, now time.Time) bool {
	if !d.Active(now) || !slices.ContainsFunc(d.Status.ExternalSecrets, func(s v1alpha1.DrilledSecret) bool { return s.Name == es.Name }) {
		return false
	}
	return d.Spec.Failure != v1alpha1.DrillCredentialRefused || Restorable(es) == ""
}

// Restorable returns why the Secret of es could not be made right again after it
// was made wrong, or "".
func Restorable(es *v1.ExternalSecret) string {
	switch {
	case target.Policy(es) == v1.CreateNone, es.Spec.Target.Manifest != nil:
		return "it writes no Secret"
	case target.Policy(es) == v1.CreateMerge:
		return "creationPolicy Merge writes into a Secret of somebody else"
	case es.Spec.Target.Immutable:
		return "its Secret is immutable"
	case es.Spec.RefreshPolicy == v1.RefreshCreatedOnce:
		return "refreshPolicy CreatedOnce reads the store only once"
	case slices.ContainsFunc(es.Spec.DataFrom, func(f v1.ExternalSecretDataFrom) bool { return f.SourceRef != nil && f.SourceRef.GeneratorRef != nil }):
		return "what a generator made is in its Secret only"
	}
	return ""
}

// Hold returns how long a sync of an ExternalSecret that is due must still wait;
// 0: go on. Nobody waits here: who syncs others meanwhile is not slowed.
func (b *Book) Hold(es types.NamespacedName, f Fault) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.DrillFailure != v1alpha1.DrillSlowSync {
		delete(b.slow, es)
		return 0
	}
	now := b.clock.Now()
	h, ok := b.slow[es]
	if !ok || h.drill != f.UID || now.Before(h.since) {
		h = held{f.UID, now}
		b.slow[es] = h
	}
	wait := h.since.Add(f.Delay).Sub(now)
	if wait <= 0 {
		delete(b.slow, es)
		return 0
	}
	return wait
}

// Forget lets go of an ExternalSecret that is gone.
func (b *Book) Forget(es types.NamespacedName) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.slow, es)
}

// Soonest bounds a wait by the fault's end, so that who waits sees it. 0 means
// no wait is planned.
func (f Fault) Soonest(wait time.Duration, now time.Time) time.Duration {
	if f.Until.IsZero() {
		return wait
	}
	left := max(f.Until.Sub(now), time.Millisecond)
	if wait == 0 || left < wait {
		return left
	}
	return wait
}

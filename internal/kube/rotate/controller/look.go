package controller

import (
	"cmp"
	"context"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/asks"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/scope"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/slot"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// look is one look at everything that a decision depends on.
type look struct {
	rot *v1alpha1.Rotation
	mem *memory
	o   rotate.Observed

	live     bool
	vault    target.Vault  // nil when it could not be opened, and then target is nil
	target   target.Target // nil: what is wrong is in o
	state    target.State  // what readers see, if the target can tell
	location string        // empty when it is not known
	graph    *consumer.Graph
	failing  map[string]int32 // pods that do not run, by workload
	sessions *target.Sessions
	clients  *v1alpha1.ClientsStatus // nil: nobody was asked
	readers  []string                // before anything is published: clients that live
	proof    *v1alpha1.ProofStatus   // nil: nothing new
	judged   []v1alpha1.PodEvidence
	limit    time.Duration // greatest age by policy and schedule; 0: none
}

// origin is the phase that a turn is in, or was held in.
func origin(t rotate.Turn) v1alpha1.Phase {
	if t.Phase == v1alpha1.PhaseHeld {
		return t.HeldFrom
	}
	return t.Phase
}

// underWay reports whether a turn is begun and not ended.
func underWay(phase v1alpha1.Phase) bool {
	switch phase {
	case "", v1alpha1.PhaseIdle, v1alpha1.PhaseFailed, v1alpha1.PhaseDone:
		return false
	}
	return true
}

// look observes what the phase of rot needs, and no more. live: consumers are
// not taken from caches, for the last look before something is closed or removed.
func (r *Reconciler) look(ctx context.Context, rot *v1alpha1.Rotation, live bool) *look { //nolint:cyclop // flat: a case after the other
	l := &look{rot: rot, mem: r.memories.get(client.ObjectKeyFromObject(rot), rot.UID), live: live}
	l.o = rotate.Observed{
		Now: r.Clock.Now(), Plan: rotate.PlanOf(&rot.Spec), Turn: rotate.TurnOf(&rot.Status), Asks: asks.Of(rot),
		Act: l.mem.result.Outcome,
	}
	r.openTarget(ctx, l)
	if l.target != nil {
		r.seeState(ctx, l)
		l.bind()
	}
	if why := scope.Foreign(rot); why != "" {
		l.o.Refused = why
	}
	l.o.Turn.Known = max(l.state.Turn, ptr.Deref(rot.Status.Rehearsal, v1alpha1.RehearsalStatus{}).Turn) // its number is used up
	if l.state.Version != "" && (l.o.Turn.Phase == v1alpha1.PhaseStaging || l.o.Turn.Phase == v1alpha1.PhaseStaged) {
		l.o.Turn.NoOld = false // somebody put one there since the turn began
	}
	_, l.o.Turn.Seen = l.target.(target.Observer)
	r.seeTime(ctx, l)
	if !underWay(l.o.Turn.Phase) {
		r.seeRivals(ctx, l)
	}
	switch phase := origin(l.o.Turn); {
	case phase == v1alpha1.PhaseDone, l.o.Turn.Back == rotate.BackCleared && underWay(phase):
		if l.target != nil && !l.mem.closing.ends(&rot.Status) {
			r.seeOnceMore(ctx, l)
		}
	case sees(phase) && l.target != nil:
		r.seeConsumers(ctx, l)
	}
	r.seeWatch(l)
	return l
}

// sees reports whether a turn in phase depends on who consumes the credential.
func sees(phase v1alpha1.Phase) bool {
	switch phase {
	case v1alpha1.PhaseStaged, v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseProving,
		v1alpha1.PhaseQuiescing, v1alpha1.PhaseRollingBack:
		return true
	}
	return false
}

func (l *look) blind(what string, err error) { l.o.Blind = append(l.o.Blind, what+": "+err.Error()) }

// wrong notes an error that no other try mends by itself: a turn under way waits
// and is shown as blind, another is refused.
func (l *look) wrong(what string, err error) {
	if again(err) || underWay(l.o.Turn.Phase) {
		l.blind(what, err)
	} else if l.o.Refused == "" {
		l.o.Refused = err.Error()
	}
}

// again reports whether err is worth another try by itself.
func again(err error) bool {
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Sealed, errs.Exhausted, errs.Internal:
		return true
	}
	return false
}

func (r *Reconciler) openTarget(ctx context.Context, l *look) {
	field := target.FieldOf(&l.rot.Spec.Target)
	kind, ok := r.Targets[field]
	if !ok {
		l.wrong("spec.target", errs.Newf(errs.Unsupported, "spec.target.%s: this operator rotates no such thing", field))
		return
	}
	vault, err := r.Vaults.Vault(ctx, l.rot.Namespace, l.rot.Spec.Target.StoreRef)
	if err != nil {
		l.wrong("the store", err)
		return
	}
	opened, err := kind.Open(target.Config{
		Spec: l.rot.Spec.Target, Rotation: l.name(), Scope: scopeOf(l.rot), Vault: vault, Cluster: r.Cluster, Clock: r.Clock, Log: r.Log,
	})
	if err != nil {
		l.wrong("spec.target", err)
		return
	}
	l.vault, l.target = vault, opened
}

// scopeOf is what a Rotation's references reach: its own namespace, whatever
// store it names.
func scopeOf(rot *v1alpha1.Rotation) provider.Scope {
	return provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: rot.Namespace, Name: rot.Name}})
}

// name is namespace/name.
func (l *look) name() string { return client.ObjectKeyFromObject(l.rot).String() }

// seeState asks what readers see. A target that cannot tell is known by where
// its values are.
func (r *Reconciler) seeState(ctx context.Context, l *look) {
	if observer, ok := l.target.(target.Observer); ok {
		state, err := observer.Observe(ctx)
		if err != nil {
			l.wrong("the credential", err)
			return
		}
		l.state, l.location = state, state.Location
	} else if path := target.PathOf(&l.rot.Spec.Target); path != "" {
		l.location = l.vault.Locate(path)
	}
}

// bind lets go of a target that is not known to be the credential that the turn is
// about: whoever edits spec.target amid a turn would have acts of it done to
// another. Status and statement are of the turn's until the statement is stored.
func (l *look) bind() {
	s, spec := &l.rot.Status, &l.rot.Spec.Target
	switch {
	case l.target == nil || s.Location == "" || !bound(s.Phase):
		return
	case s.Location == l.location:
		l.mem.bound = spec.DeepCopy()
		return
	case l.location == "" && apiequality.Semantic.DeepEqual(l.mem.bound, spec): // it does not answer now, and did
		return
	case l.location != "":
		l.blind("spec.target", errs.Newf(errs.Conflict, "it names %s, but turn %d is about %s: put it back until the turn has ended", l.location, s.Turn, s.Location))
	}
	l.target = nil
}

// bound reports whether a turn of phase has a credential that must stay its own.
func bound(phase v1alpha1.Phase) bool { return underWay(phase) || phase == v1alpha1.PhaseDone }

// seeTime says whether a turn is due and whether consumers may be touched.
func (r *Reconciler) seeTime(ctx context.Context, l *look) {
	limit, before, err := r.Policies.MaxAge(ctx, l.rot)
	if err != nil && !underWay(l.o.Turn.Phase) { // they say when a turn begins, and no more
		l.blind("RotationPolicies", err)
	}
	if most := l.state.MaxAge; most > 0 && (limit == 0 || most < limit) {
		limit = most
	}
	l.limit = limit
	if l.o.Due, err = r.Calendar.Due(l.rot, limit-before, l.state.Changed, l.o.Now); err != nil {
		l.wrong("spec.schedule", err)
	}
	if l.o.Gate, err = r.Calendar.Gate(l.rot, l.o.Now); err != nil {
		l.wrong("spec.windows", err)
	}
	if l.o.Turn.Phase != v1alpha1.PhaseStaged {
		l.o.Gate.Slot = true // it has one, or needs none yet
		return
	}
	all, err := r.rotations(ctx, r.Client)
	if err != nil {
		l.blind("Rotations", err)
		return
	}
	l.o.Gate.Slot = r.slots.Offer(l.rot, all, l.o.Now)
}

// rotations returns every Rotation of the namespaces worked in.
func (r *Reconciler) rotations(ctx context.Context, from client.Reader) ([]v1alpha1.Rotation, error) {
	namespaces := r.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	var all []v1alpha1.Rotation
	for _, ns := range namespaces {
		var list v1alpha1.RotationList
		if err := from.List(ctx, &list, client.InNamespace(ns), client.UnsafeDisableDeepCopy); err != nil {
			return nil, errs.Newf(errs.Unavailable, "listing them: %w", err)
		}
		all = append(all, list.Items...)
	}
	return all, nil
}

// seeRivals looks for an older Rotation of the same credential: live if a turn
// may begin now.
func (r *Reconciler) seeRivals(ctx context.Context, l *look) {
	var reader client.Reader = r.Client
	if l.o.Due.Cause != "" || l.o.Asks.Rotate || l.o.Asks.Leaked {
		reader = r.Live
	}
	all, err := r.rotations(ctx, reader)
	if err != nil {
		l.blind("Rotations", err)
		return
	}
	if why := slot.Rival(l.rot, l.location, all); why != "" {
		l.o.Refused = why
	}
}

// unwatched is how far two looks may be apart for the time between them to count
// as watched. They are two seconds apart where nothing is slow.
const unwatched = time.Minute

// seeWatch counts how long the closed credential is watched: from the first look
// after the last blind one, less the time in which nobody looked.
func (r *Reconciler) seeWatch(l *look) {
	if origin(l.o.Turn) != v1alpha1.PhaseQuiescing || l.o.Turn.Closed.IsZero() || len(l.o.Blind) > 0 {
		l.mem.watched, l.mem.looked = 0, time.Time{}
		return
	}
	if gap := r.Clock.Since(l.mem.looked); !l.mem.looked.IsZero() && gap > 0 && gap <= unwatched {
		l.mem.watched += gap
	}
	l.mem.looked = r.Clock.Now()
	l.o.Watched = l.mem.watched
}

func (l *look) turn() target.Turn {
	return target.Turn{Number: l.o.Turn.Number, Rotation: l.name(), Fence: l.rot.Status.Fence}
}

// wanted is what the Finder is asked for.
func (l *look) wanted() consumer.Wanted {
	c := &l.rot.Spec.Consumers
	w := consumer.Wanted{Namespace: l.rot.Namespace, Location: cmp.Or(l.rot.Status.Location, l.location)}
	for _, s := range c.Secrets {
		if scope.Own(l.rot, s.Namespace) {
			w.Secrets = append(w.Secrets, types.NamespacedName{Namespace: l.rot.Namespace, Name: s.Name})
		}
	}
	for _, k := range c.Workloads {
		if scope.Own(l.rot, k.Namespace) {
			o := consumer.Object{NamespacedName: types.NamespacedName{Namespace: l.rot.Namespace, Name: k.Name}}
			o.Kind = groupVersion(k.APIVersion).WithKind(k.Kind)
			w.Workloads = append(w.Workloads, o)
		}
	}
	w.Clusters = consumer.ClustersOf(l.rot.Namespace, c.Clusters)
	return w
}

func timestamp(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.Truncate(time.Second)}
}

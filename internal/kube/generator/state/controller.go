package state

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	pushv1alpha1 "github.com/strongkeep/strongkeep/api/external/v1alpha1"
	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Metrics hears what happens.
type Metrics interface {
	// Revoked and Renewed hear of each try; err nil: it worked.
	Revoked(kind string, err error)
	Renewed(kind string, err error)
}

// Config is what a Reconciler needs. All fields are required but Seal.
type Config struct {
	Client  client.Client // reads come from caches: GeneratorStates, metadata of Secrets, PushSecrets and owners
	Live    client.Reader
	Kinds   map[string]generator.Kind
	Cluster provider.Cluster
	Clock   clock.Clock
	Log     *slog.Logger
	Event   func(about client.Object, eventType, reason, message string)
	Metric  Metrics
	// Owner returns the object that uses a state, nil when it is gone.
	Owner func(ctx context.Context, state *v1alpha1.GeneratorState) (client.Object, error)
	// Seal is that of the Keeper.
	Seal Seal
	// Pushes says that there is a cache of PushSecrets. Without it what they hold is
	// left alone.
	Pushes bool
}

// Reconciler reconciles GeneratorStates.
type Reconciler struct{ Config }

// New returns a Reconciler.
func New(cfg Config) *Reconciler { return &Reconciler{cfg} }

// How often what failed is tried again, and for how long a state that is deleted
// may keep its namespace from going.
const (
	retryMin = 5 * time.Second
	retryMax = 5 * time.Minute
	giveUp   = time.Hour
)

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var s v1alpha1.GeneratorState
	if err := r.Client.Get(ctx, req.NamespacedName, &s); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	e, from, err := read(&s)
	if !controllerutil.ContainsFinalizer(&s, Finalizer) {
		if err == nil && e.Done {
			return ctrl.Result{}, remove(ctx, r.Client, &s)
		}
		return ctrl.Result{}, nil // another operator's
	}
	if err != nil {
		return ctrl.Result{}, r.unreadable(ctx, &s, err)
	}
	if HolderOf(&s).Kind == PushSecret && !r.Pushes {
		r.Log.Debug("a credential that was pushed is left alone, for this operator pushes nothing", "generatorState", req.String())
		return ctrl.Result{}, nil
	}
	if r.Seal.hides(from) && r.Seal.vouches(s.Namespace, from, e) { // an earlier operator's
		return r.hide(ctx, look{s: &s, e: e, from: from})
	}
	return r.work(ctx, look{s: &s, e: e, from: from})
}

// work does what is due.
func (r *Reconciler) work(ctx context.Context, l look) (_ ctrl.Result, err error) {
	if l.owner, err = r.Owner(ctx, l.s); err != nil {
		return ctrl.Result{}, err
	}
	held, err := r.held(ctx, r.Client, l.s)
	if err != nil {
		return ctrl.Result{}, err
	}
	p := Decide(Seen{
		Now: r.Clock.Now(), Deadline: deadline(l.s), Term: l.e.term(), Claimed: l.e.Claimed, Held: held,
		Orphan: l.owner == nil || !l.s.DeletionTimestamp.IsZero(), Grace: grace(l.owner),
	})
	return r.act(ctx, l, p)
}

// unreadable is for a state that somebody spoiled. Deleted, it must not stay, nor keep
// its namespace, for ever.
func (r *Reconciler) unreadable(ctx context.Context, s *v1alpha1.GeneratorState, why error) error {
	r.Log.Warn("a GeneratorState cannot be read; its credential is not taken back", "generatorState", s.Namespace+"/"+s.Name, "error", why)
	if s.DeletionTimestamp.IsZero() {
		return nil
	}
	r.Event(s, corev1.EventTypeWarning, "LeftBehind", "a generated credential may be left behind: "+why.Error())
	controllerutil.RemoveFinalizer(s, Finalizer)
	return client.IgnoreNotFound(r.Client.Update(ctx, s))
}

// Changed lets through what changes a decision, and not the conditions, which say
// what came of the last: that would undo the wait before the next.
func Changed() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, okA := e.ObjectOld.(*v1alpha1.GeneratorState)
		b, okB := e.ObjectNew.(*v1alpha1.GeneratorState)
		return !okA || !okB || !equality.Semantic.DeepEqual(a.Spec, b.Spec) || !equality.Semantic.DeepEqual(a.DeletionTimestamp, b.DeletionTimestamp) ||
			!equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) || !equality.Semantic.DeepEqual(a.Annotations, b.Annotations)
	}}
}

// look is one state as it was read.
type look struct {
	s     *v1alpha1.GeneratorState
	e     envelope
	from  resource
	owner client.Object
}

func deadline(s *v1alpha1.GeneratorState) time.Time {
	if d := s.Spec.GarbageCollectionDeadline; d != nil {
		return d.Time
	}
	return time.Time{}
}

// grace returns how long the credential stays good after another took its place.
func grace(owner client.Object) time.Duration {
	d, err := time.ParseDuration(annotation(owner))
	if err != nil {
		return Grace
	}
	return max(d, Grace)
}

func annotation(owner client.Object) string {
	if owner == nil {
		return ""
	}
	return owner.GetAnnotations()[AnnotationKeep]
}

// held reports whether its holder names the state.
func (r *Reconciler) held(ctx context.Context, from client.Reader, s *v1alpha1.GeneratorState) (bool, error) {
	h := HolderOf(s)
	var o client.Object = &pushv1alpha1.PushSecret{}
	if h.Kind == Secret {
		m := &metav1.PartialObjectMetadata{}
		m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		o = m
	}
	err := from.Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: h.Name}, o)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil && record.Names(o.GetAnnotations(), s.Name), err
}

func (r *Reconciler) act(ctx context.Context, l look, p Plan) (ctrl.Result, error) {
	switch p.Action {
	case SetDeadline:
		if text := annotation(l.owner); text != "" && grace(l.owner) == Grace {
			r.Event(l.owner, corev1.EventTypeWarning, "KeepPrevious", fmt.Sprintf("%s is %q: it must be a duration of %s or more, such as 1h; %s is kept to", AnnotationKeep, text, Grace, Grace))
		}
		l.s.Spec.GarbageCollectionDeadline = timeOf(p.Deadline)
		return r.update(ctx, l)
	case ClearDeadline:
		l.s.Spec.GarbageCollectionDeadline = nil
		return r.update(ctx, l)
	case Renew:
		return r.renew(ctx, l)
	case Collect:
		return r.collect(ctx, l)
	}
	return ctrl.Result{RequeueAfter: p.Next}, nil
}

// update writes a state; its change is what brings the next look. A conflict means
// that this look was at an old one.
func (r *Reconciler) update(ctx context.Context, l look) (ctrl.Result, error) {
	state, err := raw(l.e)
	if err != nil {
		return ctrl.Result{}, err
	}
	l.s.Spec.State = state
	err = r.Client.Update(ctx, l.s)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: 100 * time.Millisecond}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

// collect claims a state, asks the live Secret, and takes its credential back.
func (r *Reconciler) collect(ctx context.Context, l look) (ctrl.Result, error) {
	if !l.e.Claimed {
		l.e.Claimed = true
		return r.update(ctx, l) // refused if somebody has begun to use it since
	}
	held, err := r.held(ctx, r.Live, l.s)
	if err != nil {
		return ctrl.Result{}, err
	}
	if held {
		l.e.Claimed = false
		if l.s.DeletionTimestamp.IsZero() && l.owner != nil {
			l.s.Spec.GarbageCollectionDeadline = nil
		}
		if _, err := r.update(ctx, l); err != nil {
			return ctrl.Result{}, err
		}
		return ctrl.Result{RequeueAfter: orphanLook}, nil
	}
	if err := r.revoke(ctx, l); err != nil {
		return r.failed(ctx, l, "taking the credential back", err)
	}
	return ctrl.Result{}, release(ctx, r.Client, l.s, l.e)
}

func (r *Reconciler) revoke(ctx context.Context, l look) error {
	kind, ok := r.Kinds[l.from.Kind].(generator.Revoker)
	if l.e.Known == nil || r.over(l) {
		return nil
	}
	if !ok {
		return errs.Newf(errs.Unsupported, "this operator cannot take back what a %s made", l.from.Kind)
	}
	cfg, err := r.config(l)
	if err == nil {
		err = kind.Revoke(ctx, cfg, l.e.Known)
	}
	if errs.Is(err, errs.NotExist) {
		err = nil
	}
	r.Metric.Revoked(l.from.Kind, err)
	if err == nil {
		r.Log.Info("a generated credential was taken back", "generatorState", l.s.Namespace+"/"+l.s.Name, "kind", l.from.Kind)
		return nil
	}
	if d := l.s.DeletionTimestamp; !d.IsZero() && r.Clock.Now().Sub(d.Time) > giveUp {
		text := "a generated credential is left behind, since it could not be taken back for an hour: " + err.Error()
		r.Log.Error(text, "generatorState", l.s.Namespace+"/"+l.s.Name)
		r.Event(l.s, corev1.EventTypeWarning, "LeftBehind", text)
		return nil
	}
	return err
}

// over reports whether a credential ended by itself.
func (r *Reconciler) over(l look) bool {
	end := l.e.term().Expires
	return !end.IsZero() && r.Clock.Now().After(end.Add(time.Minute))
}

// config is that of what the credential was made by.
func (r *Reconciler) config(l look) (generator.Config, error) {
	from, err := r.Seal.opened(l.s.Namespace, l.from, l.e)
	if err != nil {
		return generator.Config{}, err
	}
	kind := from.Kind
	if from.Through == v1alpha1.KindClusterGenerator && r.Seal.vouches(l.s.Namespace, from, l.e) {
		kind = from.Through
	}
	return generator.Config{
		Scope: provider.ScopeOfGenerator(kind, from.Metadata["name"], l.s.Namespace), Spec: from.Spec,
		Cluster: r.Cluster, Clock: r.Clock, Log: r.Log,
	}, nil
}

// hide hides what a state shows of a ClusterGenerator.
func (r *Reconciler) hide(ctx context.Context, l look) (ctrl.Result, error) {
	shown, err := r.Seal.shown(l.s.Namespace, l.from)
	if err != nil {
		return ctrl.Result{}, err
	}
	if l.s.Spec.Resource, err = raw(shown); err != nil {
		return ctrl.Result{}, err
	}
	return r.update(ctx, l)
}

// renew makes the credential live longer. One that cannot be is marked so; who uses
// it makes another in time.
func (r *Reconciler) renew(ctx context.Context, l look) (ctrl.Result, error) {
	kind, ok := r.Kinds[l.from.Kind].(generator.Renewer)
	if !ok {
		return ctrl.Result{}, nil
	}
	before := l.e.term()
	now := r.Clock.Now()
	var expires time.Time
	cfg, err := r.config(l)
	if err == nil {
		expires, err = kind.Renew(ctx, cfg, l.e.Known)
	}
	r.Metric.Renewed(l.from.Kind, err)
	switch {
	case errs.Is(err, errs.NotExist):
		l.e.setTerm(record.Term{Since: before.Since, Expires: now.Add(-time.Second)})
		setCondition(l.s, err, now)
	case err != nil:
		return r.failed(ctx, l, "renewing the credential", err)
	default:
		// What is left of a longest life is no renewal: another is made in time.
		long := expires.IsZero() || expires.Sub(now) > before.Expires.Sub(before.Since)/2
		l.e.setTerm(record.Term{Since: now, Expires: expires, Renewable: long})
		setCondition(l.s, nil, now)
	}
	return r.update(ctx, l)
}

// failed says in the state what went wrong and when it is tried again.
func (r *Reconciler) failed(ctx context.Context, l look, doing string, err error) (ctrl.Result, error) {
	now := r.Clock.Now()
	before := l.s.DeepCopy()
	setCondition(l.s, errs.Newf(errs.KindOf(err), "%s: %w", doing, err), now)
	since := now.Sub(l.s.Status.Conditions[0].LastTransitionTime.Time)
	if !equality.Semantic.DeepEqual(before.Status, l.s.Status) {
		r.Event(l.s, corev1.EventTypeWarning, "Failed", l.s.Status.Conditions[0].Message)
		if _, err := r.update(ctx, l); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{RequeueAfter: min(max(since, retryMin), retryMax)}, nil
}

// setCondition sets the one condition; nil: all is well.
func setCondition(s *v1alpha1.GeneratorState, err error, now time.Time) {
	c := v1alpha1.GeneratorStateStatusCondition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Created", LastTransitionTime: metav1.NewTime(now.Truncate(time.Second))}
	if err != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Error", err.Error()
	}
	if len(s.Status.Conditions) == 1 && s.Status.Conditions[0].Status == c.Status {
		c.LastTransitionTime = s.Status.Conditions[0].LastTransitionTime
	}
	s.Status.Conditions = []v1alpha1.GeneratorStateStatusCondition{c}
}

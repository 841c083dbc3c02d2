package secretstore

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/share"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/session"
)

// Stores checks stores. session.Pool is one.
type Stores interface {
	Check(ctx context.Context, store v1.Store) error
	Writable(ctx context.Context, store v1.Store) (bool, error)
	Drop(key v1.StoreKey)
	Users(o session.Object) []v1.StoreKey
}

// Follower begins and ends subscriptions. subscribe.Hub is one.
type Follower interface {
	Follow(store v1.Store)
	Unfollow(key v1.StoreKey)
}

// Metrics hears what happens.
type Metrics interface {
	StoreChecked(store v1.Store, took time.Duration)
	StoreForgotten(key v1.StoreKey)
}

// Config is what a Reconciler needs. All fields are required but Class, Only and Every.
type Config struct {
	Kind     string // v1.KindSecretStore or v1.KindClusterSecretStore
	Client   client.Client
	Stores   Stores
	Follower Follower
	Clock    clock.PassiveClock
	Log      *slog.Logger
	Event    func(about client.Object, eventType, reason, message string)
	Metric   Metrics
	Class    string
	Only     bool          // stores of no class are another operator's
	Every    time.Duration // how often a store without refreshInterval is checked; 0 means 5 minutes
}

// Reconciler reconciles the stores of one kind.
type Reconciler struct{ Config }

// New returns a Reconciler.
func New(cfg Config) *Reconciler {
	if cfg.Every == 0 {
		cfg.Every = 5 * time.Minute
	}
	return &Reconciler{cfg}
}

func (r *Reconciler) object() v1.Store {
	if r.Kind == v1.KindClusterSecretStore {
		return &v1.ClusterSecretStore{}
	}
	return &v1.SecretStore{}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	store := r.object()
	key := v1.StoreKey{Kind: r.Kind, Namespace: req.Namespace, Name: req.Name}
	err := r.Client.Get(ctx, req.NamespacedName, store)
	if err != nil && !apierrors.IsNotFound(err) {
		return ctrl.Result{}, err
	}
	class := store.StoreSpec().Controller
	needed := slices.Contains(store.GetFinalizers(), v1alpha1.StoreFinalizer) // what was pushed is to be deleted first
	if err != nil || !store.GetDeletionTimestamp().IsZero() && !needed || class != r.Class && (class != "" || r.Only) {
		r.Follower.Unfollow(key)
		r.Stores.Drop(key)
		r.Metric.StoreForgotten(key)
		return ctrl.Result{}, nil
	}
	began := r.Clock.Now()
	checked := r.check(ctx, store)
	if checked.Status == metav1.ConditionFalse && permanent(checked.Reason) {
		r.Follower.Unfollow(key)
	} else {
		r.Follower.Follow(store)
	}
	if err := r.patchStatus(ctx, store, checked); err != nil {
		return ctrl.Result{}, err
	}
	r.Metric.StoreChecked(store, r.Clock.Now().Sub(began))
	return ctrl.Result{RequeueAfter: r.next(store, checked)}, nil
}

// permanent reports whether a reason says that only a change of the store helps.
func permanent(reason string) bool {
	return reason == v1.ReasonInvalidStore || reason == v1.ReasonInvalidProvider
}

// check returns the Ready condition of store.
func (r *Reconciler) check(ctx context.Context, store v1.Store) v1.Condition {
	if err := checkSpec(store); err != nil {
		return condition(v1.ReasonInvalidStore, err)
	}
	err := r.Stores.Check(ctx, store)
	switch kind := errs.KindOf(err); {
	case err == nil:
		return v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonStoreValid, Message: "store validated"}
	case errors.Is(err, provider.ErrUnverifiable):
		return v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonValidationUnknown, Message: err.Error()}
	case kind == errs.Invalid || kind == errs.Unsupported:
		return condition(v1.ReasonInvalidProvider, err)
	}
	return condition(v1.ReasonValidationFailed, err)
}

func condition(reason string, err error) v1.Condition {
	return v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: err.Error()}
}

// checkSpec finds what is wrong whatever the provider.
func checkSpec(store v1.Store) error {
	spec := store.StoreSpec()
	if store.StoreKind() == v1.KindSecretStore && len(spec.Conditions) > 0 {
		return errs.New(errs.Invalid, "spec.conditions is for a ClusterSecretStore: remove it")
	}
	if _, err := interval(spec.RefreshInterval); err != nil {
		return err
	}
	for _, c := range spec.Conditions {
		for _, expression := range c.NamespaceRegexes {
			if _, err := regexp.Compile(expression); err != nil {
				return errs.Newf(errs.Invalid, "spec.conditions: %q is not a regular expression", expression)
			}
		}
		if _, err := metav1.LabelSelectorAsSelector(c.NamespaceSelector); err != nil {
			return errs.Newf(errs.Invalid, "spec.conditions: namespaceSelector: %w", err)
		}
	}
	return nil
}

// interval reads spec.refreshInterval; 0 when there is none.
func interval(v *intstr.IntOrString) (time.Duration, error) {
	switch {
	case v == nil:
		return 0, nil
	case v.Type == intstr.Int:
		return time.Duration(v.IntVal) * time.Second, nil
	}
	d, err := time.ParseDuration(v.StrVal)
	if err != nil {
		return 0, errs.Newf(errs.Invalid, `spec.refreshInterval %q is neither seconds nor a duration such as "5m"`, v.StrVal)
	}
	return d, nil
}

// next returns when to check again, with a tenth of jitter: stores made
// together are not checked together.
func (r *Reconciler) next(store v1.Store, c v1.Condition) time.Duration {
	every, _ := interval(store.StoreSpec().RefreshInterval)
	if every <= 0 {
		every = r.Every
	}
	if c.Status != metav1.ConditionTrue && !permanent(c.Reason) {
		every = min(every, 15*time.Second)
	}
	return every - rand.N(every/10+1)
}

// patchStatus writes the condition if it is news, and only then an event.
func (r *Reconciler) patchStatus(ctx context.Context, store v1.Store, c v1.Condition) error {
	before := store.DeepCopyObject().(v1.Store)
	status := store.StoreStatus()
	status.Conditions = v1.SetCondition(status.Conditions, c, metav1.NewTime(r.Clock.Now().Truncate(time.Second)))
	status.Capabilities = r.capabilities(ctx, store)
	if equality.Semantic.DeepEqual(before.StoreStatus(), status) {
		return nil
	}
	kind := corev1.EventTypeNormal
	if c.Status != metav1.ConditionTrue {
		kind = corev1.EventTypeWarning
	}
	r.Event(store, kind, c.Reason, c.Message)
	return client.IgnoreNotFound(r.Client.Status().Patch(ctx, store, client.MergeFrom(before)))
}

// capabilities returns what store can do; what it could, while that is not known.
func (r *Reconciler) capabilities(ctx context.Context, store v1.Store) v1.Capabilities {
	writable, err := r.Stores.Writable(ctx, store)
	switch {
	case err != nil && store.StoreStatus().Capabilities != "":
		return store.StoreStatus().Capabilities
	case writable:
		return v1.ReadWrite
	}
	return v1.ReadOnly
}

// Setup registers the watches with mgr: the stores, and the metadata of what
// their settings refer to.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	workers := share.New(8)
	skip := true
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Kind).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers.Workers(), SkipNameValidation: &skip}).
		For(r.object(), builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, changesChanged()))).
		WatchesMetadata(&corev1.Secret{}, r.users("Secret")).
		WatchesMetadata(&corev1.ConfigMap{}, r.users("ConfigMap")).
		WatchesRawSource(workers.Source()).
		Complete(workers.Before(r))
}

// changesChanged lets an object pass that names another queue than before: an
// annotation, which has no part in the generation.
func changesChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetAnnotations()[v1.AnnotationChanges] != e.ObjectNew.GetAnnotations()[v1.AnnotationChanges]
	}}
}

// users ends the sessions that read an object and has their stores checked anew.
func (r *Reconciler) users(kind string) handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	look := func(o client.Object, q queue) {
		for _, key := range r.Stores.Users(session.Object{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}) {
			if key.Kind == r.Kind {
				r.Stores.Drop(key)
				q.Add(reconcile.Request{NamespacedName: key.NamespacedName()})
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList {
				look(e.Object, q)
			}
		},
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				look(e.ObjectNew, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			// What was pushed is still to be deleted, and a session that is open can.
			if (stores.Lookup{Reader: r.Client}).Ending(ctx, e.Object.GetNamespace()) == nil {
				look(e.Object, q)
			}
		},
	}
}

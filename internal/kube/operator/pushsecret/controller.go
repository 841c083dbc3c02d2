package pushsecret

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/claim"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/measure"
	"github.com/strongkeep/strongkeep/internal/kube/operator/share"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// Stores writes to external stores. session.Pool is one.
type Stores interface {
	Write(ctx context.Context, store v1.Store, w provider.Write) error
	Delete(ctx context.Context, store v1.Store, at provider.Place) error
	Exists(ctx context.Context, store v1.Store, at provider.Place) (bool, error)
	// LocateKey names where a key is, "" when the store names nothing.
	LocateKey(ctx context.Context, store v1.Store, key string) (string, error)
}

// Config is what a Reconciler needs. All fields are required but those that say so.
type Config struct {
	Client client.Client // reads come from caches: PushSecrets, ExternalSecrets, stores, metadata of Secrets, ConfigMaps and Namespaces
	Live   client.Reader // reads come from the API server
	Stores Stores
	// Makers returns the ExternalSecrets that make a Secret.
	Makers func(ctx context.Context, secret types.NamespacedName) ([]v1.ExternalSecret, error)
	// Generators make what generatorRef asks for; nil: none can be used.
	Generators *generate.Generators
	Key        target.Key
	Clock      clock.PassiveClock
	Log        *slog.Logger
	Event      func(about client.Object, eventType, reason, message string)
	Metrics    *measure.Metrics
	Limits     template.Limits
	Delimiters template.Delimiters
	Class      string // whose stores and generators are answered for, beside those of no class
	// ClusterStores says whether ClusterSecretStores are served.
	ClusterStores bool
}

// Reconciler reconciles PushSecrets.
type Reconciler struct {
	Config
	memories memories
	claims   claim.Claims
	share    *share.Share // of the workers; nil before Setup

	primeMu sync.Mutex
	primed  bool // claims know of all that there was at the start
}

// New returns a Reconciler.
func New(cfg Config) *Reconciler { return &Reconciler{Config: cfg} }

func (r *Reconciler) lookup() stores.Lookup { return stores.Lookup{Reader: r.Client, Class: r.Class} }

// Reconcile implements reconcile.Reconciler. What goes wrong with a PushSecret is
// in its status, and when to try again is decided here.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var ps v1alpha1.PushSecret
	if err := r.Client.Get(ctx, req.NamespacedName, &ps); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if wait := r.memories.get(req.NamespacedName).status.Wait(ps.ResourceVersion, r.Clock.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil // the cache has not seen our last patch
	}
	return r.share.Do(req, share.GroupsOf(ps.Namespace, storesOf(&ps)), func() (ctrl.Result, error) { return r.look(ctx, &ps) })
}

// look does what is due.
func (r *Reconciler) look(ctx context.Context, ps *v1alpha1.PushSecret) (ctrl.Result, error) {
	if err := r.prime(ctx); err != nil {
		return ctrl.Result{}, err
	}
	if !ps.DeletionTimestamp.IsZero() {
		return r.finish(ctx, ps)
	}
	o, err := r.observe(ctx, ps)
	if err != nil || !o.answerable {
		return ctrl.Result{}, err
	}
	if wait := r.wait(o); wait != 0 {
		return ctrl.Result{RequeueAfter: max(wait, 0)}, nil
	}
	if err := r.finalizer(ctx, ps, ps.Spec.DeletionPolicy == v1alpha1.DeletionDelete); err != nil {
		return ctrl.Result{}, err
	}
	return r.refresh(ctx, o)
}

// skew is by how much the clock of who wrote a status may be ahead.
const skew = time.Minute

// never is what wait returns for "not before something changes".
const never = time.Duration(-1)

// wait returns how long nothing is to be done; 0 for not at all.
func (r *Reconciler) wait(o observed) time.Duration {
	m := r.memories.get(client.ObjectKeyFromObject(o.ps))
	if m.seen != o.seen {
		return 0
	}
	if m.failures > 0 {
		return max(m.again.Sub(o.now), 0)
	}
	wait := never
	if every := interval(o.ps); every > 0 {
		if wait = max(every-o.now.Sub(o.ps.Status.RefreshTime.Time), 0); wait > every+skew { // it was said by a clock that was ahead
			wait = 0
		}
	}
	if end := o.ends; !end.IsZero() && (wait == never || end.Sub(o.now) < wait) {
		wait = max(end.Sub(o.now), 0)
	}
	return wait
}

// interval returns how often stores are compared; 0 for not on a timer.
func interval(ps *v1alpha1.PushSecret) time.Duration {
	if ps.Spec.RefreshInterval == nil {
		return time.Hour
	}
	return max(ps.Spec.RefreshInterval.Duration, 0)
}

// refresh pushes and says in the status what came of it.
func (r *Reconciler) refresh(ctx context.Context, o observed) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(o.ps)
	began, before := r.Clock.Now(), r.memories.get(key)
	out := r.push(ctx, o)
	r.Metrics.Pushed(key, r.Clock.Since(began), out.err)
	r.Log.Debug("pushed", "pushSecret", key.String(), "changed", out.changed, "error", out.err)
	if err := r.patchStatus(ctx, o, out); err != nil {
		return ctrl.Result{}, err
	}
	if out.err == nil {
		r.memories.succeeded(key, before, o.seen)
		ends, err := r.Generators.Pushed(ctx, o.ps)
		if err != nil {
			return ctrl.Result{}, err
		}
		wait := r.wait(observed{ps: o.ps, seen: o.seen, now: r.Clock.Now(), ends: ends})
		if wait == 0 { // due again meanwhile
			wait = time.Second
		}
		return ctrl.Result{RequeueAfter: max(wait, 0)}, nil
	}
	wait := retryAfter(before.failures+1, out.err)
	r.memories.failed(key, before, o.seen, wait, r.Clock.Now())
	return ctrl.Result{RequeueAfter: wait}, nil
}

// retryAfter returns how long to wait after a number of failures in a row.
func retryAfter(failures int, err error) time.Duration {
	wait := time.Second
	switch errs.KindOf(err) {
	case errs.Invalid, errs.Unsupported, errs.TooLarge, errs.NotExist:
		wait = 30 * time.Second // events bring it back when what is wrong is put right
	}
	return min(wait<<min(failures-1, 12), 5*time.Minute)
}

// finalizer puts the finalizer on, or takes it off.
func (r *Reconciler) finalizer(ctx context.Context, ps *v1alpha1.PushSecret, on bool) error {
	if slices.Contains(ps.Finalizers, v1alpha1.Finalizer) == on {
		return nil
	}
	before := ps.DeepCopy()
	if on {
		ps.Finalizers = append(ps.Finalizers, v1alpha1.Finalizer)
	} else {
		ps.Finalizers = slices.DeleteFunc(ps.Finalizers, func(f string) bool { return f == v1alpha1.Finalizer })
	}
	err := r.Client.Patch(ctx, ps, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	r.patched(ps)
	return nil
}

// finish deletes what ps pushed, when it is to, and lets go of ps.
func (r *Reconciler) finish(ctx context.Context, ps *v1alpha1.PushSecret) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(ps)
	if !slices.Contains(ps.Finalizers, v1alpha1.Finalizer) {
		r.forget(key)
		return ctrl.Result{}, nil
	}
	o := observed{ps: ps, now: r.Clock.Now()}
	if ps.Spec.DeletionPolicy == v1alpha1.DeletionDelete {
		m := r.memories.get(key)
		if m.failures > 0 && o.now.Before(m.again) {
			return ctrl.Result{RequeueAfter: m.again.Sub(o.now)}, nil
		}
		left, err := r.clear(ctx, ps, nil)
		if err != nil {
			err = errs.Newf(errs.KindOf(err), "what was pushed is not deleted yet: %w; to leave it in the store, set deletionPolicy None", err)
			if err := r.patchStatus(ctx, o, outcome{err: err, synced: left}); err != nil {
				return ctrl.Result{}, err
			}
			wait := retryAfter(m.failures+1, errs.New(errs.Unavailable, ""))
			r.memories.failed(key, m, m.seen, wait, o.now)
			return ctrl.Result{RequeueAfter: wait}, nil
		}
	}
	if err := r.finalizer(ctx, ps, false); err != nil {
		return ctrl.Result{}, err
	}
	r.forget(key)
	return ctrl.Result{}, nil
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.claims.Drop(key)
	r.Generators.ForgetPush(key)
	r.memories.forget(key)
	r.Metrics.Forget(key)
}

func (r *Reconciler) warn(ps *v1alpha1.PushSecret, reason, message string) {
	r.Event(ps, corev1.EventTypeWarning, reason, message)
}

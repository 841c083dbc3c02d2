package externalsecret

import (
	"context"
	"log/slog"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/drill/fault"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/topics"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/keepsake"
	"github.com/strongkeep/strongkeep/internal/kube/operator/manifest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/share"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/operator/subscribe"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// Stores reads external stores. session.Pool is one.
type Stores interface {
	Read(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, error)
	Find(ctx context.Context, store v1.Store, q provider.Query) (found []provider.Found, began time.Time, err error)
	Topic(ctx context.Context, store v1.Store, key string) (string, error)
	// LocateKey names what is read for key, "" when the store names nothing.
	LocateKey(ctx context.Context, store v1.Store, key string) (string, error)
	// Picks reports whether store is to be told which property is wanted.
	Picks(ctx context.Context, store v1.Store) bool
}

// Wishes is told which changes an ExternalSecret wants to hear of. subscribe.Hub is one.
type Wishes interface {
	Want(es types.NamespacedName, wishes []subscribe.Wish)
	Forget(es types.NamespacedName)
	// Connected reports whether changes of a store are heard of at once.
	Connected(store v1.StoreKey) bool
}

// Metrics hears what happens.
type Metrics interface {
	Synced(es *v1.ExternalSecret, took time.Duration, err error)
	Forget(namespace, name string)
}

// Config is what a Reconciler needs. All fields are required but Class, Only,
// Recent, Faults, Generators, Manifests and LastValues.
type Config struct {
	Client client.Client // reads come from caches: ExternalSecrets, stores, metadata of Secrets, ConfigMaps and Namespaces
	Live   client.Reader // reads come from the API server
	Stores Stores
	// Recent reads as Stores does, for refreshes by time: also what was read for
	// others that are refreshed at the same time. nil: Stores.
	Recent stores.Backend
	Wishes Wishes
	Key    target.Key
	Clock  clock.PassiveClock
	Log    *slog.Logger
	Event  func(about client.Object, eventType, reason, message string)
	Metric Metrics
	Limits template.Limits
	// Delimiters are those that templates are written with.
	Delimiters template.Delimiters
	// Class is whose stores are answered for, beside those of no class; with Only
	// those of no class are another operator's.
	Class string
	Only  bool
	// Faults says what is broken on purpose; nil: nothing ever is.
	Faults *fault.Book
	// Generators make what generatorRef asks for; nil: none can be used.
	Generators *generate.Generators
	// Manifests writes targets that are no Secrets; nil: none are.
	Manifests *manifest.Writer
	// LastValues are for targets that are made while a store is away; nil: none are kept.
	LastValues *keepsake.Keeper
}

// Reconciler reconciles ExternalSecrets.
type Reconciler struct {
	Config
	writer   target.Writer
	memories memories
	share    *share.Share // of the workers; nil before Setup
}

// New returns a Reconciler.
func New(cfg Config) *Reconciler {
	return &Reconciler{Config: cfg, writer: target.Writer{Client: cfg.Client}}
}

// Reconcile implements reconcile.Reconciler. It returns no errors: what goes
// wrong is in the status, and when to try again is decided here. One whose namespace, or
// store, has its share of the workers waits in share.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var es v1.ExternalSecret
	if err := r.Client.Get(ctx, req.NamespacedName, &es); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if !es.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, r.finish(ctx, &es)
	}
	if wait := r.memories.get(req.NamespacedName).status.Wait(es.ResourceVersion, r.Clock.Now()); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil // the cache has not seen our last status patch
	}
	return r.share.Do(req, share.Groups(es.Namespace, gather.Stores(&es.Spec)), func() (ctrl.Result, error) { return r.look(ctx, &es) })
}

// look does what is due.
func (r *Reconciler) look(ctx context.Context, es *v1.ExternalSecret) (ctrl.Result, error) {
	o, answerable, err := r.observe(ctx, es)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !answerable {
		r.forget(client.ObjectKeyFromObject(es)) // it may have been ours before
		return ctrl.Result{}, nil
	}
	r.wishes(ctx, o)
	p := decide(o)
	if p.action == actVerify {
		right, err := r.verify(ctx, es)
		if err != nil {
			return ctrl.Result{}, err
		}
		if right {
			p.action = actNothing
		}
	}
	if err := r.recall(ctx, &o, p); err != nil {
		return ctrl.Result{}, err
	}
	if p.action == actNothing {
		return ctrl.Result{RequeueAfter: o.fault.Soonest(p.next, o.now)}, nil
	}
	return r.heed(ctx, o, p.why)
}

// recall looks at a target that is to be refreshed and of which nothing is known
// since the operator started, so that it is not written for nothing.
func (r *Reconciler) recall(ctx context.Context, o *observed, p plan) error {
	if p.action != actRefresh || o.live == nil || o.memory.verified.UID != "" || !keepsTarget(o.es) || !target.Ours(o.es, o.live) {
		return nil
	}
	if manifest.Asked(o.es) {
		_, err := r.verify(ctx, o.es)
		o.memory = r.memories.get(client.ObjectKeyFromObject(o.es))
		return err
	}
	live, err := r.intact(ctx, o.es)
	if live != nil {
		o.memory = r.verified(o.es, versionOf(live))
	}
	return err
}

// heed refreshes, later where a drill wants it so, and makes sure that what a
// drill has broken is seen to at its end, whoever else looks: also of one that
// ended or began while es was refreshed.
func (r *Reconciler) heed(ctx context.Context, o observed, why string) (ctrl.Result, error) {
	if wait := r.Faults.Hold(client.ObjectKeyFromObject(o.es), o.fault); wait > 0 {
		return ctrl.Result{RequeueAfter: o.fault.Soonest(wait, o.now)}, nil
	}
	result, err := r.refresh(ctx, o, why)
	if err != nil {
		return result, err
	}
	now, err := r.Faults.On(ctx, o.es)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !now.Same(o.fault) {
		return ctrl.Result{RequeueAfter: time.Millisecond}, nil
	}
	result.RequeueAfter = o.fault.Soonest(result.RequeueAfter, r.Clock.Now())
	return result, nil
}

// Reads are shared, so a value may have been read just before it was asked for:
// before the write, say, that somebody asked for it after. Then it is read once
// more, soon, again shared with everybody else.
const (
	whyShared = "the value was read before it was asked for"
	recheck   = time.Second
)

// refresh syncs and writes the outcome into the status.
func (r *Reconciler) refresh(ctx context.Context, o observed, why string) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(o.es)
	o.byTime = why == whyInterval
	asked := o.now
	switch {
	case o.byTime: // which nobody asked for: what was read for others will do
		asked = time.Time{}
	case why == whyShared:
		asked = o.memory.asked
	}
	r.memories.change(key, func(e *entry) { e.due = "" })
	began := r.Clock.Now()
	out := r.sync(ctx, o)
	if errs.Is(out.err, errs.Conflict) && out.reason == "" {
		var tries int
		r.memories.change(key, func(e *entry) { e.failures++; tries = e.failures; e.due = why })
		if tries < 10 {
			return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil // somebody wrote the Secret: look again
		}
	}
	r.Metric.Synced(o.es, r.Clock.Since(began), out.err)
	r.Log.Debug("refreshed", "externalSecret", key.String(), "why", why, "changed", out.changed, "error", out.err)
	if err := r.patchStatus(ctx, o, out); err != nil {
		r.memories.setDue(key, why)
		return ctrl.Result{}, err
	}
	if out.err == nil {
		return r.succeeded(ctx, o, out, asked)
	}
	var failures int
	r.memories.change(key, func(e *entry) { e.failures++; failures = e.failures; e.due = why })
	kind := errs.KindOf(out.err)
	return ctrl.Result{RequeueAfter: timing.Retry(failures, kind == errs.Invalid || kind == errs.Unsupported || kind == errs.TooLarge)}, nil
}

// succeeded remembers a refresh that was asked for at asked, and says when the next is.
func (r *Reconciler) succeeded(ctx context.Context, o observed, out outcome, asked time.Time) (ctrl.Result, error) {
	key := client.ObjectKeyFromObject(o.es)
	r.memories.change(key, func(e *entry) { e.failures, e.refreshed = 0, o.now })
	if out.began.Before(asked) && !r.heardOf(o.es) {
		r.memories.change(key, func(e *entry) { e.due, e.asked = whyShared, asked })
		return ctrl.Result{RequeueAfter: recheck}, nil
	}
	o.memory.refreshed = o.now
	var err error
	if o.due, err = r.due(ctx, o.es, r.memories.get(key).generated); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: timing.Sooner(untilRefresh(o), untilDue(o))}, nil
}

// heardOf reports whether every change of what es reads is heard of, so that a
// value that is too old will be put right by an event.
func (r *Reconciler) heardOf(es *v1.ExternalSecret) bool {
	if timing.Interval(es) == 0 || r.memories.get(client.ObjectKeyFromObject(es)).unheard {
		return false
	}
	for _, ref := range gather.Stores(&es.Spec) {
		if !r.Wishes.Connected(v1.KeyFor(ref, es.Namespace)) {
			return false
		}
	}
	return true
}

// verify looks at the target's content with one read of the API server, and puts its
// owner reference right where that is all that is wrong: so nothing is rendered, or
// generated, anew. What refuses that the refresh meets too, which tells.
func (r *Reconciler) verify(ctx context.Context, es *v1.ExternalSecret) (bool, error) {
	if isMerge(es) {
		return false, nil // a shared Secret carries no mark: a refresh tells
	}
	if manifest.Asked(es) {
		version, right, err := r.Manifests.AsWritten(ctx, es)
		if right {
			r.verified(es, version)
		}
		return right, err
	}
	live, err := r.intact(ctx, es)
	if live == nil {
		return false, err
	}
	version := versionOf(live)
	if !target.Owned(es, live) {
		switch version, err = r.writer.Apply(ctx, target.Again(es, live), &version); {
		case errs.Is(err, errs.Conflict):
			return false, err // it is looked at again
		case err != nil:
			return false, nil
		}
	}
	r.verified(es, version)
	return true, nil
}

// intact reads the target, nil when it is gone or its content is not as it was written.
func (r *Reconciler) intact(ctx context.Context, es *v1.ExternalSecret) (*corev1.Secret, error) {
	var live corev1.Secret
	if err := r.Live.Get(ctx, types.NamespacedName{Namespace: es.Namespace, Name: target.Name(es)}, &live); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	if !r.asWrittenBefore(es, &live) {
		return nil, nil
	}
	return &live, nil
}

// verified remembers which version of the target is as it was written.
func (r *Reconciler) verified(es *v1.ExternalSecret, v target.Version) memory {
	key := client.ObjectKeyFromObject(es)
	r.memories.change(key, func(e *entry) { e.verified = v })
	return r.memories.get(key)
}

func versionOf(s *corev1.Secret) target.Version {
	return target.Version{UID: s.UID, ResourceVersion: s.ResourceVersion}
}

// asWrittenBefore reports whether a target that is all of es is as it was written.
func (r *Reconciler) asWrittenBefore(es *v1.ExternalSecret, live *corev1.Secret) bool {
	mark := target.ParseMark(live.Annotations[target.AnnotationMark])
	return mark.Content != "" && mark.Content == r.Key.ContentOf(live, target.Manager(es.Name))
}

// foreignFinalizer is one that older operators put on ExternalSecrets. With
// nobody else left to take it off, the object could never be deleted.
const foreignFinalizer = "externalsecrets.external-secrets.io/externalsecret-cleanup"

// finish lets go of an ExternalSecret that is being deleted. Its Secret, if it
// owns one, is for the garbage collector. What another operator answers for is left
// to that one, which has a finalizer to take off.
func (r *Reconciler) finish(ctx context.Context, es *v1.ExternalSecret) error {
	r.forget(client.ObjectKeyFromObject(es))
	if _, answerable, err := r.versions(ctx, es); err != nil || !answerable {
		return err
	}
	left := es.DeepCopy()
	left.Finalizers = nil
	for _, f := range es.Finalizers {
		if f != foreignFinalizer {
			left.Finalizers = append(left.Finalizers, f)
		}
	}
	if len(left.Finalizers) == len(es.Finalizers) {
		return nil
	}
	err := r.Client.Patch(ctx, left, client.MergeFromWithOptions(es, client.MergeFromWithOptimisticLock{}))
	return client.IgnoreNotFound(err)
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.memories.forget(key)
	r.Wishes.Forget(key)
	r.Faults.Forget(key)
	r.Generators.Forget(v1.KindExternalSecret, key)
	r.Metric.Forget(key.Namespace, key.Name)
}

// topic implements topics.Ask for es.
func (r *Reconciler) topic(ctx context.Context, es *v1.ExternalSecret, ref v1.SecretStoreRef, key string) (v1.StoreKey, string, bool) {
	store, err := r.store(ctx, es.Namespace, ref)
	if err != nil {
		return v1.StoreKey{}, "", false
	}
	topic, err := r.Stores.Topic(ctx, store, key)
	return v1.KeyOf(store), topic, err == nil
}

// wishes tells whose changes es wants to hear of, once for each state of es and
// its stores. Only periodic refresh means "follow the store"; what is not on a
// timer is not to change by itself.
func (r *Reconciler) wishes(ctx context.Context, o observed) {
	key := client.ObjectKeyFromObject(o.es)
	state := syncedVersion(o.es) + o.sources
	if o.memory.wished == state {
		return
	}
	var t topics.Topics
	if timing.Interval(o.es) > 0 {
		var ok bool
		if t, ok = topics.Of(ctx, o.es, func(ctx context.Context, ref v1.SecretStoreRef, key string) (v1.StoreKey, string, bool) {
			return r.topic(ctx, o.es, ref, key)
		}); !ok {
			return
		}
	}
	r.Wishes.Want(key, t.List)
	r.memories.change(key, func(e *entry) { e.wished, e.unheard = state, t.Unheard })
}

package spread

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Config is what a Reconciler needs. All fields are required.
type Config struct {
	Kind    Kind
	Client  client.Client // reads come from caches: the objects, their children, metadata of Namespaces
	Clock   clock.PassiveClock
	Log     *slog.Logger
	Event   func(about client.Object, eventType, reason, message string)
	Metrics *Metrics
}

// Reconciler reconciles the objects of one Kind.
type Reconciler struct{ Config }

// New returns a Reconciler.
func New(cfg Config) *Reconciler { return &Reconciler{cfg} }

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	o := r.Kind.object()
	if err := r.Client.Get(ctx, req.NamespacedName, o); err != nil {
		if apierrors.IsNotFound(err) {
			r.Metrics.forget(r.Kind, req.Name)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if !o.GetDeletionTimestamp().IsZero() {
		return ctrl.Result{}, r.finish(ctx, o)
	}
	began := r.Clock.Now()
	w := r.Kind.read(o)
	s, err := r.survey(ctx, o, w)
	if err == nil {
		r.act(ctx, s)
	} else if !errs.Is(err, errs.Invalid) {
		return ctrl.Result{}, err
	}
	if s.again {
		return ctrl.Result{RequeueAfter: 200 * time.Millisecond}, nil // the cache is behind, or somebody was quicker
	}
	retry, err := r.say(ctx, s, err)
	r.Metrics.spread(r.Kind, o.GetName(), r.Clock.Since(began), !retry)
	if err != nil {
		return ctrl.Result{}, err
	}
	if retry {
		return ctrl.Result{RequeueAfter: time.Minute}, nil // what can be put right in the cluster is heard of
	}
	return ctrl.Result{RequeueAfter: w.every}, nil
}

// foreignFinalizer is what the External Secrets Operator puts on such objects. With
// nobody else left to take it off, the object could never be deleted.
const foreignFinalizer = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup"

// finish lets go of an object that is being deleted: what it owned is for the
// garbage collector.
func (r *Reconciler) finish(ctx context.Context, o client.Object) error {
	r.Metrics.forget(r.Kind, o.GetName())
	if !slices.Contains(o.GetFinalizers(), foreignFinalizer) {
		return nil
	}
	before := o.DeepCopyObject().(client.Object)
	o.SetFinalizers(slices.DeleteFunc(o.GetFinalizers(), func(f string) bool { return f == foreignFinalizer }))
	return client.IgnoreNotFound(r.Client.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

// survey is what there is, and what is to be done in which namespace.
type survey struct {
	object client.Object
	wanted wanted

	write   map[string]client.Object // by namespace; nil: there is none yet
	remove  []client.Object
	present []string // namespaces where all is as it is to be

	mu     sync.Mutex
	again  bool
	failed map[string]string // why, by namespace
}

func (s *survey) fail(namespace, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed[namespace] = why
}

func (s *survey) done(namespace string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.present = append(s.present, namespace)
}

// survey reads caches only.
func (r *Reconciler) survey(ctx context.Context, o client.Object, w wanted) (*survey, error) { //nolint:cyclop // flat: a case after the other
	s := &survey{object: o, wanted: w, write: map[string]client.Object{}, failed: map[string]string{}}
	chosen, err := r.chosen(ctx, w)
	if err != nil {
		return s, err
	}
	for ns := range chosen {
		child := r.Kind.newChild()
		err := r.Client.Get(ctx, types.NamespacedName{Namespace: ns, Name: w.name}, child)
		switch {
		case apierrors.IsNotFound(err):
			s.write[ns] = nil
		case err != nil:
			return s, err
		case !metav1.IsControlledBy(child, o):
			s.failed[ns] = fmt.Sprintf("%s %q is there already and was not made by this %s: delete it, or choose another name", r.Kind.child, w.name, r.Kind.name)
		case !child.GetDeletionTimestamp().IsZero():
			s.failed[ns] = fmt.Sprintf("%s %q is being deleted: it is made anew when it is gone", r.Kind.child, w.name)
		case r.right(child, w):
			s.present = append(s.present, ns)
		default:
			s.write[ns] = child
		}
	}
	list := r.Kind.childList()
	if err := r.Client.List(ctx, list, client.MatchingFields{byOwner: string(o.GetUID())}, client.UnsafeDisableDeepCopy); err != nil {
		return s, err
	}
	return s, meta.EachListItem(list, func(item runtimeObject) error {
		if child, ok := item.(client.Object); ok && (child.GetName() != w.name || !chosen[child.GetNamespace()]) && child.GetDeletionTimestamp().IsZero() {
			s.remove = append(s.remove, child)
		}
		return nil
	})
}

// right reports whether child is as w wants it. Labels and annotations that others
// added are theirs.
func (r *Reconciler) right(child client.Object, w wanted) bool {
	return equality.Semantic.DeepEqual(r.Kind.spec(child), w.spec) && holds(child.GetLabels(), w.labels) && holds(child.GetAnnotations(), w.annotations)
}

func holds(have, want map[string]string) bool {
	for key, value := range want {
		if got, ok := have[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// chosen returns the namespaces that w chooses, of those that are there to stay.
func (r *Reconciler) chosen(ctx context.Context, w wanted) (map[string]bool, error) {
	var selectors []labels.Selector
	for i, s := range w.selectors {
		selector, err := metav1.LabelSelectorAsSelector(s)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "namespaceSelectors[%d]: %w", i, err)
		}
		selectors = append(selectors, selector)
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NamespaceList"))
	if err := r.Client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for i := range list.Items {
		ns := &list.Items[i]
		matches := func(s labels.Selector) bool { return s.Matches(labels.Set(ns.Labels)) }
		if ns.DeletionTimestamp.IsZero() && (slices.Contains(w.namespaces, ns.Name) || slices.ContainsFunc(selectors, matches)) {
			out[ns.Name] = true
		}
	}
	return out, nil
}

// parallel is how many writes of one object are under way at once.
const parallel = 16

// act writes and deletes what survey found to be done.
func (r *Reconciler) act(ctx context.Context, s *survey) {
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	do := func(f func()) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f()
		})
	}
	for ns, child := range s.write {
		do(func() { r.write(ctx, s, ns, child) })
	}
	for _, child := range s.remove {
		do(func() { r.remove(ctx, child, s) })
	}
	wg.Wait()
}

// createOnly is a resourceVersion that no object has, so that an apply with it
// conflicts with an object of that name and creates one where there is none.
const createOnly = "1"

// fieldManager is whose the fields of children are.
const fieldManager = "strongkeep-spread"

func (r *Reconciler) write(ctx context.Context, s *survey, ns string, child client.Object) {
	o, w, yes := s.object, s.wanted, true
	about := map[string]any{
		"name": w.name, "namespace": ns, "labels": w.labels, "annotations": w.annotations, "resourceVersion": createOnly,
		"ownerReferences": []metav1.OwnerReference{{
			APIVersion: r.ownerVersion(), Kind: r.Kind.name, Name: o.GetName(), UID: o.GetUID(), Controller: &yes, BlockOwnerDeletion: &yes,
		}},
	}
	if child != nil {
		about["uid"], about["resourceVersion"] = child.GetUID(), child.GetResourceVersion()
	}
	body, err := json.Marshal(map[string]any{"apiVersion": r.Kind.version, "kind": r.Kind.child, "metadata": about, "spec": w.spec})
	if err != nil {
		s.fail(ns, "encoding the spec: "+err.Error())
		return
	}
	made := r.Kind.newChild()
	made.SetNamespace(ns)
	made.SetName(w.name)
	err = r.Client.Patch(ctx, made, client.RawPatch(types.ApplyPatchType, body), client.FieldOwner(fieldManager), client.ForceOwnership)
	switch {
	case err == nil:
		s.done(ns)
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause), apierrors.IsNotFound(err): // it is going, and needs nothing
	case apierrors.IsConflict(err):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.again = true
	default:
		s.fail(ns, fmt.Sprintf("writing %s %q: %v", r.Kind.child, w.name, err))
	}
}

// ownerVersion is that of the object itself; it is in the same group as its children.
func (r *Reconciler) ownerVersion() string { return r.Kind.version }

// remove deletes what is no longer asked for, and nothing else of that name.
func (r *Reconciler) remove(ctx context.Context, child client.Object, s *survey) {
	uid := child.GetUID()
	gone := r.Kind.newChild()
	gone.SetNamespace(child.GetNamespace())
	gone.SetName(child.GetName())
	err := r.Client.Delete(ctx, gone, client.Preconditions{UID: &uid})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		s.fail(child.GetNamespace(), fmt.Sprintf("deleting %s %q: %v", r.Kind.child, child.GetName(), err))
	}
}

// maxReason bounds the reason of one namespace, in bytes.
const maxReason = 512

// say writes into the status what came of it, if that is news.
func (r *Reconciler) say(ctx context.Context, s *survey, wrong error) (retry bool, err error) {
	o, w := s.object, s.wanted
	slices.Sort(s.present)
	rep := report{name: w.name, provisioned: s.present, now: metav1.NewTime(r.Clock.Now().Truncate(time.Second))}
	for _, ns := range slices.Sorted(maps.Keys(s.failed)) {
		why := s.failed[ns]
		if len(why) > maxReason {
			why = strings.ToValidUTF8(why[:maxReason], "")
		}
		rep.failed = append(rep.failed, v1.NamespaceFailure{Namespace: ns, Reason: why})
	}
	c := v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonSpread, Message: fmt.Sprintf("in %d namespaces", len(s.present))}
	switch {
	case wrong != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1.ReasonSpreadFailed, wrong.Error()
	case len(rep.failed) > 0:
		c.Status, c.Reason = metav1.ConditionFalse, v1.ReasonSpreadFailed
		c.Message = fmt.Sprintf("in %d namespaces, and not in %d; %s: %s", len(s.present), len(rep.failed), rep.failed[0].Namespace, rep.failed[0].Reason)
	}
	rep.condition = c
	retry = c.Status != metav1.ConditionTrue
	before := o.DeepCopyObject().(client.Object)
	r.Kind.report(o, rep)
	if equality.Semantic.DeepEqual(before, o) {
		return retry, nil
	}
	if retry {
		r.Event(o, corev1.EventTypeWarning, c.Reason, c.Message)
	}
	return retry, client.IgnoreNotFound(r.Client.Status().Patch(ctx, o, client.MergeFrom(before)))
}

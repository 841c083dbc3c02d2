package drill

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
)

// Finder finds who uses Secrets. *finder.Finder is one.
type Finder interface {
	Find(ctx context.Context, w consumer.Wanted) (consumer.Graph, error)
}

// Config is what a Reconciler needs. All fields are required but Namespaces and
// NoClusterStores.
type Config struct {
	Client client.Client // reads come from caches: of a drill under way
	Live   client.Reader // reads come from the API server: of what decides whether one may begin
	Finder Finder
	// Locate names where what an ExternalSecret of namespace wants is; "" when its
	// store names nothing.
	Locate func(ctx context.Context, namespace string, w gather.Want) (string, error)
	// Refresh asks for an ExternalSecret to be read anew at once.
	Refresh func(es types.NamespacedName)
	Clock   clock.PassiveClock
	Log     *slog.Logger
	Event   func(about client.Object, eventType, reason, message string)
	Metrics *Metrics

	Namespaces      []string // worked in; all when empty
	NoClusterStores bool     // ClusterSecretStores are left alone
}

// Reconciler reconciles Drills.
type Reconciler struct {
	Config

	mu       sync.Mutex
	memories map[types.NamespacedName]*memory
}

// memory is what is remembered of a drill; losing it costs a look.
type memory struct {
	uid      types.UID
	broken   []types.NamespacedName // its ExternalSecrets
	felt     bool                   // they were asked to be read since the drill is in the cache
	surveyed time.Time
	last     survey
}

// New returns a Reconciler.
func New(cfg Config) *Reconciler {
	return &Reconciler{Config: cfg, memories: map[types.NamespacedName]*memory{}}
}

// Setup registers the watch of Drills with mgr. Drills are looked at one after
// the other, so that two never begin on one Secret.
func (r *Reconciler) Setup(mgr ctrl.Manager) error {
	skip := true
	return ctrl.NewControllerManagedBy(mgr).Named("drill").
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, SkipNameValidation: &skip}).
		For(&v1alpha1.Drill{}).Complete(r)
}

// Reconcile implements reconcile.Reconciler. It does one step.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	d := &v1alpha1.Drill{}
	if err := r.Live.Get(ctx, req.NamespacedName, d); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if d.Ends() || !d.DeletionTimestamp.IsZero() {
		r.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	result, err := r.step(ctx, d)
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return result, err
}

// step looks, decides, writes, and only then lets anything be broken or restored.
func (r *Reconciler) step(ctx context.Context, d *v1alpha1.Drill) (ctrl.Result, error) {
	mem := r.remember(d)
	next := d.Status.DeepCopy()
	s := r.see(ctx, d, mem, next)
	p := decide(s)
	nextStatus(s, p, next)
	next.Findings = findings(d, next, mem.last.patient != nil && mem.last.patient.onlyAtStart(next.ExternalSecrets))
	if !equality.Semantic.DeepEqual(&d.Status, next) {
		before := d.Status.Phase
		d.Status = *next
		if err := r.Client.Status().Update(ctx, d); err != nil {
			return ctrl.Result{}, err
		}
		if before != d.Status.Phase {
			r.announce(d, p, mem)
		}
	}
	r.Metrics.see(d)
	return ctrl.Result{RequeueAfter: r.tell(ctx, d, mem, p.after)}, nil
}

// see gathers what a decision needs, and notes in next what it is to say of it.
func (r *Reconciler) see(ctx context.Context, d *v1alpha1.Drill, mem *memory, next *v1alpha1.DrillStatus) seen {
	s := seen{now: r.Clock.Now(), drill: d}
	blind := func(err error) {
		if err != nil && s.blind == "" {
			s.blind = short(err.Error())
		}
	}
	switch d.Status.Phase {
	case "", v1alpha1.DrillPending, v1alpha1.DrillRunning:
		var err error
		s.allowed, err = r.allowed(ctx, d)
		blind(err)
		blind(r.survey(ctx, d, mem, s.now))
		s.may = mem.last.may
	}
	if d.Status.Began == nil {
		next.ExternalSecrets = mem.last.secrets
	} else if mem.last.patient == nil {
		p, err := r.find(ctx, d)
		mem.last.patient, s.gone = p, p == nil && err == nil
		blind(err)
	}
	now := metav1.NewTime(s.now.Truncate(time.Second))
	if p := mem.last.patient; p != nil {
		var pods corev1.PodList
		if err := r.Live.List(ctx, &pods, client.InNamespace(d.Namespace), client.MatchingLabelsSelector{Selector: p.pods}); err != nil {
			blind(errs.Newf(errs.Unavailable, "listing pods: %w", err))
		} else {
			pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return consumer.Ended(&p) })
			notePods(next, pods.Items, now)
			s.well = wellAgain(next, pods.Items)
		}
	}
	if d.Status.Began != nil {
		undone, err := r.noteSecrets(ctx, d, next, now)
		blind(err)
		s.undone = undone && err == nil
	}
	return s
}

// surveyEvery is how often a drill's surroundings are looked at while it runs.
const surveyEvery = 15 * time.Second

// survey looks around when that is due, and remembers.
func (r *Reconciler) survey(ctx context.Context, d *v1alpha1.Drill, mem *memory, now time.Time) error {
	if d.Status.Phase == v1alpha1.DrillRunning && !mem.surveyed.IsZero() && now.Sub(mem.surveyed) < surveyEvery && !now.Before(mem.surveyed) {
		return nil
	}
	last, err := r.look(ctx, d)
	if err != nil {
		return err
	}
	mem.last, mem.surveyed = last, now
	return nil
}

// noteSecrets notes how the ExternalSecrets and their Secrets are, and returns
// whether nothing is left of the drill in them.
func (r *Reconciler) noteSecrets(ctx context.Context, d *v1alpha1.Drill, next *v1alpha1.DrillStatus, now metav1.Time) (undone bool, err error) {
	undone = true
	for i := range next.ExternalSecrets {
		s := &next.ExternalSecrets[i]
		var es v1.ExternalSecret
		if err := r.Client.Get(ctx, types.NamespacedName{Namespace: d.Namespace, Name: s.Name}, &es); err != nil {
			if apierrors.IsNotFound(err) {
				continue // nothing of it is left
			}
			return false, errs.Newf(errs.Unavailable, "reading ExternalSecret %q: %w", s.Name, err)
		}
		m := &metav1.PartialObjectMetadata{}
		m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
		if err := r.Live.Get(ctx, types.NamespacedName{Namespace: d.Namespace, Name: s.Secret}, m); client.IgnoreNotFound(err) != nil {
			return false, errs.Newf(errs.Unavailable, "reading Secret %q: %w", s.Secret, err)
		}
		right := noteSecret(s, &es, m.Annotations[v1alpha1.AnnotationDrill], d.Status.Ended != nil, now)
		undone = undone && right
	}
	return undone, nil
}

// noteSecret is pure. mark is what the Secret says of drills.
func noteSecret(s *v1alpha1.DrilledSecret, es *v1.ExternalSecret, mark string, ended bool, now metav1.Time) (right bool) {
	ready := v1.IsReady(es.Status.Conditions)
	if !ready && !ended {
		if s.Failed == nil {
			s.Failed = &now
		}
		if c := v1.FindCondition(es.Status.Conditions, v1.ConditionReady); c != nil {
			s.Message = short(c.Message)
		}
	}
	if mark != "" && s.Wrong == nil && !ended {
		s.Wrong = &now
	}
	right = ready && mark == ""
	if right && ended && s.Recovered == nil {
		s.Recovered = &now
	}
	return right
}

// short bounds a text for a status.
func short(s string) string {
	const most = 512
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// tell asks for the ExternalSecrets to be read anew where that makes them feel
// the drill, or its end, and returns when to look again.
func (r *Reconciler) tell(ctx context.Context, d *v1alpha1.Drill, mem *memory, after time.Duration) time.Duration {
	mem.broken = nil
	for _, s := range d.Status.ExternalSecrets {
		if d.Status.Began != nil {
			mem.broken = append(mem.broken, types.NamespacedName{Namespace: d.Namespace, Name: s.Name})
		}
	}
	switch d.Status.Phase {
	case v1alpha1.DrillRunning:
		if mem.felt {
			return after
		}
		var cached v1alpha1.Drill // what is broken is decided by the cache
		if err := r.Client.Get(ctx, client.ObjectKeyFromObject(d), &cached); err != nil || cached.UID != d.UID || cached.Status.Phase != v1alpha1.DrillRunning {
			return min(after, 50*time.Millisecond)
		}
		mem.felt = true
	case v1alpha1.DrillUndoing:
	default:
		return after
	}
	for _, es := range mem.broken {
		r.Refresh(es)
	}
	return after
}

// announce says what has begun and ended, where people look.
func (r *Reconciler) announce(d *v1alpha1.Drill, p plan, mem *memory) {
	r.Log.Info("drill", "namespace", d.Namespace, "name", d.Name, "phase", p.phase, "reason", p.reason, "message", p.message)
	about := []client.Object{d}
	if mem.last.patient != nil && (p.phase == v1alpha1.DrillRunning || p.phase == v1alpha1.DrillUndoing) {
		about = append(about, mem.last.patient.object)
	}
	text := fmt.Sprintf("Drill %s: %s", d.Name, p.message)
	for _, o := range about {
		switch p.phase {
		case v1alpha1.DrillRefused:
			r.Event(o, corev1.EventTypeWarning, "DrillRefused", text)
		case v1alpha1.DrillRunning:
			r.Event(o, corev1.EventTypeWarning, "DrillBegan", fmt.Sprintf("%s, until %s: end it now with strongkeep drill stop -n %s %s",
				text, d.Status.Until.UTC().Format(time.RFC3339), d.Namespace, d.Name))
		case v1alpha1.DrillUndoing:
			r.Event(o, corev1.EventTypeNormal, "DrillEnded", text)
		case v1alpha1.DrillOver:
			r.Event(o, corev1.EventTypeNormal, "DrillOver", text)
		}
	}
}

func (r *Reconciler) remember(d *v1alpha1.Drill) *memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := client.ObjectKeyFromObject(d)
	mem := r.memories[key]
	if mem == nil || mem.uid != d.UID {
		mem = &memory{uid: d.UID}
		r.memories[key] = mem
	}
	return mem
}

// forget lets go of a drill that is over or gone, and has what it broke read anew.
func (r *Reconciler) forget(name types.NamespacedName) {
	r.mu.Lock()
	mem := r.memories[name]
	delete(r.memories, name)
	r.mu.Unlock()
	r.Metrics.forget(name)
	if mem == nil {
		return
	}
	for _, es := range mem.broken {
		r.Refresh(es)
	}
}

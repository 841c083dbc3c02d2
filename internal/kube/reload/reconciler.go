package reload

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// Config is what a Reconciler needs; every field but Settle is required.
type Config struct {
	// Object is an empty one of the kind reconciled, List an empty list of such.
	Object client.Object
	List   client.ObjectList
	// Cached has workloads of that kind, and the metadata of Secrets and ConfigMaps.
	// Live reads from the API server; Client writes.
	Cached client.Reader
	Live   client.Reader
	Client client.Client

	Digests *content.Digests
	Roller  *rollout.Roller
	// Settle is how long a workload's content must be still before it is restarted,
	// so that changes that come together are one restart; 2 seconds.
	Settle time.Duration
	// Deadline of a rollout; 10 minutes when 0.
	Deadline time.Duration
	Clock    clock.PassiveClock
	Log      *slog.Logger
	Event    func(about client.Object, eventType, reason, message string)
	Metrics  *Metrics
}

// Reconciler reloads the workloads of one kind.
type Reconciler struct {
	Config
	kind schema.GroupVersionKind

	mu sync.Mutex
	// settling are changes that are waited with; nothing is lost with them.
	settling map[consumer.Object]settling
	// shown is what was last said of a workload, problems of its annotations.
	shown, problems map[consumer.Object]string
}

type settling struct {
	what         string
	first, since time.Time // of the changes, and of this content
}

// patience is how many times Settle content that never is still is waited with.
const patience = 10

// New returns a Reconciler.
func New(cfg Config) *Reconciler {
	if cfg.Settle == 0 {
		cfg.Settle = 2 * time.Second
	}
	w, _, _ := consumer.WorkloadOf(cfg.Object)
	return &Reconciler{
		Config: cfg, kind: w.Kind, settling: map[consumer.Object]settling{},
		shown: map[consumer.Object]string{}, problems: map[consumer.Object]string{},
	}
}

// Reconcile implements reconcile.Reconciler.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s, err := r.see(ctx, r.Cached, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		r.forget(r.object(req.NamespacedName))
		return ctrl.Result{}, nil
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	r.complain(s)
	if s.settings.Way == "" {
		r.forget(s.work.Object)
		return ctrl.Result{}, nil
	}
	if err := r.compare(ctx, s, false); err != nil {
		return ctrl.Result{}, err
	}
	if len(s.decision.Adopt) > 0 {
		if err := r.Roller.Adopt(ctx, s.work.Object, s.decision.Adopt); err != nil {
			return ctrl.Result{}, err
		}
	}
	if len(s.decision.Changed) == 0 {
		r.settled(s.work.Object)
		return r.follow(ctx, s)
	}
	if wait := r.wait(s); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	return r.act(ctx, s.work.NamespacedName)
}

// sight is a workload as it was seen.
type sight struct {
	object   client.Object
	work     consumer.Workload
	template *corev1.PodTemplateSpec
	settings Settings
	present  rollout.Stamp
	decision Decision
}

func (r *Reconciler) see(ctx context.Context, by client.Reader, name client.ObjectKey) (*sight, error) {
	o := r.Object.DeepCopyObject().(client.Object)
	if err := by.Get(ctx, name, o); err != nil {
		return nil, err
	}
	s := &sight{object: o}
	var ok bool
	if s.work, s.template, ok = consumer.WorkloadOf(o); !ok || s.template == nil {
		return s, nil // such as a Rollout whose template is elsewhere
	}
	s.settings = Read(o.GetAnnotations(), s.template.Annotations)
	return s, nil
}

// act restarts or tells, after a last look at everything by the API server: a
// cache may not have seen what another has just restarted.
func (r *Reconciler) act(ctx context.Context, name client.ObjectKey) (ctrl.Result, error) {
	s, err := r.see(ctx, r.Live, name)
	if err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if err := r.compare(ctx, s, true); err != nil {
		return ctrl.Result{}, err
	}
	if s.settings.Way == "" || len(s.decision.Changed) == 0 {
		r.settled(s.work.Object)
		return ctrl.Result{}, nil
	}
	if s.settings.Way == rollout.ReloadSignal {
		r.settled(s.work.Object)
		return ctrl.Result{}, r.tell(ctx, s)
	}
	if wait, err := r.pause(ctx, s); err != nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, err
	}
	return r.roll(ctx, s)
}

// wait returns how long to wait until the content has been still for Settle.
func (r *Reconciler) wait(s *sight) time.Duration {
	what := s.present.String()
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.settling[s.work.Object]
	if was.what != what {
		was.what, was.since = what, r.Clock.Now()
		if was.first.IsZero() {
			was.first = was.since
		}
		r.settling[s.work.Object] = was
	}
	return min(r.Settle-r.Clock.Since(was.since), patience*r.Settle-r.Clock.Since(was.first))
}

func (r *Reconciler) settled(o consumer.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.settling, o)
}

func (r *Reconciler) forget(o consumer.Object) {
	r.settled(o)
	r.mu.Lock()
	delete(r.shown, o)
	delete(r.problems, o)
	r.mu.Unlock()
	r.Roller.Forget(owner(o))
	r.Metrics.forget(o)
}

func owner(o consumer.Object) string {
	return "reload/" + o.Kind.Kind + "/" + o.NamespacedName.String()
}

func (r *Reconciler) object(name client.ObjectKey) consumer.Object {
	return consumer.Object{Kind: r.kind, NamespacedName: name}
}

// compare finds what counts, and what it holds. live reads each anew.
func (r *Reconciler) compare(ctx context.Context, s *sight, live bool) error {
	s.present = rollout.Stamp{}
	if s.template == nil {
		return nil
	}
	used := map[string]bool{}
	for _, entry := range content.References(&s.template.Spec) {
		used[entry] = true
	}
	for kind := range prefixes() {
		all, err := r.metadata(ctx, s, kind, used)
		if err != nil {
			return err
		}
		for i := range all {
			m := &all[i]
			o := content.Object{Kind: kind, NamespacedName: client.ObjectKeyFromObject(m)}
			if !s.settings.Wants(kind, m.Name, used[o.Entry()], m.Annotations) {
				continue
			}
			version := m.ResourceVersion
			if live {
				version = ""
			}
			digest, err := r.Digests.Of(ctx, o, version)
			if errs.Is(err, errs.NotExist) {
				continue
			}
			if err != nil {
				return err
			}
			s.present[o.Entry()] = digest
		}
	}
	a := s.object.GetAnnotations()
	s.decision = Decide(rollout.ParseStamp(a[rollout.AnnotationStamp]), rollout.ParseStamp(s.template.Annotations[rollout.AnnotationStamp]), s.present)
	return nil
}

// metadata returns the metadata of objects of a kind that may count: all of the
// namespace where patterns name them, else those that are used.
func (r *Reconciler) metadata(ctx context.Context, s *sight, kind content.Kind, used map[string]bool) ([]metav1.PartialObjectMetadata, error) {
	gvk := corev1.SchemeGroupVersion.WithKind("Secret")
	if kind == content.ConfigMap {
		gvk.Kind = "ConfigMap"
	}
	if s.settings.Patterns(kind) {
		var list metav1.PartialObjectMetadataList
		list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
		err := r.Cached.List(ctx, &list, client.InNamespace(s.work.Namespace), client.UnsafeDisableDeepCopy)
		return list.Items, err
	}
	var out []metav1.PartialObjectMetadata
	for entry := range used {
		o, ok := content.ParseEntry(s.work.Namespace, entry)
		if !ok || o.Kind != kind {
			continue
		}
		var m metav1.PartialObjectMetadata
		m.SetGroupVersionKind(gvk)
		err := r.Cached.Get(ctx, o.NamespacedName, &m)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// names lists entries for people.
func names(entries []string) string {
	var out []string
	for _, e := range entries {
		kind, name, _ := strings.Cut(e, "/")
		if kind == string(content.ConfigMap) {
			kind = "ConfigMap"
		} else {
			kind = "Secret"
		}
		out = append(out, fmt.Sprintf("%s %s", kind, name))
	}
	return strings.Join(out, ", ")
}

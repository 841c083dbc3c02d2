package reload

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// Reasons of events.
const (
	reasonReloading = "Reloading"
	reasonReloaded  = "Reloaded"
	reasonWaiting   = "ReloadWaiting"
	reasonFailed    = "ReloadFailed"
	reasonTold      = "ReloadTold"
	reasonProblem   = "ReloadAnnotation"
)

// again is how soon a rollout that is under way is looked at, if nothing tells
// of it before.
// later is the same for one that has failed.
const (
	again = 5 * time.Second
	later = time.Minute
)

func (r *Reconciler) request(s *sight) rollout.Request {
	return rollout.Request{
		Owner: owner(s.work.Object), Workloads: []consumer.Workload{s.work}, Method: s.settings.Method,
		Wanted: func(consumer.Object) rollout.Stamp { return s.present }, Deadline: r.Deadline, Force: true,
	}
}

func (r *Reconciler) roll(ctx context.Context, s *sight) (ctrl.Result, error) {
	r.settled(s.work.Object)
	p, err := r.Roller.Roll(ctx, r.request(s))
	if err != nil {
		r.show(s, reasonFailed, "restarting for "+names(s.decision.Changed)+": "+err.Error())
		return ctrl.Result{}, err
	}
	i := p.Items[0]
	if i.State == rollout.Rolling || i.State == rollout.Done {
		if err := r.unpause(ctx, s); err != nil {
			return ctrl.Result{}, err
		}
	}
	return r.said(s, i), nil
}

// follow looks how far a rollout is that was begun; it is done with pods that
// are evicted too.
func (r *Reconciler) follow(ctx context.Context, s *sight) (ctrl.Result, error) {
	if err := r.unpause(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	evicting := s.settings.Method == v1alpha1.RolloutEvict && s.object.GetAnnotations()[rollout.AnnotationMarked] != ""
	stamped := rollout.ParseStamp(s.template.Annotations[rollout.AnnotationStamp])
	if s.settings.Way != rollout.ReloadRestart || !evicting && len(stamped) == 0 || r.over(s) {
		return ctrl.Result{}, nil
	}
	// What the template says was wanted last; what was only adopted since is not.
	wanted := rollout.Stamp{}
	for entry, digest := range s.present {
		if evicting || stamped[entry] == digest {
			wanted[entry] = digest
		}
	}
	if evicting {
		wanted = rollout.ParseStamp(s.object.GetAnnotations()[rollout.AnnotationMarked])
	}
	q := r.request(s)
	q.Wanted = func(consumer.Object) rollout.Stamp { return wanted }
	p, err := r.Roller.Roll(ctx, q)
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.said(s, p.Items[0]), nil
}

// over reports whether the end of the rollout to what is present was seen.
func (r *Reconciler) over(s *sight) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown[s.work.Object] == doneWith(s)
}

func doneWith(s *sight) string {
	return reasonReloaded + " " + s.object.GetAnnotations()[rollout.AnnotationStamp] + " " + s.template.Annotations[rollout.AnnotationStamp]
}

// said shows what came of a restart, and when to look again.
func (r *Reconciler) said(s *sight, i rollout.Item) ctrl.Result {
	r.Metrics.state(i)
	what := names(s.decision.Changed)
	if what != "" {
		what = " for " + what
	}
	switch i.State {
	case rollout.Rolling:
		if what == "" {
			r.underway(s.work.Object)
			break
		}
		r.show(s, reasonReloading, "restarting"+what)
	case rollout.Done, rollout.Skipped:
		r.mu.Lock()
		was := r.shown[s.work.Object]
		r.shown[s.work.Object] = doneWith(s)
		r.mu.Unlock()
		began := was != "" && !strings.HasPrefix(was, reasonReloaded)
		if began && i.State == rollout.Done {
			r.Metrics.done(s.work.Object, true)
			r.Event(s.object, corev1.EventTypeNormal, reasonReloaded, "every pod runs on what its Secrets and ConfigMaps hold now")
		}
		return ctrl.Result{}
	case rollout.Failed:
		if r.show(s, reasonFailed, i.Message) {
			r.Metrics.done(s.work.Object, false)
		}
		return ctrl.Result{RequeueAfter: later}
	default:
		r.show(s, reasonWaiting, "not restarted"+what+": "+i.Message)
	}
	return ctrl.Result{RequeueAfter: again}
}

// underway remembers of a rollout that somebody else began, or an operator
// before this, that its end is worth a word.
func (r *Reconciler) underway(o consumer.Object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if was := r.shown[o]; was == "" || strings.HasPrefix(was, reasonReloaded) {
		r.shown[o] = reasonReloading
	}
}

// complain tells of annotations that are not understood, once.
func (r *Reconciler) complain(s *sight) {
	text := strings.Join(s.settings.Problems, "; ")
	r.mu.Lock()
	same := r.problems[s.work.Object] == text
	r.problems[s.work.Object] = text
	r.mu.Unlock()
	if !same {
		r.Event(s.object, corev1.EventTypeWarning, reasonProblem, text)
	}
}

// show writes an event, once for the same of one workload, and reports whether
// it did.
func (r *Reconciler) show(s *sight, reason, message string) bool {
	r.mu.Lock()
	same := r.shown[s.work.Object] == reason+" "+message
	r.shown[s.work.Object] = reason + " " + message
	r.mu.Unlock()
	if same {
		return false
	}
	kind := corev1.EventTypeNormal
	if reason == reasonFailed {
		kind = corev1.EventTypeWarning
	}
	r.Event(s.object, kind, reason, message)
	r.Log.Info("reload", "workload", s.work.NamespacedName, "kind", s.work.Kind.Kind, "reason", reason, "message", message)
	return true
}

// AnnotationChanged is on pods of workloads that reload by themselves
// (strongkeep.io/reload: signal): what their objects hold now. A pod sees it in
// a file by a downward API volume.
const AnnotationChanged = "strongkeep.io/changed"

// tell writes what has changed to the pods, and then that they were told.
func (r *Reconciler) tell(ctx context.Context, s *sight) error {
	told, err := r.Roller.Tell(ctx, s.work.Object, AnnotationChanged, s.present)
	if err != nil {
		r.show(s, reasonFailed, "telling pods of "+names(s.decision.Changed)+": "+err.Error())
		return err
	}
	r.show(s, reasonTold, fmt.Sprintf("%d pods were told of %s", told, names(s.decision.Changed)))
	return nil
}

// pause holds the first of several changes back for as long as the workload
// says, by a time that it carries: an operator that is started anew goes on.
func (r *Reconciler) pause(ctx context.Context, s *sight) (time.Duration, error) {
	if s.settings.Pause == 0 {
		return 0, nil
	}
	at, err := time.Parse(time.RFC3339, s.object.GetAnnotations()[annotationPausedAt])
	if err != nil {
		at = r.Clock.Now()
		if err := r.annotate(ctx, s, fmt.Sprintf("%q", at.UTC().Format(time.RFC3339))); err != nil {
			return 0, err
		}
		r.show(s, reasonWaiting, fmt.Sprintf("%s changed; %s is %v", names(s.decision.Changed), annotationPause, s.settings.Pause))
	}
	return max(0, s.settings.Pause-r.Clock.Since(at)), nil
}

// unpause takes the time of pause off again. That of a Deployment which is
// paused in its spec is another tool's.
func (r *Reconciler) unpause(ctx context.Context, s *sight) error {
	if s.object.GetAnnotations()[annotationPausedAt] == "" || s.settings.Pause == 0 || s.work.Paused {
		return nil
	}
	return r.annotate(ctx, s, "null")
}

func (r *Reconciler) annotate(ctx context.Context, s *sight, value string) error {
	patch := fmt.Sprintf(`{"metadata":{"uid":%q,"annotations":{%q:%s}}}`, s.object.GetUID(), annotationPausedAt, value)
	o := s.object.DeepCopyObject().(client.Object)
	err := r.Client.Patch(ctx, o, client.RawPatch("application/merge-patch+json", []byte(patch)), client.FieldOwner("strongkeep-reload"))
	if err == nil || apierrors.IsNotFound(err) {
		return nil
	}
	return errs.Newf(errs.Unavailable, "annotating %s %s: %w", s.work.Kind.Kind, s.work.NamespacedName, err)
}

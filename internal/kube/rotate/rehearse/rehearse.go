package rehearse

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Restarts tries restarts. restart.Roller does.
type Restarts interface {
	Try(ctx context.Context, s controller.Restart) (rollout.Progress, error)
}

// Config is what a Rehearser needs. Every field is required but Shadows.
type Config struct {
	Restarts Restarts
	Live     client.Reader // Deployments and ResourceQuotas
	Shadows  Shadows       // nil: no pods are made
	Clock    clock.PassiveClock
	Log      *slog.Logger
}

// Rehearser implements controller.Rehearser. It is safe for concurrent use, but
// for one Rotation one call at a time.
type Rehearser struct {
	cfg Config

	mu   sync.Mutex
	runs map[types.UID]*run // those that this process has begun
}

var _ controller.Rehearser = (*Rehearser)(nil)

// New returns a Rehearser.
func New(cfg Config) *Rehearser { return &Rehearser{cfg: cfg, runs: map[types.UID]*run{}} }

// tidyTime bounds the removal of what a rehearsal has made.
const tidyTime = 30 * time.Second

// retry is when what could not be removed is tried again.
const retry = 5 * time.Second

// Next implements controller.Rehearser.
func (r *Rehearser) Next(ctx context.Context, q controller.Rehearsal) controller.Trial {
	s := q.Rotation.Status.Rehearsal
	asked := q.Rotation.Annotations[v1alpha1.AnnotationTry]
	switch {
	case s != nil && s.Verdict == v1alpha1.TrialRunning:
		return r.goOn(ctx, q, s)
	case asked == "" || s != nil && s.Asked == asked || q.Observed.Asks.Leaked:
		r.drop(q.Rotation.UID)
		r.leftovers(ctx, q, s)
		return controller.Trial{}
	}
	return r.begin(q, asked)
}

// begin announces a rehearsal, or says at once why there is none.
func (r *Rehearser) begin(q controller.Rehearsal, asked string) controller.Trial {
	t := q.Observed.Turn
	s := &v1alpha1.RehearsalStatus{Asked: asked, Turn: max(t.Number, t.Known) + 1, Begun: r.now(), Verdict: v1alpha1.TrialRunning}
	var why findings
	if q.Observed.Refused != "" {
		why.add("Rotation "+nameOf(q.Rotation), v1alpha1.TrialEffectFails, "Refused", q.Observed.Refused)
	}
	for _, text := range q.Observed.Blind {
		why.add("credential", v1alpha1.TrialEffectUnknown, "NotObserved", text)
	}
	if why == nil && q.Target == nil {
		why.add("credential", v1alpha1.TrialEffectUnknown, "NotObserved", "it could not be opened")
	}
	if why != nil {
		s.Turn = t.Known // nothing was used up
		return controller.Trial{Busy: true, Status: r.ended(s, outcome{found: why})}
	}
	mine := &run{Config: r.cfg, asked: asked, number: s.Turn, pods: strings.HasPrefix(asked, v1alpha1.RehearseWithPods)}
	r.mu.Lock()
	r.runs[q.Rotation.UID] = mine
	r.mu.Unlock()
	r.cfg.Log.Info("rehearsing", "rotation", nameOf(q.Rotation), "turn", s.Turn, "pods", mine.pods)
	return controller.Trial{Busy: true, Status: s, Act: func(ctx context.Context) { mine.first(ctx, q) }}
}

// goOn moves a rehearsal on that is announced.
func (r *Rehearser) goOn(ctx context.Context, q controller.Rehearsal, s *v1alpha1.RehearsalStatus) controller.Trial {
	mine := r.recall(q.Rotation.UID)
	switch {
	case mine == nil || mine.asked != s.Asked || mine.number != s.Turn:
		return r.interrupt(ctx, q, s, "the operator ended, or another was elected, amid it; ask again")
	case q.Observed.Asks.Leaked:
		return r.interrupt(ctx, q, s, "a leak was reported, which goes before; ask again after the turn")
	case mine.over:
		return controller.Trial{Busy: true, Status: r.ended(s, mine.outcome)}
	}
	return controller.Trial{Busy: true, After: time.Second, Act: func(ctx context.Context) { mine.watch(ctx, q) }}
}

// interrupt removes what a rehearsal has made, and ends it.
func (r *Rehearser) interrupt(ctx context.Context, q controller.Rehearsal, s *v1alpha1.RehearsalStatus, why string) controller.Trial {
	err := r.Sweep(ctx, q.Rotation, q.Target)
	if err != nil && again(err) {
		r.cfg.Log.Warn("removing what a rehearsal has made", "rotation", nameOf(q.Rotation), "turn", s.Turn, "error", err)
		return controller.Trial{Busy: true, After: retry}
	}
	out := outcome{lines: []string{why}}
	if err != nil {
		out.left(err)
	}
	next := r.ended(s, out)
	next.Verdict = v1alpha1.TrialInterrupted
	return controller.Trial{Busy: true, Status: next}
}

// ended is what is written when a rehearsal is over.
func (r *Rehearser) ended(s *v1alpha1.RehearsalStatus, out outcome) *v1alpha1.RehearsalStatus {
	next := s.DeepCopy()
	next.Time = r.now()
	out.write(next)
	return next
}

func (r *Rehearser) now() *metav1.Time {
	return &metav1.Time{Time: r.cfg.Clock.Now().Truncate(time.Second)}
}

func (r *Rehearser) recall(uid types.UID) *run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runs[uid]
}

func (r *Rehearser) drop(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.runs, uid)
}

// Sweep implements controller.Rehearser. It is idempotent.
func (r *Rehearser) Sweep(ctx context.Context, rot *v1alpha1.Rotation, opened target.Target) error {
	r.drop(rot.UID)
	s := rot.Status.Rehearsal
	if s == nil || s.Verdict != v1alpha1.TrialRunning {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if r.cfg.Shadows != nil {
		if err := r.cfg.Shadows.Remove(ctx, rot); err != nil {
			return err
		}
	}
	if opened == nil {
		return errs.Newf(errs.Unavailable, "the credential of the rehearsal cannot be looked for: its store could not be opened")
	}
	return discard(ctx, opened, target.Turn{Number: s.Turn, Rotation: nameOf(rot)})
}

// leftovers removes the credential of a rehearsal that an ex-leader may have made
// after it was said to be over.
func (r *Rehearser) leftovers(ctx context.Context, q controller.Rehearsal, s *v1alpha1.RehearsalStatus) {
	if s == nil || s.Verdict != v1alpha1.TrialInterrupted || q.Target == nil || q.Observed.Turn.Number >= s.Turn {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tidyTime)
	defer cancel()
	err := discard(ctx, q.Target, target.Turn{Number: s.Turn, Rotation: nameOf(q.Rotation)})
	if err == nil && r.cfg.Shadows != nil {
		err = r.cfg.Shadows.Remove(ctx, q.Rotation)
	}
	if err != nil {
		r.cfg.Log.Warn("looking for what a rehearsal has left", "rotation", nameOf(q.Rotation), "turn", s.Turn, "error", err)
	}
}

// discard removes the new credential of turn t, which was never published, if
// there is one.
func discard(ctx context.Context, opened target.Target, t target.Turn) error {
	if o, ok := opened.(target.Observer); ok {
		state, err := o.Observe(ctx)
		if err != nil || state.Turn != t.Number {
			return err
		}
	}
	if err := opened.Retire(ctx, t, target.New); err != nil && !errs.Is(err, errs.Conflict) {
		return errs.Newf(errs.KindOf(err), "removing the credential of the rehearsal: %w", err)
	}
	return nil
}

// again reports whether err is worth another try by itself.
func again(err error) bool {
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Sealed, errs.Exhausted, errs.Internal:
		return !target.IsPending(err)
	}
	return false
}

func nameOf(o client.Object) string { return fmt.Sprint(client.ObjectKeyFromObject(o)) }

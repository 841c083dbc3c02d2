package rehearse_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/rehearse"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// stage is a world with shadows, all played.
type stage struct {
	*world
	clock             *clocktesting.FakePassiveClock
	r                 *rehearse.Rehearser
	shadow, control   rehearse.Shadow // as they are seen when they are there
	shadowed, started bool            // the shadow is there, the control too
	lingers           int             // for so many looks, once deleted
	startErr, lendErr error
	absent            []rehearse.Absent
}

func newStage(t *testing.T) *stage {
	s := &stage{world: newWorld(t), clock: clocktesting.NewFakePassiveClock(time.Unix(1e9, 0))}
	s.shadow.Of, s.control.Of, s.control.Control = object("Deployment", "web"), object("Deployment", "web"), true
	s.r = s.operator()
	s.ask(v1alpha1.RehearseWithPods + "a")
	return s
}

func (s *stage) operator() *rehearse.Rehearser {
	return rehearse.New(rehearse.Config{Restarts: s.world, Live: s.world, Shadows: s, Clock: s.clock, Log: slog.New(slog.DiscardHandler)})
}

func (s *stage) Start(_ context.Context, c rehearse.Cast) ([]rehearse.Absent, error) {
	if c.Staged.RevealString() != "canary" || !s.there {
		s.Error("a shadow gets something else than what is staged")
	}
	s.shadowed = s.startErr == nil
	return s.absent, s.startErr
}

func (s *stage) Control(context.Context, *v1alpha1.Rotation, consumer.Object) error {
	s.started = true
	return nil
}

func (s *stage) Look(context.Context, *v1alpha1.Rotation) (out []rehearse.Shadow, _ error) {
	if s.shadowed {
		out = append(out, s.shadow)
	}
	if s.started {
		out = append(out, s.control)
	}
	return out, nil
}

func (s *stage) Remove(context.Context, *v1alpha1.Rotation) error {
	if s.lingers > 0 {
		s.lingers--
		return errs.New(errs.Unavailable, "ending")
	}
	s.shadowed, s.started = false, false
	return nil
}

// lent is the target.
type lent struct {
	target.Target
	*stage
}

func (l lent) key() key { return key{world: l.world} }

func (l lent) Stage(_ context.Context, t target.Turn) (target.State, error) {
	l.last, l.there = t.Number, true
	return target.State{Turn: t.Number}, l.rehearseErr
}

func (l lent) Lend(context.Context, target.Turn) (redact.Secret, error) {
	return redact.FromString("canary"), l.lendErr
}

func (l lent) Retire(ctx context.Context, t target.Turn, side target.Side) error {
	if l.shadowed || l.started {
		l.Error("the credential is removed while a shadow uses it")
	}
	return l.key().Retire(ctx, t, side)
}

func (l lent) Rehearse(ctx context.Context, t target.Turn) ([]string, error) {
	return l.key().Rehearse(ctx, t)
}

func (l lent) Observe(ctx context.Context) (target.State, error) { return l.key().Observe(ctx) }

func (s *stage) next(r *rehearse.Rehearser) controller.Trial {
	q := s.question()
	q.Target = lent{stage: s}
	return r.Next(s.Context(), q)
}

// ends goes on, a second for each look, until the Rehearser has nothing to do.
func (s *stage) ends(r *rehearse.Rehearser) *v1alpha1.RehearsalStatus {
	s.Helper()
	for range 400 {
		t := s.next(r)
		if !t.Busy {
			if s.there || s.shadowed || s.started {
				s.Error("something is left")
			}
			return s.rot.Status.Rehearsal
		}
		s.take(t)
		s.clock.SetTime(s.clock.Now().Add(time.Second))
	}
	s.Fatalf("it does not end: %+v", s.rot.Status.Rehearsal)
	return nil
}

// What shadows show, and what a control says of those that fail.
func TestShadows(t *testing.T) {
	for name, c := range map[string]struct {
		set     func(*stage)
		verdict v1alpha1.TrialVerdict
		want    string
	}{
		"runs":        {func(s *stage) { s.shadow.Ready = true }, v1alpha1.TrialSucceeds, "runs on the new credential"},
		"ends slowly": {func(s *stage) { s.shadow.Ready, s.lingers = true, 5 }, v1alpha1.TrialSucceeds, "removed"},
		"fails":       {func(s *stage) { s.shadow.Failing, s.control.Ready = "CrashLoopBackOff", true }, v1alpha1.TrialFails, "ShadowFails"},
		"never ready": {func(s *stage) { s.shadow.Waits, s.control.Ready = "not ready: container web", true }, v1alpha1.TrialFails, "not ready after 2m0s"},
		"both fail":   {func(s *stage) { s.shadow.Failing, s.control.Failing = "a", "b" }, v1alpha1.TrialUnknown, "ShadowTellsNothing"},
		"has none": {func(s *stage) {
			s.shadow.Ready, s.absent = true, []rehearse.Absent{{Of: object("StatefulSet", "set"), Why: "its volume"}}
		}, v1alpha1.TrialSucceeds, "StatefulSet shop/set has no shadow: its volume"},
		"none at all": {func(s *stage) { s.startErr = errs.New(errs.Denied, "quota") }, v1alpha1.TrialFails, "quota"},
		"not staged":  {func(s *stage) { s.rehearseErr = errs.New(errs.Denied, "no") }, v1alpha1.TrialFails, "StageFailed"},
		"not lent":    {func(s *stage) { s.lendErr = errs.New(errs.Denied, "no right") }, v1alpha1.TrialFails, "no right"},
		"frozen":      {func(s *stage) { s.observed.Gate.Frozen = true }, v1alpha1.TrialUnknown, "a freeze"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			c.set(s)
			got := s.ends(s.r)
			text := strings.Join(got.Lines, "\n")
			for _, f := range got.WouldBreak {
				text += "\n" + f.Reason + ": " + f.Message
			}
			if got.Verdict != c.verdict || !strings.Contains(text, c.want) || strings.Contains(text, "canary") {
				t.Errorf("%s: %s; want %s, %q", got.Verdict, text, c.verdict, c.want)
			}
		})
	}
}

// An operator that dies amid it leaves what the next one removes, pods first.
func TestShadowsInterrupted(t *testing.T) {
	s := newStage(t)
	for range 3 {
		s.take(s.next(s.r))
	}
	if !s.shadowed || !s.there {
		t.Fatal("nothing was made")
	}
	s.lingers = 2
	if got := s.ends(s.operator()); got.Verdict != v1alpha1.TrialInterrupted {
		t.Errorf("%+v", got)
	}
}

package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

// statement is the one of turn 101.
func (w *world) statement() evidence.Statement {
	w.Helper()
	st, err := evidence.ParseStatement([]byte(w.statements[101]))
	if err != nil {
		w.Fatalf("the statement of turn 101: %v\n%s", err, w.log)
	}
	if len(w.statements) != 1 || st.Ended.IsZero() || st.Begun == nil || st.Credential != location || st.Kind != "database" {
		w.Errorf("%d statements; %+v", len(w.statements), st)
	}
	return st
}

// begun asks for a turn at once.
func begun(rot *v1alpha1.Rotation) {
	rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
}

// A turn that goes back, or never comes to anything, leaves a signed statement that
// says so and why, and no more than was seen.
func TestStatementOfTurnThatFailed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		prep   func(*world)
		amid   v1alpha1.Phase // when somebody asks to go back
		result rotate.Result
		reason string
		says   string
		check  func(*world, evidence.Statement)
	}{
		{"new pods crash", func(w *world) { w.crashes = 101 }, "", rotate.ResultRolledBack, "ConsumersFailing", "CrashLoopBackOff", func(w *world, st evidence.Statement) {
			if st.Staged == nil || st.Published == nil || st.Retired == nil || st.Retired.Side != "new" || st.Version != "100" || st.Previous != "100" {
				w.Errorf("%+v", st)
			}
			// All consumers were seen to be on the old credential again.
			if st.Pods.Total != 2 || st.Pods.Proven != 2 || len(st.Pods.Evidence) != 2 || len(st.Secrets) != 1 || st.Backend == nil || st.Backend.Old != 2 || st.Backend.New != 0 {
				w.Errorf("%+v %+v %+v", st.Pods, st.Secrets, st.Backend)
			}
		}},
		{"somebody goes back before it is published", nil, v1alpha1.PhaseStaged, rotate.ResultRolledBack, "RollBackAsked", "somebody asked", func(w *world, st evidence.Statement) {
			if st.Staged == nil || st.Published != nil || st.Retired == nil || st.Retired.Side != "new" {
				w.Errorf("%+v", st)
			}
			// Nobody has seen it: who consumes is known, and nothing is proven.
			if st.Pods.Total != 2 || st.Pods.Proven != 0 || len(st.Pods.Evidence) != 2 || st.Pods.Evidence[0].Proven || len(st.Pods.Evidence[0].Has) != 0 ||
				!strings.Contains(st.Pods.Evidence[0].Missing, "before anybody was shown") {
				w.Errorf("%+v", st.Pods)
			}
		}},
		{"somebody goes back while it is held", func(w *world) { w.stuck = true }, v1alpha1.PhaseHeld, rotate.ResultRolledBack, "RollBackAsked", "somebody asked", func(w *world, st evidence.Statement) {
			held := false
			for _, p := range st.Phases {
				held = held || p.Phase == v1alpha1.PhaseHeld && p.Reason == "HoldAsked" && strings.Contains(p.Message, "let me look")
			}
			if !held {
				w.Errorf("it does not say why it was held: %+v", st.Phases)
			}
		}},
		{"the vault stages nothing", func(w *world) { w.stageErr = errs.New(errs.Invalid, "no such role") }, "", rotate.ResultFailed, "StageFailed", "no such role", func(w *world, st evidence.Statement) {
			if st.Staged != nil || st.Published != nil || st.Retired != nil {
				w.Errorf("%+v", st)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			if tc.prep != nil {
				tc.prep(w)
			}
			w.create("db", func(rot *v1alpha1.Rotation) {
				begun(rot)
				if tc.amid == v1alpha1.PhaseStaged {
					rot.Spec.Approval = v1alpha1.ApprovalManual
				}
			})
			r := w.operator()
			if tc.amid == v1alpha1.PhaseHeld {
				w.run(r, "db", "rolling", phase(v1alpha1.PhaseRolling))
				w.annotate("db", v1alpha1.AnnotationHold, "let me look")
			}
			if tc.amid != "" {
				w.run(r, "db", "there", phase(tc.amid))
				w.once(r, "db")
				w.stuck = false
				w.annotate("db", v1alpha1.AnnotationBack, "101")
			}
			rot := w.run(r, "db", "failed", ended(v1alpha1.PhaseFailed))
			st := w.statement()
			if st.Result != tc.result || st.Reason != tc.reason || !strings.Contains(st.Message, tc.says) {
				t.Errorf("%s for %s: %q", st.Result, st.Reason, st.Message)
			}
			tc.check(w, st)
			where := "evidence/statements/" + w.ns + "/db/101"
			if c := condition(rot, v1alpha1.ConditionProven); c.Reason != "WentBack" || !strings.Contains(c.Message, where) || rot.Status.Statement != where {
				t.Errorf("condition Proven %+v, statement %q", c, rot.Status.Statement)
			}
			if last := rot.Status.Timeline[len(rot.Status.Timeline)-1]; last.Phase != v1alpha1.PhaseFailed || !strings.Contains(last.Message, "statement: "+where) {
				t.Errorf("timeline ends with %+v", last)
			}
		})
	}
}

// Without the evidence engine the statement of a turn that went back waits, as that
// of one that went well does.
func TestStatementOfTurnThatFailedWaits(t *testing.T) {
	w := newWorld(t)
	w.crashes, w.statementErr = 101, errs.New(errs.NotExist, "no handler for evidence/")
	w.create("db", begun)
	r := w.operator()
	rot := w.run(r, "db", "failed", ended(v1alpha1.PhaseFailed))
	if c := condition(rot, v1alpha1.ConditionProven); c.Reason != "WentBack" || !strings.Contains(c.Message, "strongkeep secrets enable") || len(rot.Status.Pending) != 1 {
		t.Errorf("condition Proven %+v, pending %+v", c, rot.Status.Pending)
	}
	w.statementErr = nil
	rot = w.run(w.operator(), "db", "stored", func(rot *v1alpha1.Rotation) bool { return len(rot.Status.Pending) == 0 })
	if c := condition(rot, v1alpha1.ConditionProven); !strings.Contains(c.Message, rot.Status.Statement) || rot.Status.Statement == "" || strings.Contains(c.Message, "not stored") {
		t.Errorf("condition Proven %+v", c)
	}
	if st := w.statement(); st.Result != rotate.ResultRolledBack {
		t.Errorf("%+v", st)
	}
}

// A turn that makes the same credential again is held before anybody is restarted,
// and can go back.
func TestSameCredentialAgain(t *testing.T) {
	w := newWorld(t)
	w.keys = nil
	w.create("db", begun)
	r := w.operator()
	rot := w.run(r, "db", "held", phase(v1alpha1.PhaseHeld))
	c := condition(rot, v1alpha1.ConditionHeld)
	if c.Reason != rotate.ReasonSecretsStuck || !strings.Contains(c.Message, "changed no value") || rot.Status.HeldFrom != v1alpha1.PhasePublishing || !strings.Contains(c.Message, "next: strongkeep rotation") {
		t.Errorf("condition Held %+v", c)
	}
	w.annotate("db", v1alpha1.AnnotationBack, "101")
	w.run(r, "db", "failed", ended(v1alpha1.PhaseFailed))
	if st := w.statement(); st.Result != rotate.ResultRolledBack || w.published != 100 {
		t.Errorf("%+v", st)
	}
}

// interrupted lets the operator be killed at the n-th instant around its writes;
// calls counts them.
func (w *world) interrupted(calls *int, n int) {
	around := func(write func() error) error {
		if *calls++; *calls == n { // odd: before the write; even: after it
			panic(killed{})
		}
		err := write()
		if *calls++; *calls == n {
			panic(killed{})
		}
		return err
	}
	w.client = interceptor.NewClient(testClient, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			return around(func() error { return c.SubResource(sub).Update(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return around(func() error { return c.Patch(ctx, o, p, opts...) })
		},
	})
}

// Killed at any instant, a turn that goes back, and one whose Rotation is deleted,
// have one statement each.
func TestOneStatementWhereverKilled(t *testing.T) {
	for name, story := range map[string]struct {
		meanwhile func(*world, *v1alpha1.Rotation)
		over      func(*v1alpha1.Rotation) bool
		result    rotate.Result
		instants  int
	}{
		"back": {func(w *world, _ *v1alpha1.Rotation) { w.crashes = 101 }, ended(v1alpha1.PhaseFailed), rotate.ResultRolledBack, 24},
		"deleted": {func(w *world, rot *v1alpha1.Rotation) {
			if rot.Status.Phase == v1alpha1.PhaseQuiescing && rot.DeletionTimestamp.IsZero() {
				if err := testClient.Delete(w.Context(), rot); err != nil {
					w.Error(err)
				}
			}
		}, func(rot *v1alpha1.Rotation) bool { return rot.Name == "" }, rotate.ResultAbandoned, 14},
	} {
		for n, last := 1, false; !last && !t.Failed(); n++ {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				w, calls := newWorld(t), 0
				w.create("db", begun)
				w.interrupted(&calls, n)
				r := w.operator()
				for range 300 {
					rot := w.get("db")
					if story.over(rot) {
						break
					}
					story.meanwhile(w, rot)
					if w.dies(r) {
						r = w.operator()
					}
				}
				if !story.over(w.get("db")) {
					t.Fatalf("not over: %+v\n%s", w.get("db").Status, w.log)
				}
				if st := w.statement(); st.Result != story.result {
					t.Errorf("%+v", st)
				}
				if last = calls < n; last && n < story.instants {
					t.Errorf("only %d instants", n)
				}
			})
		}
	}
}

package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/slot"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
)

var goodTurn = []string{"stage", "publish new", "close", "retire old"}

// checkGood fails unless turn 101 ended well, each act done.
func (w *world) checkGood(rot *v1alpha1.Rotation) {
	w.Helper()
	if got := slices.Compact(slices.Clone(w.acts)); !slices.Equal(got, goodTurn) {
		w.Errorf("acts %v, want %v", got, goodTurn)
	}
	if w.published != 101 || !w.gone {
		w.Errorf("turn %d is published, the old one gone: %t", w.published, w.gone)
	}
	s := &rot.Status
	if s.Turn != 101 || s.Version != "101" || s.PreviousVersion != "100" || s.LastDone == nil || s.Cause != "Demand" || s.ObservedGeneration != rot.Generation {
		w.Errorf("status %+v", s)
	}
	if c := condition(rot, v1alpha1.ConditionProven); c.Status != metav1.ConditionTrue || c.ObservedGeneration != rot.Generation || !strings.Contains(c.Message, "2/2 pods") {
		w.Errorf("condition Proven %+v", c)
	}
	if s.Statement != "evidence/statements/"+w.ns+"/"+rot.Name+"/101" {
		w.Errorf("statement %q", s.Statement)
	}
	st, err := evidence.ParseStatement([]byte(w.statements[101]))
	if err != nil || st.Pods.Proven != 2 || st.Result != rotate.ResultRotated || st.Credential != location || st.Retired == nil || len(st.Phases) < 7 {
		w.Errorf("statement %+v (%v)", st, err)
	}
}

func TestTurn(t *testing.T) {
	w := newWorld(t)
	w.create("db", nil)
	r := w.operator()
	rot := w.run(r, "db", "located", func(rot *v1alpha1.Rotation) bool { return rot.Status.Phase == v1alpha1.PhaseIdle })
	if rot.Status.Location != location || len(rot.Finalizers) != 0 || condition(rot, v1alpha1.ConditionReady).Status != metav1.ConditionTrue {
		t.Errorf("%+v", rot.Status)
	}
	w.annotate("db", v1alpha1.AnnotationRotate, "now")
	w.checkGoodAfter()
}

// checkGoodAfter runs on until the turn begun by an annotation has ended.
func (w *world) checkGoodAfter() {
	w.Helper()
	r := w.operator()
	rot := w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool {
		return rot.Status.LastDone != nil && ended(v1alpha1.PhaseIdle)(rot)
	})
	w.checkGood(rot)
	var phases []string
	for _, e := range rot.Status.Timeline {
		if e.Turn == 101 {
			phases = append(phases, string(e.Phase))
		}
	}
	if got := strings.Join(phases, " "); got != "Staging Staged Publishing Rolling Proving Quiescing Retiring Done Idle" {
		w.Errorf("timeline %s", got)
	}
	if rot.Status.Honoured[v1alpha1.AnnotationRotate] != "now" {
		w.Errorf("honoured %v", rot.Status.Honoured)
	}
	// It is honoured once, and rests.
	w.once(r, "db") // which says that nothing is due
	version := w.get("db").ResourceVersion
	for range 5 {
		w.once(r, "db")
	}
	if rot = w.get("db"); rot.ResourceVersion != version {
		w.Errorf("a Rotation at rest is written: %+v", rot.Status)
	}
	if !slices.ContainsFunc(w.events, func(e string) bool { return strings.HasPrefix(e, "Normal Quiescing: turn 101") }) {
		w.Errorf("events %q", w.events)
	}
}

// The operator is killed before and after every write and every act; the next
// one ends the turn as if nothing had been.
func TestKilledAnywhere(t *testing.T) {
	for n := 1; ; n++ {
		calls := 0
		done := false
		t.Run(fmt.Sprint("call ", n), func(t *testing.T) {
			w := newWorld(t)
			w.create("db", func(rot *v1alpha1.Rotation) {
				rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
			})
			w.client = interceptor.NewClient(testClient, interceptor.Funcs{
				SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
					calls++ // odd: before the write; even: after it
					if calls == n {
						panic(killed{})
					}
					err := c.SubResource(sub).Update(ctx, o, opts...)
					calls++
					if calls == n {
						panic(killed{})
					}
					return err
				},
			})
			r := w.operator()
			finished := func() bool {
				rot := w.get("db")
				return rot.Status.LastDone != nil && ended(v1alpha1.PhaseIdle)(rot)
			}
			for range 300 {
				if finished() {
					break
				}
				if w.dies(r) {
					r = w.operator()
				}
			}
			if !finished() {
				t.Fatalf("not done: %+v\n%s", w.get("db").Status, w.log)
			}
			w.checkGood(w.get("db"))
			done = calls < n
		})
		if done || t.Failed() {
			if n < 24 {
				t.Errorf("only %d instants in a turn", n)
			}
			return
		}
	}
}

type killed struct{}

// dies reconciles once and reports whether the operator was killed.
func (w *world) dies(r *Reconciler) (dead bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(killed); !ok {
				panic(p)
			}
			dead = true
		}
	}()
	w.once(r, "db")
	return false
}

// An operator that was paused while another went on acts no more.
func TestExLeader(t *testing.T) {
	w := newWorld(t)
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
	})
	old, leader := w.operator(), w.operator()
	w.run(old, "db", "staged", phase(v1alpha1.PhaseStaged))
	acts := len(w.acts)
	// The ex-leader has read and decided; while it is paused, the leader goes on.
	paused := true
	w.client = interceptor.NewClient(testClient, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			if paused {
				paused = false
				w.client = testClient
				w.run(leader, "db", "proving", phase(v1alpha1.PhaseProving))
				acts = len(w.acts)
			}
			return c.SubResource(sub).Update(ctx, o, opts...)
		},
	})
	old.Client = w.client
	w.once(old, "db")
	if paused || len(w.acts) != acts {
		t.Errorf("the ex-leader acted: %v", w.acts[acts:])
	}
	if p := w.get("db").Status.Phase; p != v1alpha1.PhaseProving {
		t.Errorf("phase %s", p)
	}
}

// A leader that is stopped just before it sends Close, when it has announced it,
// sends it when another one leads, amid the same turn, and has opened the old
// credential again: it is refused, and the old credential stays open.
func TestExLeaderSendsCloseLate(t *testing.T) {
	w := newWorld(t)
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
	})
	old, leader := w.operator(), w.operator()
	stopped := false
	w.sending = func(act string) {
		if act != "close" {
			return
		}
		w.sending, stopped = nil, true
		w.run(leader, "db", "closed", func(rot *v1alpha1.Rotation) bool { return rot.Status.ClosedAt != nil })
		w.annotate("db", v1alpha1.AnnotationHold, "a doubt")
		w.run(leader, "db", "held and open", func(rot *v1alpha1.Rotation) bool {
			return rot.Status.Phase == v1alpha1.PhaseHeld && rot.Status.ClosedAt == nil && rot.Status.Act == ""
		})
	}
	w.run(old, "db", "stopped", func(*v1alpha1.Rotation) bool { return stopped })
	if last := w.acts[len(w.acts)-1]; last != "reopen" || w.closed {
		t.Errorf("a close came through that was sent late: closed %v, acts %v", w.closed, w.acts)
	}
	w.annotate("db", v1alpha1.AnnotationHold, "")
	w.run(leader, "db", "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil })
}

// Nothing is done that could not be announced.
func TestWritesRefused(t *testing.T) {
	w := newWorld(t)
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
	})
	w.run(w.operator(), "db", "staged", phase(v1alpha1.PhaseStaged))
	acts := len(w.acts)
	refusing := true
	w.client = interceptor.NewClient(testClient, interceptor.Funcs{
		SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, o client.Object, opts ...client.SubResourceUpdateOption) error {
			if refusing {
				return apierrors.NewInternalError(errs.New(errs.Unavailable, "etcd is away"))
			}
			return c.SubResource(sub).Update(ctx, o, opts...)
		},
	})
	r := w.operator()
	for range 10 {
		w.once(r, "db")
	}
	if len(w.acts) != acts {
		t.Errorf("acts without an announcement: %v", w.acts[acts:])
	}
	refusing = false
	w.checkGoodAfter()
}

// A person's word, each in the phase it is for.
func TestAsks(t *testing.T) {
	demand := func(change func(*v1alpha1.Rotation)) func(*v1alpha1.Rotation) {
		return func(rot *v1alpha1.Rotation) {
			rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
			if change != nil {
				change(rot)
			}
		}
	}
	t.Run("approve", func(t *testing.T) {
		w := newWorld(t)
		w.create("db", demand(func(rot *v1alpha1.Rotation) { rot.Spec.Approval = v1alpha1.ApprovalManual }))
		r := w.operator()
		rot := w.run(r, "db", "awaiting approval", func(rot *v1alpha1.Rotation) bool {
			return condition(rot, v1alpha1.ConditionProgressing).Reason == "AwaitsApproval"
		})
		if c := condition(rot, v1alpha1.ConditionProgressing); !strings.HasSuffix(c.Message, "strongkeep rotation approve db -n "+w.ns) {
			t.Errorf("%q does not end with the command", c.Message)
		}
		w.annotate("db", v1alpha1.AnnotationApprove, "100") // another turn's
		for range 5 {
			w.once(r, "db")
		}
		if p := w.get("db").Status.Phase; p != v1alpha1.PhaseStaged {
			t.Fatalf("phase %s by the approval of another turn", p)
		}
		w.annotate("db", v1alpha1.AnnotationApprove, "101")
		w.checkGoodAfter()
		if st, err := evidence.ParseStatement([]byte(w.statements[101])); err != nil || st.Approved == nil || st.Approved.By == "" {
			t.Errorf("%+v (%v)", st.Approved, err)
		}
	})
	t.Run("hold", func(t *testing.T) {
		w := newWorld(t)
		w.stuck = true
		w.create("db", demand(nil))
		r := w.operator()
		w.run(r, "db", "rolling", phase(v1alpha1.PhaseRolling))
		w.annotate("db", v1alpha1.AnnotationHold, "lunch")
		rot := w.run(r, "db", "held", phase(v1alpha1.PhaseHeld))
		if c := condition(rot, v1alpha1.ConditionHeld); c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, "lunch") || !strings.Contains(c.Message, "next: ") {
			t.Errorf("condition Held %+v", c)
		}
		if rot.Status.HeldFrom != v1alpha1.PhaseRolling || condition(rot, v1alpha1.ConditionProgressing).Status != metav1.ConditionFalse {
			t.Errorf("%+v", rot.Status)
		}
		w.stuck = false
		w.annotate("db", v1alpha1.AnnotationHold, "")
		rot = w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool {
			return rot.Status.LastDone != nil && ended(v1alpha1.PhaseIdle)(rot)
		})
		w.checkGood(rot)
	})
	t.Run("suspend", func(t *testing.T) {
		w := newWorld(t)
		w.stuck = true
		w.create("db", demand(nil))
		r := w.operator()
		w.run(r, "db", "rolling", phase(v1alpha1.PhaseRolling))
		suspend := func(yes bool) {
			rot := w.get("db")
			rot.Spec.Suspend = yes
			if err := testClient.Update(t.Context(), rot); err != nil {
				t.Fatal(err)
			}
		}
		suspend(true)
		w.run(r, "db", "held", phase(v1alpha1.PhaseHeld))
		w.stuck = false
		suspend(false)
		w.checkGood(w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool {
			return rot.Status.LastDone != nil && ended(v1alpha1.PhaseIdle)(rot)
		}))
	})
	t.Run("roll back", func(t *testing.T) {
		w := newWorld(t)
		w.stuck = true
		w.create("db", demand(nil))
		r := w.operator()
		w.run(r, "db", "rolling", phase(v1alpha1.PhaseRolling))
		w.annotate("db", v1alpha1.AnnotationBack, "101")
		w.stuck = false
		rot := w.run(r, "db", "failed", ended(v1alpha1.PhaseFailed))
		if got := slices.Compact(slices.Clone(w.acts)); !slices.Equal(got, []string{"stage", "publish new", "publish old", "retire new"}) {
			t.Errorf("acts %v", got)
		}
		if w.published != 100 || rot.Status.Version != "100" || rot.Status.BackReason != "RollBackAsked" {
			t.Errorf("published %d, status %+v", w.published, rot.Status)
		}
		if c := condition(rot, v1alpha1.ConditionReady); c.Status != metav1.ConditionFalse || c.Reason != "TurnFailed" {
			t.Errorf("condition Ready %+v", c)
		}
		// The next turn is another, and ends well.
		w.acts = nil
		w.annotate("db", v1alpha1.AnnotationRotate, "again")
		rot = w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil && ended(v1alpha1.PhaseIdle)(rot) })
		if rot.Status.Turn != 102 || rot.Status.BackReason != "" || w.published != 102 {
			t.Errorf("status %+v", rot.Status)
		}
	})
	t.Run("accept", func(t *testing.T) {
		w := newWorld(t)
		w.create("db", demand(func(rot *v1alpha1.Rotation) {
			rot.Spec.Proof.Pod = []v1alpha1.EvidenceKind{v1alpha1.EvidenceApplication} // which nobody gives
		}))
		r := w.operator()
		rot := w.run(r, "db", "held", phase(v1alpha1.PhaseHeld))
		if rot.Status.HeldFrom != v1alpha1.PhaseStaged || w.published != 100 {
			t.Errorf("what can never be proven was published: held from %s", rot.Status.HeldFrom)
		}
		if c := condition(rot, v1alpha1.ConditionHeld); c.Reason != "ProofImpossible" || !strings.Contains(c.Message, "web-0-100") {
			t.Errorf("condition Held %+v does not name the pod", c)
		}
		w.annotate("db", v1alpha1.AnnotationAccept, "101")
		rot = w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil && ended(v1alpha1.PhaseIdle)(rot) })
		if c := condition(rot, v1alpha1.ConditionProven); c.Status != metav1.ConditionFalse || c.Reason != "AcceptedUnproven" {
			t.Errorf("condition Proven %+v", c)
		}
		st, err := evidence.ParseStatement([]byte(w.statements[101]))
		if err != nil || st.Accepted == nil || len(st.Unproven) != 2 {
			t.Errorf("statement %+v (%v)", st, err)
		}
	})
	t.Run("leak", func(t *testing.T) {
		w := newWorld(t)
		w.create("db", nil)
		w.annotate("db", v1alpha1.AnnotationLeaked, "on a blog")
		w.run(w.operator(), "db", "done", func(rot *v1alpha1.Rotation) bool {
			return rot.Status.LastDone != nil && rot.Status.Cause == "Leak" && rot.Status.Honoured[v1alpha1.AnnotationLeaked] == "on a blog"
		})
	})
}

// Pods that fail with the new credential send the turn back; those that failed
// before do not.
func TestFailingConsumers(t *testing.T) {
	w := newWorld(t)
	w.crashes = 101
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
	})
	r := w.operator()
	rot := w.run(r, "db", "failed", ended(v1alpha1.PhaseFailed))
	if rot.Status.BackReason != "ConsumersFailing" || !strings.Contains(rot.Status.BackMessage, "CrashLoopBackOff") || w.published != 100 {
		t.Errorf("%+v", rot.Status)
	}
	for _, p := range w.pods {
		if p.Failing != "" {
			t.Errorf("pod %s is left on what it cannot use", p.Name)
		}
	}

	w = newWorld(t)
	sick := w.pod(7)
	sick.Workload, sick.Failing, sick.Uses = w.object("Job", "sick"), "container x: OOMKilled", nil
	w.pods = append(w.pods, sick)
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
		rot.Spec.Rollout.Method = v1alpha1.RolloutTemplate
	})
	rot = w.run(w.operator(), "db", "rolling", phase(v1alpha1.PhaseRolling))
	if rot.Status.Baseline["Job/"+w.ns+"/sick"] != 1 {
		t.Errorf("baseline %v", rot.Status.Baseline)
	}
}

// The younger of two Rotations of one credential is refused, and says which the
// other is.
func TestTwoRotations(t *testing.T) {
	w := newWorld(t)
	w.create("a", nil)
	w.create("b", nil)
	r := w.operator()
	older, younger := w.run(r, "a", "idle", phase(v1alpha1.PhaseIdle)), w.run(r, "b", "idle", phase(v1alpha1.PhaseIdle))
	if slot.Older(older, younger) > 0 { // within one second the UID decides
		older, younger = younger, older
	}
	w.annotate(younger.Name, v1alpha1.AnnotationRotate, "now")
	rot := w.run(r, younger.Name, "refused", func(rot *v1alpha1.Rotation) bool {
		return condition(rot, v1alpha1.ConditionReady).Reason == "Refused"
	})
	if c := condition(rot, v1alpha1.ConditionReady); !strings.Contains(c.Message, "Rotation "+w.ns+"/"+older.Name) || !strings.Contains(c.Message, "kubectl -n") {
		t.Errorf("condition Ready %+v", c)
	}
	if len(w.acts) != 0 || rot.Status.Turn != 0 {
		t.Errorf("it turns: %v", w.acts)
	}
	if c := condition(w.get(older.Name), v1alpha1.ConditionReady); c.Status != metav1.ConditionTrue {
		t.Errorf("the older is refused: %+v", c)
	}
	if err := testClient.Delete(t.Context(), older); err != nil {
		t.Fatal(err)
	}
	w.run(r, younger.Name, "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil })
}

// What the vault refuses is the condition's text.
func TestRefusedByVault(t *testing.T) {
	w := newWorld(t)
	w.vaultErr = errs.New(errs.Invalid, `user "root" is the connection's own login: name others in usernames`)
	w.create("db", nil)
	rot := w.run(w.operator(), "db", "refused", func(rot *v1alpha1.Rotation) bool {
		return condition(rot, v1alpha1.ConditionReady).Reason == "Refused"
	})
	if c := condition(rot, v1alpha1.ConditionReady); !strings.Contains(c.Message, "the connection's own login") {
		t.Errorf("%+v", c)
	}
	w.vaultErr = errs.New(errs.Unavailable, "connection refused")
	rot = w.run(w.operator(), "db", "blind", func(rot *v1alpha1.Rotation) bool {
		return condition(rot, v1alpha1.ConditionObserved).Status == metav1.ConditionFalse
	})
	if c := condition(rot, v1alpha1.ConditionObserved); !strings.Contains(c.Message, "connection refused") {
		t.Errorf("%+v", c)
	}
}

// A vault without the evidence engine: the turn is over, the statement waits.
func TestStatementPending(t *testing.T) {
	w := newWorld(t)
	w.statementErr = errs.New(errs.NotExist, "no handler for evidence/")
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
	})
	r := w.operator()
	rot := w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil && ended(v1alpha1.PhaseIdle)(rot) })
	if c := condition(rot, v1alpha1.ConditionProven); c.Reason != "StatementNotStored" || !strings.Contains(c.Message, "strongkeep secrets enable") {
		t.Errorf("condition Proven %+v", c)
	}
	if len(rot.Status.Pending) != 1 || rot.Status.Pending[0].Turn != 101 || rot.Status.Statement != "" {
		t.Fatalf("pending %+v", rot.Status.Pending)
	}
	w.once(r, "db")
	w.statementErr = nil
	rot = w.run(w.operator(), "db", "stored", func(rot *v1alpha1.Rotation) bool { return len(rot.Status.Pending) == 0 })
	w.checkGood(rot)
}

// Deleted amid a turn, it leaves a credential that everybody can use.
func TestDeletedAmidTurn(t *testing.T) {
	for _, tc := range []struct {
		phase   v1alpha1.Phase
		prep    func(*world)
		last    string
		retired string // as the statement has it
	}{
		{v1alpha1.PhaseStaged, nil, "retire new", "new"},
		{v1alpha1.PhaseRolling, func(w *world) { w.stuck = true }, "publish new", ""},
		{v1alpha1.PhaseQuiescing, nil, "reopen", ""},
		{v1alpha1.PhaseRetiring, nil, "retire old", "old"},
	} {
		t.Run(string(tc.phase), func(t *testing.T) {
			w := newWorld(t)
			if tc.prep != nil {
				tc.prep(w)
			}
			w.create("db", func(rot *v1alpha1.Rotation) {
				rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
				if tc.phase == v1alpha1.PhaseStaged {
					rot.Spec.Approval = v1alpha1.ApprovalManual
				}
			})
			r := w.operator()
			rot := w.run(r, "db", "there", phase(tc.phase))
			if err := testClient.Delete(t.Context(), rot); err != nil {
				t.Fatal(err)
			}
			w.run(r, "db", "gone", func(rot *v1alpha1.Rotation) bool { return rot.Name == "" })
			if got := w.acts[len(w.acts)-1]; got != tc.last {
				t.Errorf("acts %v, want %s last", w.acts, tc.last)
			}
			if w.closed && tc.phase != v1alpha1.PhaseRetiring {
				t.Error("the old credential is left closed")
			}
			if e := w.events[len(w.events)-1]; !strings.HasPrefix(e, "Normal TurnEnded") {
				t.Errorf("event %q", e)
			}
			st := w.statement()
			if st.Result != rotate.ResultAbandoned || st.Reason != "Deleted" || !strings.Contains(st.Message, "phase "+string(tc.phase)) {
				t.Errorf("%s for %s: %q", st.Result, st.Reason, st.Message)
			}
			if (st.Retired != nil) != (tc.retired != "") || st.Retired != nil && st.Retired.Side != tc.retired {
				t.Errorf("retired %+v, want %q", st.Retired, tc.retired)
			}
		})
	}
}

// Deleted when nothing but the statement was left to do, the turn is recorded as
// what it was, behind what waits.
func TestDeletedWhileStatementWaits(t *testing.T) {
	w := newWorld(t)
	w.statementErr = errs.New(errs.Unavailable, "connection refused")
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
	})
	r := w.operator()
	rot := w.run(r, "db", "done", phase(v1alpha1.PhaseDone))
	if err := testClient.Delete(t.Context(), rot); err != nil {
		t.Fatal(err)
	}
	w.once(r, "db")
	if w.get("db").Name == "" {
		t.Fatal("it gave up at once")
	}
	w.statementErr = nil
	w.run(r, "db", "gone", func(rot *v1alpha1.Rotation) bool { return rot.Name == "" })
	if st := w.statement(); st.Result != rotate.ResultRotated || st.Retired == nil || st.Pods.Proven != 2 {
		t.Errorf("%+v", st)
	}
}

// A vault that is away keeps no namespace for ever.
func TestDeletedWhileVaultIsAway(t *testing.T) {
	w := newWorld(t)
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
		rot.Spec.Approval = v1alpha1.ApprovalManual
	})
	r := w.operator()
	rot := w.run(r, "db", "staged", phase(v1alpha1.PhaseStaged))
	w.vaultErr = errs.New(errs.Unavailable, "connection refused")
	if err := testClient.Delete(t.Context(), rot); err != nil {
		t.Fatal(err)
	}
	began := w.clock.Now()
	w.once(r, "db")
	if w.get("db").Name == "" {
		t.Fatal("it gave up at once")
	}
	w.run(r, "db", "gone", func(rot *v1alpha1.Rotation) bool { return rot.Name == "" })
	if took := w.clock.Since(began); took > 3*time.Minute {
		t.Errorf("it took %v", took)
	}
	if e := w.events[len(w.events)-1]; !strings.HasPrefix(e, "Warning TurnAbandoned") || !strings.Contains(e, "connection refused") {
		t.Errorf("event %q", e)
	}
}

// Who may write a Rotation in one namespace has no say over another: what it
// names there is refused, and is not even looked at.
func TestConsumersOfAnotherNamespace(t *testing.T) {
	for name, c := range map[string]v1alpha1.Consumers{
		"Secret":   {Secrets: []v1alpha1.SecretRef{{Namespace: "kube-system", Name: "x"}}},
		"workload": {Workloads: []v1alpha1.WorkloadRef{{Namespace: "kube-system", Kind: "Deployment", Name: "coredns"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create("db", func(rot *v1alpha1.Rotation) { rot.Spec.Consumers = c })
			w.annotate("db", v1alpha1.AnnotationRotate, "now")
			r := w.operator()
			rot := w.run(r, "db", "refused", func(rot *v1alpha1.Rotation) bool {
				return condition(rot, v1alpha1.ConditionReady).Reason == "Refused"
			})
			if c := condition(rot, v1alpha1.ConditionReady); !strings.Contains(c.Message, `"kube-system"`) {
				t.Errorf("%+v", c)
			}
			if len(w.acts) != 0 {
				t.Errorf("it turns: %v", w.acts)
			}
			// Written amid a turn, it holds the turn.
			w.create("later", func(rot *v1alpha1.Rotation) { rot.Spec.Approval = v1alpha1.ApprovalManual })
			if err := testClient.Delete(t.Context(), rot); err != nil {
				t.Fatal(err)
			}
			w.annotate("later", v1alpha1.AnnotationRotate, "now")
			rot = w.run(r, "later", "staged", phase(v1alpha1.PhaseStaged))
			rot.Spec.Consumers = c
			if err := testClient.Update(t.Context(), rot); err != nil {
				t.Fatal(err)
			}
			w.run(r, "later", "held", func(rot *v1alpha1.Rotation) bool {
				return rot.Status.Phase == v1alpha1.PhaseHeld && rot.Status.HeldFor == rotate.ReasonRefused
			})
			if q := (&look{rot: w.get("later")}).wanted(); len(q.Secrets)+len(q.Workloads) != 0 {
				t.Errorf("it is looked at: %+v", q)
			}
		})
	}
}

// A policy's before has a turn begin early; late is who is older than maxAge.
func TestBeginsBeforeTheLimit(t *testing.T) {
	const day = 24 * time.Hour
	w := newWorld(t)
	w.limit, w.before, w.changed = 90*day, 30*day, w.clock.Now().Add(-59*day)
	w.create("db", nil)
	r := w.operator()
	w.run(r, "db", "idle", phase(v1alpha1.PhaseIdle))
	w.changed = w.clock.Now().Add(-60 * day)
	rot := w.run(r, "db", "begun", func(rot *v1alpha1.Rotation) bool { return rot.Status.Turn != 0 })
	if c := condition(rot, v1alpha1.ConditionReady); rot.Status.Cause != rotate.CauseAge || c.Reason != "Accepted" {
		t.Errorf("cause %q, condition Ready %+v", rot.Status.Cause, c)
	}
	// Policies that cannot be read begin nothing, and stop nothing that goes on.
	w.policyErr = errs.New(errs.Invalid, "RotationPolicy x: class y: before must be less than maxAge")
	w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil })
}

// A backend that does not see everything has no word, where its word is required.
func TestRequiredBackendSeesPartly(t *testing.T) {
	w := newWorld(t)
	w.partial = "GRANT PROCESS to the vault's user"
	w.create("db", func(rot *v1alpha1.Rotation) { rot.Spec.Proof.Backend = v1alpha1.BackendRequired })
	w.annotate("db", v1alpha1.AnnotationRotate, "now")
	r := w.operator()
	rot := w.run(r, "db", "held", phase(v1alpha1.PhaseHeld))
	if c := condition(rot, v1alpha1.ConditionHeld); rot.Status.HeldFor != rotate.ReasonProofImpossible || !strings.Contains(c.Message, w.partial) || slices.Contains(w.acts, "close") {
		t.Errorf("held for %s: %q, acts %v", rot.Status.HeldFor, c.Message, w.acts)
	}
	w.partial = ""
	w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil })
}

// Nothing is kept of a Rotation that is gone.
func TestForgets(t *testing.T) {
	w := newWorld(t)
	r := w.operator()
	for range 2 { // of the same name
		w.create("db", nil)
		rot := w.run(r, "db", "idle", phase(v1alpha1.PhaseIdle))
		if err := testClient.Delete(t.Context(), rot); err != nil {
			t.Fatal(err)
		}
	}
	w.once(r, "db")
	if n := len(r.memories.byID) + len(r.memories.ids) + r.places.Len(); n != 0 || w.forgotten != w.ns+"/db" {
		t.Errorf("%d things are remembered; the Roller was told of %q", n, w.forgotten)
	}
}

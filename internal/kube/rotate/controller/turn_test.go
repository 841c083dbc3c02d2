package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// role changes which credential the Rotation is about.
func (w *world) role(name, role string) {
	w.Helper()
	rot := w.get(name)
	base := rot.DeepCopy()
	rot.Spec.Target.Database.Role = role
	if err := testClient.Patch(w.Context(), rot, client.MergeFrom(base)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) turned(change func(*v1alpha1.Rotation)) {
	w.Helper()
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Annotations = map[string]string{v1alpha1.AnnotationRotate: "now"}
		if change != nil {
			change(rot)
		}
	})
}

func byHand(rot *v1alpha1.Rotation) { rot.Spec.Approval = v1alpha1.ApprovalManual }

// Whoever edits spec.target amid a turn has no act of it done to what is named
// now, whatever is asked for meanwhile; put back, the turn goes on.
func TestTargetEditedAmidTurn(t *testing.T) {
	for _, tc := range []struct {
		phase v1alpha1.Phase
		prep  func(*world)
		ends  v1alpha1.Phase
	}{
		{v1alpha1.PhaseStaged, nil, v1alpha1.PhaseFailed},
		{v1alpha1.PhaseQuiescing, nil, v1alpha1.PhaseFailed},
		{v1alpha1.PhaseRetiring, nil, v1alpha1.PhaseIdle},
		{v1alpha1.PhaseDone, func(w *world) { w.statementErr = errs.New(errs.Unavailable, "away") }, v1alpha1.PhaseIdle},
	} {
		t.Run(string(tc.phase), func(t *testing.T) {
			w := newWorld(t)
			if tc.prep != nil {
				tc.prep(w)
			}
			w.turned(func(rot *v1alpha1.Rotation) {
				if tc.phase == v1alpha1.PhaseStaged {
					byHand(rot)
				}
			})
			r := w.operator()
			w.run(r, "db", "there", phase(tc.phase))
			w.role("db", "other")
			w.annotate("db", v1alpha1.AnnotationBack, "101")
			w.statementErr = nil
			w.run(r, "db", "blind", func(rot *v1alpha1.Rotation) bool {
				c := condition(rot, v1alpha1.ConditionObserved)
				return c.Status == metav1.ConditionFalse && strings.Contains(c.Message, "put it back")
			})
			for range 20 {
				w.once(r, "db")
			}
			if rot := w.get("db"); rot.Status.Location != location || len(rot.Finalizers) == 0 {
				t.Errorf("the turn let go of %s: %+v", location, rot.Status)
			}
			w.vaultErr = errs.New(errs.Unavailable, "away") // and then it does not say which it is
			for range 5 {
				w.once(r, "db")
			}
			w.vaultErr = nil
			w.role("db", "app")
			w.run(r, "db", "ended", ended(tc.ends))
		})
	}

	t.Run("deleted", func(t *testing.T) {
		w := newWorld(t)
		w.turned(byHand)
		r := w.operator()
		w.run(r, "db", "staged", phase(v1alpha1.PhaseStaged))
		w.role("db", "other")
		if err := testClient.Delete(t.Context(), w.get("db")); err != nil {
			t.Fatal(err)
		}
		w.run(r, "db", "gone", func(rot *v1alpha1.Rotation) bool { return rot.Name == "" })
		if e := w.events[len(w.events)-1]; !strings.HasPrefix(e, "Warning TurnAbandoned") || !strings.Contains(e, location) {
			t.Errorf("event %q", e)
		}
	})
}

// Time in which nobody looked is not time in which the closed credential was watched.
func TestGapInTheWatch(t *testing.T) {
	w := newWorld(t)
	w.turned(func(rot *v1alpha1.Rotation) { rot.Spec.Overlap.Watch = &metav1.Duration{Duration: 5 * time.Minute} })
	r := w.operator()
	w.run(r, "db", "closed", func(rot *v1alpha1.Rotation) bool { return rot.Status.ClosedAt != nil })
	w.once(r, "db")
	for range 3 {
		w.clock.SetTime(w.clock.Now().Add(10 * time.Minute))
		w.once(r, "db")
		if rot := w.get("db"); rot.Status.Phase != v1alpha1.PhaseQuiescing {
			t.Fatalf("phase %s after a gap", rot.Status.Phase)
		}
	}
	closed := w.clock.Now()
	w.run(r, "db", "ended", ended(v1alpha1.PhaseIdle))
	if took := w.clock.Since(closed); took < 4*time.Minute {
		t.Errorf("watched for %v", took)
	}
}

// Somebody puts a credential where there was none while the turn is staged: it is
// closed and watched like every other.
func TestFirstUntilSomebodyPutsOne(t *testing.T) {
	w := newWorld(t)
	w.published = 0
	w.turned(byHand)
	r := w.operator()
	if rot := w.run(r, "db", "staged", phase(v1alpha1.PhaseStaged)); !rot.Status.First {
		t.Fatal("there is nothing before it, and the status does not say so")
	}
	w.published = 100
	w.follow()
	w.run(r, "db", "seen", func(rot *v1alpha1.Rotation) bool { return !rot.Status.First && rot.Status.PreviousVersion == "100" })
	w.annotate("db", v1alpha1.AnnotationApprove, "101")
	w.run(r, "db", "ended", ended(v1alpha1.PhaseIdle))
	if got := slices.Compact(slices.Clone(w.acts)); !slices.Equal(got, goodTurn) {
		t.Errorf("acts %v, want %v", got, goodTurn)
	}
}

// A cache that is late does not hide a Secret that was set back: the last look
// before the old credential is closed reads each.
func TestLastLookReadsSecrets(t *testing.T) {
	w := newWorld(t)
	w.turned(nil)
	r := w.operator()
	w.run(r, "db", "proving", phase(v1alpha1.PhaseProving))
	var err error
	if w.frozen, err = w.secret(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.deaf = true
	w.hold(100)
	for range 10 {
		w.once(r, "db")
	}
	if slices.Contains(w.acts, "close") {
		t.Errorf("closed while a Secret holds the old one: %v", w.acts)
	}
}

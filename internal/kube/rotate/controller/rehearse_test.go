package controller

import (
	"context"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// trying is a world whose Rehearser has announced a rehearsal as turn 101 and has
// not ended it; acts counts what it did.
func trying(t *testing.T) (w *world, r *Reconciler, acts *int) {
	t.Helper()
	w, acts = newWorld(t), new(int)
	w.create("db", nil)
	r = w.operator()
	w.run(r, "db", "at rest", func(rot *v1alpha1.Rotation) bool { return rot.Status.Location != "" && rot.Status.Phase != "" })
	w.trial = Trial{Busy: true, Status: &v1alpha1.RehearsalStatus{Asked: "x", Verdict: v1alpha1.TrialRunning, Turn: 101}}
	w.trial.Act = func(context.Context) {
		*acts++
		if s := w.get("db").Status.Rehearsal; s == nil || s.Verdict != v1alpha1.TrialRunning || !slices.Contains(w.get("db").Finalizers, Finalizer) {
			t.Errorf("something is done before it is written: %+v", s)
		}
	}
	w.once(r, "db")
	return w, r, acts
}

// No turn begins beside a rehearsal, whatever asks for one; the turn after it has
// a number of its own.
func TestNoTurnBesideARehearsal(t *testing.T) {
	w, r, acts := trying(t)
	w.annotate("db", v1alpha1.AnnotationRotate, "now")
	for range 5 {
		w.once(r, "db")
	}
	if rot := w.get("db"); rot.Status.Turn != 0 || len(w.acts) != 0 || *acts != 6 {
		t.Fatalf("turn %d, acts %v, %d acts of the rehearsal", rot.Status.Turn, w.acts, *acts)
	}
	w.trial = Trial{Busy: true, Status: &v1alpha1.RehearsalStatus{Asked: "x", Verdict: v1alpha1.TrialSucceeds, Turn: 101}}
	w.once(r, "db")
	w.trial = Trial{}
	w.turn = 101 // as the target has it
	rot := w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool {
		return rot.Status.Turn == 102 && rot.Status.Phase == v1alpha1.PhaseIdle && len(rot.Finalizers) == 0
	})
	if s := rot.Status.Rehearsal; s == nil || s.Verdict != v1alpha1.TrialSucceeds {
		t.Errorf("the turn lost what the rehearsal found: %+v", s)
	}
}

// Amid a turn nothing is rehearsed.
func TestNoRehearsalAmidATurn(t *testing.T) {
	w := newWorld(t)
	w.create("db", func(rot *v1alpha1.Rotation) { rot.Spec.Approval = v1alpha1.ApprovalManual })
	r := w.operator()
	w.annotate("db", v1alpha1.AnnotationRotate, "now")
	w.run(r, "db", "staged", phase(v1alpha1.PhaseStaged))
	w.trial = Trial{Busy: true, Act: func(context.Context) { t.Error("something is rehearsed amid a turn") }}
	for range 3 {
		w.once(r, "db")
	}
}

// What is rehearsed is not done by who is leader no more: somebody else has
// written the Rotation since it was read.
func TestExLeaderDoesNotRehearse(t *testing.T) {
	w, r, acts := trying(t)
	before := *acts
	stale := w.get("db")
	w.annotate("db", "somebody", "else")
	l := r.look(t.Context(), stale, false)
	if _, _, err := r.rehearse(t.Context(), l); err == nil || *acts != before {
		t.Errorf("an act on a stale Rotation: %v, %d acts", err, *acts-before)
	}
}

// A Rotation that is deleted amid a rehearsal goes when nothing is left of it.
func TestDeletedAmidARehearsal(t *testing.T) {
	w, r, _ := trying(t)
	if err := testClient.Delete(t.Context(), w.get("db")); err != nil {
		t.Fatal(err)
	}
	if err := testClient.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "db"}, &v1alpha1.Rotation{}); err != nil {
		t.Fatalf("it is gone before anything was removed: %v", err)
	}
	w.run(r, "db", "gone", func(rot *v1alpha1.Rotation) bool { return rot.UID == "" })
	if w.swept != 1 || len(w.acts) != 0 {
		t.Errorf("swept %d times, acts %v", w.swept, w.acts)
	}
}

// Who reads the vault itself is named before anything is done; who has ended, and
// the operator itself, need not read again.
func TestForeseenClients(t *testing.T) {
	w := newWorld(t)
	w.create("db", nil)
	r := w.operator()
	w.annotate("db", v1alpha1.AnnotationRotate, "now")
	w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool {
		return rot.Status.Turn == 101 && rot.Status.Phase == v1alpha1.PhaseIdle
	})
	w.clients = `{"accessor":"a","display_name":"billing","live":true,"version":101,"last":"2026-03-01T10:00:00Z","count":1},
		{"accessor":"b","display_name":"gone","version":101,"last":"2026-03-01T10:00:00Z"},
		{"accessor":"c","display_name":"operator","own":true,"live":true,"last":"2026-03-01T10:00:00Z"}`
	w.once(r, "db")
	o, _ := w.foresee(t.Context(), 102)
	if !slices.Equal(o.Proof.Clients, []string{"billing"}) {
		t.Errorf("clients: %q, unknown: %q", o.Proof.Clients, o.Proof.ClientsUnknown)
	}
}

package controller

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/away"
)

// A cluster that does not answer for a moment is waited for; one that stays away,
// or that a person must mend, holds the turn before anything is published, also
// where it is enough that consumers are known.
func TestClusterAway(t *testing.T) {
	for name, c := range map[string]struct {
		kind  errs.Kind
		waits bool // before it is held
	}{
		"does not answer": {errs.Unavailable, true},
		"cannot be meant": {errs.Invalid, false},
		"lets nobody in":  {errs.Unauthenticated, false},
		"is not allowed":  {errs.Denied, false},
	} {
		w := newWorld(t)
		w.away = []consumer.Unreached{{Cluster: "east", Err: errs.New(c.kind, "that is why")}}
		w.create("db", func(rot *v1alpha1.Rotation) {
			rot.Spec.Consumers.Require = v1alpha1.RequireKnown
			rot.Spec.Consumers.Clusters = []v1alpha1.ClusterRef{{Name: "east", KubeconfigSecret: "east"}}
		})
		w.annotate("db", v1alpha1.AnnotationRotate, "now")
		r := w.operator()
		begun, waited := w.clock.Now(), false
		rot := w.run(r, "db", "held", func(rot *v1alpha1.Rotation) bool {
			waited = waited || condition(rot, v1alpha1.ConditionProgressing).Reason == rotate.ReasonNotObserved
			return rot.Status.Phase == v1alpha1.PhaseHeld
		})
		if waited != c.waits || c.waits && w.clock.Since(begun) < away.Hiccup {
			t.Errorf("%s: waited %v, held after %v", name, waited, w.clock.Since(begun))
		}
		if m := condition(rot, v1alpha1.ConditionHeld).Message; rot.Status.HeldFor != rotate.ReasonClusterUnreached || !strings.Contains(m, "east: that is why") {
			t.Errorf("%s: held for %s: %s", name, rot.Status.HeldFor, m)
		}
		if slices.Contains(w.acts, "publish new") || rot.Status.PublishedAt != nil {
			t.Errorf("%s: published: %v", name, w.acts)
		}
		w.away = nil
		w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil })
	}
}

// A cluster that goes away while the old credential is closed and watched has it
// opened again, for nobody sees who fails there.
func TestClusterAwayWhileClosed(t *testing.T) {
	w := newWorld(t)
	w.create("db", func(rot *v1alpha1.Rotation) {
		rot.Spec.Consumers.Clusters = []v1alpha1.ClusterRef{{Name: "east", KubeconfigSecret: "east"}}
	})
	w.annotate("db", v1alpha1.AnnotationRotate, "now")
	r := w.operator()
	w.run(r, "db", "closed", func(rot *v1alpha1.Rotation) bool { return rot.Status.ClosedAt != nil })
	w.away = []consumer.Unreached{{Cluster: "east", Err: errs.New(errs.Unavailable, "connection refused")}}
	w.run(r, "db", "held, and open", func(rot *v1alpha1.Rotation) bool {
		return rot.Status.HeldFor == rotate.ReasonClusterUnreached && rot.Status.ClosedAt == nil
	})
	if w.closed || w.gone {
		t.Errorf("the old credential is not open: %v", w.acts)
	}
	w.away = nil
	w.clock.SetTime(w.clock.Now().Add(time.Second))
	w.run(r, "db", "done", func(rot *v1alpha1.Rotation) bool { return rot.Status.LastDone != nil })
}

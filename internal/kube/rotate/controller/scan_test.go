package controller

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/scan"
)

// Copies that only a search by content has found stay consumers when the operator
// changes after the turn has published: they are in the status.
func TestCopiesOutliveTheOperator(t *testing.T) {
	w := newWorld(t)
	copied := consumer.Copy{UID: "u", Source: types.NamespacedName{Namespace: w.ns, Name: "db"}, Tool: "Kubernetes Replicator", Keys: []string{"password"}}
	copied.Kind, copied.Namespace, copied.Name = corev1.SchemeGroupVersion.WithKind("Secret"), w.ns, "pushed"
	w.copied = []consumer.Copy{copied}
	w.create("db", nil)
	w.annotate("db", v1alpha1.AnnotationRotate, "now")
	w.run(w.operator(), "db", "published", phase(v1alpha1.PhasePublishing))
	rot := w.run(w.operator(), "db", "proven", phase(v1alpha1.PhaseQuiescing)) // another process
	if rot.Status.Proof.Secrets != 2 || rot.Status.Proof.SecretsConfirmed != 2 {
		t.Errorf("the copy is forgotten: %+v", rot.Status.Proof)
	}
	if got := rot.Status.Copies; len(got) != 1 || got[0].Name != "pushed" || got[0].Source != w.ns+"/db" {
		t.Errorf("%+v", got)
	}
	w.run(w.operator(), "db", "done", ended(v1alpha1.PhaseIdle))
	if w.scans != 1 {
		t.Errorf("copies were searched %d times in a turn, by four operators", w.scans)
	}
	w.copied = nil
	w.annotate("db", v1alpha1.AnnotationRotate, "again")
	rot = w.run(w.operator(), "db", "published again", func(rot *v1alpha1.Rotation) bool {
		return rot.Status.Turn > 101 && rot.Status.Phase == v1alpha1.PhasePublishing
	})
	if len(rot.Status.Copies) != 0 {
		t.Errorf("those of the turn before are there still: %+v", rot.Status.Copies)
	}
}

// A source that cannot be asked for good, or a copy that holds the turn, does not have
// everything read at each look.
func TestNoStormOfScans(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		reason string
		most   int
	}{
		"unknown for good":   {func(w *world) { w.unknown = []string{"pods: may not be read"} }, rotate.ReasonConsumersUnknown, 1},
		"not all searchable": {func(w *world) { w.unsearched = []string{"copies: configmaps may not be read"} }, rotate.ReasonConsumersUnknown, 4},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			w.create("db", nil)
			w.annotate("db", v1alpha1.AnnotationRotate, "now")
			r := w.operator()
			held := w.run(r, "db", "held", func(rot *v1alpha1.Rotation) bool { return rot.Status.HeldFor == c.reason })
			until := w.clock.Now().Add(3 * scan.Every)
			for looks := 0; w.clock.Now().Before(until); looks++ {
				w.annotate("db", "test/look", fmt.Sprint(looks))
				w.once(r, "db")
			}
			if got := w.get("db"); got.Status.Phase != v1alpha1.PhaseHeld || got.Status.HeldFor != c.reason {
				t.Errorf("between two searches it went on to %s, %s, from %s", got.Status.Phase, got.Status.HeldFor, held.Status.HeldMessage)
			}
			if w.scans > c.most {
				t.Errorf("everything was read %d times in three minutes", w.scans)
			}
		})
	}
}

// What a Rotation of the same name has left open is ended before a turn is staged.
func TestAdoptsBeforeStaging(t *testing.T) {
	w := newWorld(t)
	w.create("db", nil)
	w.annotate("db", v1alpha1.AnnotationRotate, "now")
	rot := w.run(w.operator(), "db", "staged", phase(v1alpha1.PhaseStaged))
	if len(w.adopted) != 1 || w.adopted[0] != rot.Status.Turn {
		t.Errorf("adopted for turns %v, and staged turn %d", w.adopted, rot.Status.Turn)
	}
}

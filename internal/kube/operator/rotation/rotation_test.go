package rotation_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
)

// Turns of a real credential of PostgreSQL through the vault, to pods of a
// Deployment that a real controller replaces, by an operator that may do what
// package rbac says and no more.
func TestTurns(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	w.settled()
	for turn := range int64(3) {
		w.ask(v1alpha1.AnnotationRotate, fmt.Sprint("turn ", turn+1))
		rot := w.done(turn + 1)
		s := &rot.Status
		if s.Proof.Pods != 2 || s.Proof.PodsProven != 2 || s.Proof.Secrets != 1 || s.Proof.SecretsConfirmed != 1 || !s.Proof.Complete {
			t.Errorf("turn %d: proof %+v", turn+1, s.Proof)
		}
		if !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionProven) || s.Statement != fmt.Sprintf("evidence/statements/%s/db/%d", w.ns, turn+1) {
			t.Errorf("turn %d: conditions %+v, statement %q", turn+1, s.Conditions, s.Statement)
		}
		if stored, err := w.vault.Logical().ReadWithContext(t.Context(), s.Statement); err != nil || stored == nil {
			t.Errorf("turn %d: statement %v (%v)", turn+1, stored, err)
		}
		w.leaks()
	}
}

// An operator that is stopped in each phase leaves a turn that the next one ends.
func TestStoppedInEachPhase(t *testing.T) {
	w := newWorld(t)
	stop := w.start(nil)
	w.settled()
	w.ask(v1alpha1.AnnotationRotate, "first")
	w.done(1)
	w.ask(v1alpha1.AnnotationRotate, "second")
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseStaging, v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing, v1alpha1.PhaseRetiring} {
		w.rotation(string(phase), func(rot *v1alpha1.Rotation) bool {
			for _, e := range rot.Status.Timeline {
				if e.Turn == 2 && e.Phase == phase {
					return true
				}
			}
			return false
		})
		stop()
		stop = w.start(nil)
	}
	rot := w.done(2)
	seen := map[v1alpha1.Phase]int{}
	for _, e := range rot.Status.Timeline {
		if e.Turn == 2 {
			seen[e.Phase]++
		}
	}
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseStaging, v1alpha1.PhaseRetiring, v1alpha1.PhaseDone} {
		if seen[phase] != 1 {
			t.Errorf("phase %s was entered %d times", phase, seen[phase])
		}
	}
	if !meta.IsStatusConditionTrue(rot.Status.Conditions, v1alpha1.ConditionProven) {
		t.Errorf("conditions %+v", rot.Status.Conditions)
	}
	w.leaks()
}

// Where another cluster's operator turns the credential, ours hears of it: the
// Secret has the new one long before its interval is over.
func TestPublishIsHeardElsewhere(t *testing.T) {
	w := newWorld(t)
	turn := func(n int) {
		for _, act := range []string{"stage", "publish"} {
			w.write("database/alternating-roles/app/"+act, map[string]any{"turn": n, "holder": "else/where", "side": "new"})
		}
		if n > 1 {
			w.write("database/alternating-roles/app/close", map[string]any{"turn": n, "holder": "else/where"})
		}
		w.write("database/alternating-roles/app/retire", map[string]any{"turn": n, "holder": "else/where", "side": "old"})
	}
	turn(1)
	w.start(func(c *operator.Config) { c.NoRotation, c.NoReload = true, true })
	version := func() string {
		var s corev1.Secret
		if err := testClient.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "db"}, &s); err != nil {
			return err.Error()
		}
		return string(s.Data["username"])
	}
	users := strings.ReplaceAll(w.ns, "-", "_")
	w.until("the Secret has the first user", func() bool { return version() == users+"_a" })
	w.until("the operator listens", func() bool { return strings.Contains(w.log.String(), "changes of the store arrive at once") })
	turn(2)
	w.until("the Secret has the second user", func() bool { return version() == users+"_b" })
}

package rotation_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/test/rotation/world"
)

// A drill of each kind, on a workload with a Secret of its own: it is felt there
// and nowhere else, and undone in the end; also when the operator is killed amid
// it. A turn afterwards finds nothing left of them.
func TestDrills(t *testing.T) {
	t.Parallel()
	w := world.NewWith(t, "postgres", world.Powers{Drills: true})
	w.Rotation(nil)
	o := w.SpawnUnelected("")
	w.Rotate()
	w.Feed("own")
	drilled := alive
	drilled.Name, drilled.Secret = "drilled", "own"
	w.Consume(alive, drilled)
	_, password, _ := w.Published()

	t.Log("the store is away, and the operator is killed")
	w.Drill("away", "drilled", v1alpha1.DrillStoreAway, ", duration: 30m")
	began := w.Drilled("away", "felt", func(d *v1alpha1.Drill) bool {
		return d.Status.Phase == v1alpha1.DrillRunning && d.Status.ExternalSecrets[0].Failed != nil
	})
	o.Kill()
	o = w.SpawnUnelected("")
	w.Kubectl("annotate", "externalsecret", "own", "test.strongkeep.io/sync=away")
	if es := w.ExternalSecret("db"); !ready(es) {
		t.Errorf("another's ExternalSecret feels it: %+v", es.Status.Conditions)
	}
	undone(t, w, "away")
	if d := w.Drilled("away", "over", func(*v1alpha1.Drill) bool { return true }); !d.Status.Until.Equal(began.Status.Until) {
		t.Errorf("it was until %v, and then until %v", began.Status.Until, d.Status.Until)
	}

	t.Log("syncs are slow")
	const delay = 3 * time.Second
	w.Drill("slow", "drilled", v1alpha1.DrillSlowSync, ", duration: 30m, delay: 3s")
	w.Drilled("slow", "running", func(d *v1alpha1.Drill) bool { return d.Status.Phase == v1alpha1.DrillRunning })
	for i, took := 0, time.Duration(0); took < delay; i++ { // the first may have begun before
		if i == 10 {
			t.Fatalf("no sync took %v: the last took %v", delay, took)
		}
		took = synced(w, "own", i)
	}
	undone(t, w, "slow")

	t.Log("the credential is refused, and the operator is killed before it ends")
	w.Drill("refused", "drilled", v1alpha1.DrillCredentialRefused, ", duration: 30m")
	w.Until("the credential is refused", func() error {
		if w.Collector.Totals("drilled-").Refused == 0 {
			return errors.New("nobody was refused")
		}
		return nil
	})
	o.Kill()
	w.Kubectl("annotate", "drill", "refused", v1alpha1.AnnotationDrillStop+"=now")
	if s := w.Secret("own"); string(s.Data["password"]) == password || s.Annotations[v1alpha1.AnnotationDrill] != "refused" {
		t.Errorf("the Secret is not wrong, with nobody to put it right: %v", s.Annotations)
	}
	if s := w.Secret("db"); string(s.Data["password"]) != password {
		t.Error("another's Secret is wrong")
	}
	w.SpawnUnelected("")
	undone(t, w, "refused")

	turn(t, w, 4)
	sum := w.Settle()
	t.Log(sum)
	if others := w.Collector.Totals("reloads-"); others.Failures != 0 || others.Queries == 0 || sum.Failures != sum.Refused {
		t.Errorf("others failed, or failed for another reason than the drill's: %v", sum)
	}
}

// undone stops a drill, and checks that nothing is left of it.
func undone(t *testing.T, w *world.World, name string) {
	t.Helper()
	w.Kubectl("annotate", "drill", name, "--overwrite", v1alpha1.AnnotationDrillStop+"=now")
	d := w.Drilled(name, "over", func(d *v1alpha1.Drill) bool { return d.Status.Phase == v1alpha1.DrillOver })
	if d.Status.Undone == nil || d.Status.Recovered == nil || len(d.Status.Findings) == 0 {
		t.Errorf("drill %s: undone %v, recovered %v, findings %q", name, d.Status.Undone, d.Status.Recovered, d.Status.Findings)
	}
	_, password, _ := w.Published()
	s := w.Secret("own")
	if string(s.Data["password"]) != password || s.Annotations[v1alpha1.AnnotationDrill] != "" || !ready(w.ExternalSecret("own")) {
		t.Errorf("after drill %s the Secret is not right: %v", name, s.Annotations)
	}
}

// synced has an ExternalSecret read again, and returns how long that took.
func synced(w *world.World, name string, i int) time.Duration {
	w.Helper()
	began, before := time.Now(), w.ExternalSecret(name).Status.RefreshTime
	w.Kubectl("annotate", "--overwrite", "externalsecret", name, fmt.Sprintf("test.strongkeep.io/sync=%d", i))
	w.Until("a sync", func() error {
		if now := w.ExternalSecret(name).Status.RefreshTime; now.Equal(&before) {
			return errors.New("it has not come")
		}
		return nil
	})
	return time.Since(began)
}

func ready(es *v1.ExternalSecret) bool {
	for _, c := range es.Status.Conditions {
		if c.Type == v1.ConditionReady {
			return c.Status == metav1.ConditionTrue
		}
	}
	return false
}

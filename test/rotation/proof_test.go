package rotation_test

import (
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/test/rotation/collector"
	"github.com/strongkeep/strongkeep/test/rotation/world"
)

// rotations is how many turns the long test does: a few, or as many as
// STRONGKEEP_ROTATIONS says.
func rotations(t *testing.T) int {
	t.Helper()
	n := 5
	if text := os.Getenv("STRONGKEEP_ROTATIONS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			t.Fatalf("STRONGKEEP_ROTATIONS=%q: use a number", text)
		}
	}
	return n
}

// The consumers of most tests: by environment, restarted for it; by file,
// restarted too; and by file, reloading by itself and asked what it uses.
var (
	byEnv  = world.Consumer{Name: "env", Source: "env"}
	byFile = world.Consumer{Name: "file", Source: "file"}
	alive  = world.Consumer{Name: "reloads", Source: "file", Annotations: leftAlone, PodAnnotations: askable}

	leftAlone = map[string]string{"strongkeep.io/reload": "none"}
	askable   = map[string]string{"strongkeep.io/proof-path": "/credential", "strongkeep.io/proof-port": "8080"}
)

// Rotations under load: no query fails, every old user is gone and its password
// useless, every pod has evidence, and the pods that reload by themselves are
// never restarted.
func TestRotationsUnderLoad(t *testing.T) {
	w := world.New(t, "postgres")
	w.Rotation(nil)
	w.Start()
	w.Rotate() // the first turn makes what there is to consume
	w.Consume(byEnv, byFile, alive)
	pods := w.Kubectl("get", "pods", "--selector=app=reloads", "--output=jsonpath={.items[*].metadata.uid}")
	for range rotations(t) {
		turn(t, w, 6)
	}
	if now := w.Kubectl("get", "pods", "--selector=app=reloads", "--output=jsonpath={.items[*].metadata.uid}"); now != pods {
		t.Errorf("pods that reload by themselves were restarted: %s, then %s", pods, now)
	}
	stated(t, w)
	sum := settled(t, w)
	if want := int64(2 * rotations(t)); sum.Reloads < want {
		t.Errorf("%d reloads, want at least %d: %v", sum.Reloads, want, sum)
	}
	if want := 2 + 4*(rotations(t)+1); sum.Pods != want {
		t.Errorf("%d pods there ever were, want %d: each turn restarts each consumer that needs it once", sum.Pods, want)
	}
}

// The same on MariaDB.
func TestMariaDB(t *testing.T) {
	w := world.New(t, "mariadb")
	w.Rotation(nil)
	w.Start()
	w.Rotate()
	w.Consume(byEnv, alive)
	for range 2 {
		turn(t, w, 4)
	}
	stated(t, w)
	settled(t, w)
}

// turn does one, and checks what must be true after it.
func turn(t *testing.T, w *world.World, pods int) {
	t.Helper()
	oldUser, oldPassword, _ := w.Published()
	s := w.Rotate()
	user, password, version := w.Published()
	if user == oldUser || !slices.Contains(w.UsersOf(), user) {
		t.Errorf("turn %d: the user was %s and is %s", s.Turn, oldUser, user)
	}
	if version != s.Version {
		t.Errorf("turn %d: the vault gives version %s, the status says %s", s.Turn, version, s.Version)
	}
	if has := w.Users(); len(has) != 1 || !has[user] {
		t.Errorf("turn %d: the database has %v, want %s alone", s.Turn, has, user)
	}
	if err := w.Login(oldUser, oldPassword); err == nil {
		t.Errorf("turn %d: the old credential still logs in", s.Turn)
	}
	if err := w.Login(user, password); err != nil {
		t.Errorf("turn %d: the new credential does not log in: %v", s.Turn, err)
	}
	proven(t, s, pods)
	for as := range w.Collector.Users() {
		if as != user {
			t.Errorf("turn %d: an application still logs in as %s", s.Turn, as)
		}
	}
}

// proven checks that there is evidence for each pod.
func proven(t *testing.T, s v1alpha1.RotationStatus, pods int) {
	t.Helper()
	if int(s.Proof.Pods) != pods || s.Proof.PodsProven != s.Proof.Pods || len(s.Proof.Evidence) != pods {
		t.Errorf("turn %d: %d of %d pods proven, with %d entries of evidence; want %d: %s",
			s.Turn, s.Proof.PodsProven, s.Proof.Pods, len(s.Proof.Evidence), pods, world.Brief(s))
	}
	for _, e := range s.Proof.Evidence {
		if !e.Proven || len(e.Has) == 0 || e.Missing != "" {
			t.Errorf("turn %d: evidence of %s: %+v", s.Turn, e.Pod, e)
		}
	}
	if _, message, is := world.Condition(s, v1alpha1.ConditionProven); !is {
		t.Errorf("turn %d: not proven: %s", s.Turn, message)
	}
	if s.Statement == "" {
		t.Errorf("turn %d: there is no statement", s.Turn)
	}
}

// stated checks that each turn has one signed statement, and what it says.
func stated(t *testing.T, w *world.World) {
	t.Helper()
	last := w.Status().Turn
	all := w.Statements(last)
	for i, s := range all {
		if s.Turn != int64(i+1) || s.Rotation != w.Namespace+"/db" || s.Pods.Proven != s.Pods.Total || len(s.Pods.Evidence) != s.Pods.Total {
			t.Errorf("statement %d of %d is of turn %d of %s, with %d of %d pods proven", i+1, last, s.Turn, s.Rotation, s.Pods.Proven, s.Pods.Total)
		}
		if i > 0 && (s.Retired == nil || !s.Retired.Proven || s.Pods.Total == 0 || s.Backend == nil || s.Backend.Old != 0) {
			t.Errorf("turn %d: removed %+v, backend %+v, %d pods", s.Turn, s.Retired, s.Backend, s.Pods.Total)
		}
	}
}

// settled ends the applications and checks that no query ever failed.
func settled(t *testing.T, w *world.World) collector.Totals {
	t.Helper()
	sum := w.Settle()
	t.Log(sum)
	if sum.Failures != 0 || sum.Queries == 0 {
		t.Errorf("want queries, and none that failed: %v", sum)
	}
	return sum
}

package rotation_test

import (
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/testenv/freeze"
	"github.com/strongkeep/strongkeep/test/rotation/world"
)

// phases are those of a turn that goes well.
var phases = []v1alpha1.Phase{
	v1alpha1.PhaseStaging, v1alpha1.PhaseStaged, v1alpha1.PhasePublishing, v1alpha1.PhaseRolling,
	v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing, v1alpha1.PhaseRetiring, v1alpha1.PhaseDone,
}

// A real process is killed at each phase and another goes on: each turn ends as if
// nothing had been. They are not elected, so that none waits for the lease of a
// dead one.
func TestOperatorKilledAtEachPhase(t *testing.T) {
	w := world.New(t, "postgres")
	w.Rotation(nil)
	o := w.SpawnUnelected("")
	w.Rotate()
	w.Consume(byEnv, alive)
	for _, phase := range phases {
		user, _, _ := w.Published()
		n := w.Reach(phase, w.Begin)
		o.Kill()
		o = w.SpawnUnelected("")
		s := w.Ended(n)
		proven(t, s, 4)
		if now, _, _ := w.Published(); now == user || len(w.Users()) != 1 {
			t.Errorf("%s: user %s, then %s; the database has %v", phase, user, now, w.Users())
		}
	}
	stated(t, w)
	settled(t, w)
}

// A leader is killed amid a turn, when the old credential is closed: another is
// elected.
func TestOperatorKilled(t *testing.T) {
	w := world.New(t, "postgres")
	w.Rotation(nil)
	o := w.Spawn()
	w.Rotate()
	w.Consume(byEnv, alive)
	n := w.Reach(v1alpha1.PhaseQuiescing, w.Begin)
	o.Kill()
	w.Spawn() // is elected when the lease of the dead one has run out
	proven(t, w.Ended(n), 4)
	stated(t, w)
	settled(t, w)
}

// The leader is frozen amid a turn, another is elected and ends it; the frozen one
// wakes up, believes itself the leader, and does no harm.
func TestPausedLeader(t *testing.T) {
	w := world.New(t, "postgres")
	w.Rotation(nil)
	first := w.Spawn()
	w.Rotate()
	w.Consume(byEnv, alive)
	n := w.Reach(v1alpha1.PhaseRolling, w.Begin)
	if err := freeze.Stop(first.Pid()); err != nil {
		t.Fatal(err)
	}
	second := w.Spawn()
	s := w.Ended(n)
	proven(t, s, 4)
	user, _, version := w.Published()
	if err := freeze.Continue(first.Pid()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first.Ended: // it finds out that it is no leader any more
	case <-time.After(world.Patience):
		t.Error("a leader that lost its lease goes on")
	}
	if now, _, v := w.Published(); now != user || v != version || w.Status().Turn != n {
		t.Errorf("an ex-leader published %s, version %s; it was %s, version %s", now, v, user, version)
	}
	turn(t, w, 4)
	second.Stop()
	stated(t, w)
	settled(t, w)
}

// The API server hangs amid a turn, longer than a leader keeps its lease: nothing
// is lost, nothing restarts twice.
func TestAPIServerAway(t *testing.T) {
	away := 12 * time.Second
	if rotations(t) >= 50 {
		away = time.Minute
	}
	w := world.New(t, "postgres")
	w.Rotation(nil)
	w.Supervise()
	w.Rotate()
	w.Consume(byEnv, alive)
	for _, phase := range []v1alpha1.Phase{v1alpha1.PhaseRolling, v1alpha1.PhaseQuiescing} {
		before := w.Collector.Totals("env").Pods
		n := w.Reach(phase, w.Begin)
		w.FreezeAPIServer(away)
		proven(t, w.Ended(n), 4)
		if now := w.Collector.Totals("env").Pods; now != before+2 {
			t.Errorf("%s: %d pods were made anew, want 2", phase, now-before)
		}
	}
	stated(t, w)
	settled(t, w)
}

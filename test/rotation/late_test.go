package rotation_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/testenv/freeze"
	"github.com/strongkeep/strongkeep/test/rotation/world"
)

// A leader is frozen when it has announced Close and not yet sent it; another goes
// on. When it is continued it sends Close, since it believes itself the leader:
// it is refused, and changes nothing, whether the turn is over or the old
// credential was opened again amid it.
func TestFrozenBeforeClose(t *testing.T) {
	t.Parallel()
	w := world.New(t, "postgres")
	w.Rotation(nil)
	o := w.Start()
	w.Rotate()
	w.Consume(byEnv, alive)
	o.Stop()

	t.Log("the other ends the turn")
	first, n := frozenBeforeClose(t, w)
	second := w.Start()
	proven(t, w.Ended(n), 4)
	lateClose(t, w, first)
	second.Stop()

	t.Log("the other opens the old credential again, amid the same turn")
	first, n = frozenBeforeClose(t, w)
	w.Ask(v1alpha1.AnnotationHold, "a doubt")
	second = w.Start()
	w.Await("held, and open again", func(s v1alpha1.RotationStatus) bool {
		return s.Turn == n && s.Phase == v1alpha1.PhaseHeld && s.ClosedAt == nil && s.Act == ""
	})
	lateClose(t, w, first)
	if has := w.Users(); len(has) != 2 {
		t.Errorf("the database has %v while the turn is held, want both users", has)
	}
	w.Kubectl("annotate", "rotations", "db", v1alpha1.AnnotationHold+"-")
	w.Await("going on", func(s v1alpha1.RotationStatus) bool { return s.Phase != v1alpha1.PhaseHeld })
	proven(t, w.Ended(n), 4)
	second.Stop()
	stated(t, w)
	settled(t, w)
}

// frozenBeforeClose begins a turn, and returns an operator that stands still
// since the API server has taken its word that it is about to send Close.
func frozenBeforeClose(t *testing.T, w *world.World) (*world.Operator, int64) {
	t.Helper()
	var pid atomic.Int64
	announced := make(chan error, 1)
	first := w.SpawnUnelected(w.Proxied(func(s v1alpha1.RotationStatus) {
		if s.Act != string(rotate.ActClose) {
			return
		}
		if p := pid.Swap(0); p != 0 {
			announced <- freeze.Stop(int(p))
		}
	}))
	pid.Store(int64(first.Pid()))
	n := w.Begin()
	select {
	case err := <-announced:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(world.TurnPatience):
		t.Fatalf("Close was never announced: %s", world.Brief(w.Status()))
	}
	return first, n
}

// lateClose continues an operator until what it sends was refused, and checks
// that nobody was closed for it.
func lateClose(t *testing.T, w *world.World, first *world.Operator) {
	t.Helper()
	refused, before := w.Refusals("close"), fmt.Sprint(w.Users())
	if err := freeze.Continue(first.Pid()); err != nil {
		t.Fatal(err)
	}
	w.Until("the late Close", func() error {
		if w.Refusals("close") == refused {
			return errors.New("it was not refused")
		}
		return nil
	})
	first.Kill()
	after := w.Users()
	for user, open := range after {
		if !open {
			t.Errorf("user %s was closed", user)
		}
	}
	if fmt.Sprint(after) != before {
		t.Errorf("users %v after the late Close, %s before", after, before)
	}
}

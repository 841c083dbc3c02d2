package rotate

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// chaos lets events happen, one before each look of the operator, then calm, and
// wants every invariant to hold all the while and the turn to end.
func chaos(t *testing.T, events []byte) {
	t.Helper()
	w := newWorld()
	var shut, blind, calm bool
	w.gate = func(*world) Gate { return Gate{Open: !shut, Slot: true, Reason: "shut"} }
	w.blind = func(*world) bool { return blind }
	kill := -1
	script := func(w *world) {
		if len(events) == 0 {
			if !calm {
				calm, shut, blind, w.unknown = true, false, false, nil
				w.asks, w.plan.Suspend, w.due = Asks{}, false, false
				for _, l := range w.loads {
					l.crashes, l.crashed = false, false
				}
			}
			w.asks.Resume = w.turn.Phase == v1alpha1.PhaseHeld
			return
		}
		event := events[0]
		events = events[1:]
		x := int(event >> 4)
		w.asks.Resume = false
		switch event & 15 {
		case 1, 2:
			kill = x & 3
		case 3:
			w.asks.Hold = []string{"", "held"}[x&1]
		case 4:
			w.asks.RollBack = x&3 == 0
		case 5:
			w.asks.Leaked = true
		case 6:
			blind = x&1 == 1
		case 7:
			shut = x&1 == 1
		case 8, 9:
			acts := []Act{ActStage, ActPublish, ActRoll, ActClose, ActReopen, ActRestore, ActUnroll, ActRetire, ActDiscard, ActRecord}
			a := acts[x%len(acts)]
			w.fails[a] = append(w.fails[a], failure{again: event&1 == 0, applied: x&1 == 0})
		case 10:
			w.leap += time.Duration(x-8) * time.Hour
		case 11:
			w.loads[x%3].crashes = x > 8
		case 12:
			w.unknown = [][]string{nil, {"cluster b"}}[x&1]
			w.asks.AcceptUnproven = x&2 == 2
		case 13:
			w.asks.Resume = true
		case 14:
			w.asks.Rotate = true
		case 15:
			w.plan.Suspend = x&1 == 1
		}
	}
	ended := w.run(&kill, script, func(w *world) bool {
		return calm && w.turn.Act == NoAct && !w.due && !w.asks.Leaked && !w.asks.Rotate &&
			(w.turn.Phase == v1alpha1.PhaseIdle || w.turn.Phase == v1alpha1.PhaseFailed)
	})
	w.checkLedger()
	if len(w.broken) > 0 {
		t.Fatalf("invariants broken: %v\n%s", w.broken[:min(3, len(w.broken))], strings.Join(w.trace, "\n"))
	}
	if !ended {
		t.Fatalf("the turn has not ended, but is in %s (%s)\n%s", w.turn.Phase, w.why(), strings.Join(w.trace, "\n"))
	}
	for _, l := range w.loads {
		if l.runs != w.readers && w.turn.Phase == v1alpha1.PhaseIdle && w.begun > 0 {
			t.Errorf("%s runs on %d, and readers see %d", l.name, l.runs, w.readers)
		}
	}
}

// TestChaos is chaos of fixed seeds.
func TestChaos(t *testing.T) {
	for seed := range uint64(600) {
		random := rand.New(rand.NewPCG(seed, 4))
		events := make([]byte, 20+random.IntN(80))
		for i := range events {
			if random.IntN(3) > 0 {
				events[i] = byte(random.IntN(256))
			}
		}
		if chaos(t, events); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzDecide(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0x11, 0, 0x03, 0x13})
	f.Add([]byte{0, 0, 0, 0x38, 0x39, 0, 0, 0x04, 0x21, 0, 0x48, 0x49})
	f.Add([]byte{5, 0x17, 0, 0x1b, 0, 0x9b, 0x8a, 0, 0, 0x0e, 0x1c})
	f.Fuzz(func(t *testing.T, events []byte) {
		if len(events) <= 200 {
			chaos(t, events)
		}
	})
}

// A second operator with an old status is refused by its resourceVersion, and
// does nothing.
func TestSecondOperatorWithStaleStatus(t *testing.T) {
	for stop := range 40 {
		w := newWorld()
		kill := -1
		op, ex := &operator{w: w, watched: -1, kill: &kill}, &operator{w: w, watched: -1, kill: &kill}
		for range stop {
			w.pass(min(op.cycle(), 20*time.Second))
		}
		version, stale := w.version, Decide(ex.observe())
		w.pass(min(op.cycle(), 20*time.Second)) // the leader goes on
		done := len(w.acts)
		if w.persist(stale, version) || w.refused != 1 || len(w.acts) != done {
			t.Fatalf("after %d looks a write at resourceVersion %d is taken, which is %d now", stop, version, w.version)
		}
	}
}

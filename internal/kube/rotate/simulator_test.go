package rotate

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// scenario is one story. Each run makes it anew, since stories have memory.
type scenario struct {
	name   string
	tell   func(w *world) func(*world) // sets up; returns what happens meanwhile
	ends   v1alpha1.Phase
	reason string // of the end; empty: any
	cred   int64  // what readers see then
	check  func(t *testing.T, w *world)
}

// at does f once, when the turn is first seen in p.
func at(p v1alpha1.Phase, f func(*world)) func(*world) {
	seen := false
	return func(w *world) {
		if !seen && w.turn.Phase == p {
			seen = true
			f(w)
		}
	}
}

// after does f once, d after the turn was first seen in p.
func after(p v1alpha1.Phase, d time.Duration, f func(*world)) func(*world) {
	seen, did := time.Duration(-1), false
	return func(w *world) {
		if seen < 0 && w.turn.Phase == p {
			seen = w.mono
		}
		if !did && seen >= 0 && w.mono-seen >= d {
			did = true
			f(w)
		}
	}
}

func all(fs ...func(*world)) func(*world) {
	return func(w *world) {
		for _, f := range fs {
			f(w)
		}
	}
}

func nothing(*world) {}

func backAt(p v1alpha1.Phase) scenario {
	return scenario{name: "rollback asked in " + string(p), ends: v1alpha1.PhaseFailed, reason: ReasonBackAsked,
		tell: func(*world) func(*world) {
			return at(p, func(w *world) { w.asks.RollBack = true })
		}}
}

func holdAt(p v1alpha1.Phase) scenario {
	return scenario{name: "hold asked in " + string(p), ends: v1alpha1.PhaseIdle, cred: 1,
		tell: func(*world) func(*world) {
			return all(
				at(p, func(w *world) { w.asks.Hold = "let me look" }),
				after(v1alpha1.PhaseHeld, 2*time.Minute, func(w *world) {
					if !w.creds[0].open {
						w.breach("held, and the old credential is closed")
					}
					w.asks.Hold = ""
				}))
		}}
}

func scenarios() []scenario {
	idle, failed, held := v1alpha1.PhaseIdle, v1alpha1.PhaseFailed, v1alpha1.PhaseHeld
	list := []scenario{
		{name: "success", ends: idle, cred: 1, tell: func(*world) func(*world) { return nothing },
			check: func(t *testing.T, w *world) {
				if !w.creds[0].removed {
					t.Error("the old credential is not removed")
				}
			}},
		{name: "first turn", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.noOld = true
			return nothing
		}, check: func(t *testing.T, w *world) {
			if w.acts["1 Close"]+w.acts["1 Retire"]+w.acts["1 Reopen"] > 0 {
				t.Errorf("acts on an old side that is not there: %v", w.acts)
			}
		}},
		{name: "new pods crash", ends: failed, reason: ReasonConsumersFailing, tell: func(w *world) func(*world) {
			w.loads[1].crashes = true
			return nothing
		}},
		{name: "new pods crash that reload by themselves", ends: failed, reason: ReasonConsumersFailing, tell: func(w *world) func(*world) {
			w.loads[2].crashes = true
			return nothing
		}},
		{name: "consumer fails while watched", ends: failed, reason: ReasonConsumersFailing, tell: func(*world) func(*world) {
			return after(v1alpha1.PhaseQuiescing, 30*time.Second, func(w *world) {
				if w.turn.Phase == v1alpha1.PhaseQuiescing { // else it is too late to go back
					w.loads[0].crashes, w.loads[0].crashed, w.loads[0].to = true, true, 1
				} else {
					w.asks.RollBack = true
				}
			})
		}},
		{name: "first turn, new pods crash, then are mended", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.noOld, w.loads[1].crashes = true, true
			return after(held, 5*time.Minute, func(w *world) {
				w.loads[1].crashes, w.loads[1].crashed, w.loads[1].runs = false, false, 1
			})
		}},
		{name: "never reloads", ends: held, reason: ReasonOverlapLimit, cred: 1, tell: func(w *world) func(*world) {
			w.loads[2].reloads, w.loads[2].never = 0, true
			return nothing
		}},
		{name: "never reloads, restarted by a person", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.loads[2].reloads, w.loads[2].never = 0, true
			return after(held, time.Minute, func(w *world) { w.loads[2].runs = 1 })
		}},
		{name: "never reloads, resumed, held again", ends: held, reason: ReasonOverlapLimit, cred: 1, tell: func(w *world) func(*world) {
			w.loads[2].reloads, w.loads[2].never = 0, true
			return all(after(held, time.Minute, func(w *world) { w.asks.Resume = true }),
				at(v1alpha1.PhaseProving, nothing), func(w *world) {
					if w.asks.Resume && w.turn.Phase != held {
						w.asks.Resume = false
					}
				})
		}},
		{name: "never reloads, accepted", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.loads[2].reloads, w.loads[2].never = 0, true
			return after(held, time.Minute, func(w *world) { w.asks.AcceptUnproven = true })
		}, check: func(t *testing.T, w *world) {
			if !slices.ContainsFunc(w.trace, func(s string) bool { return strings.Contains(s, ReasonAcceptedUnproven) }) {
				t.Error("it is not recorded that a person accepted")
			}
		}},
		{name: "never reloads, rolls back at the limit", ends: failed, reason: ReasonOverlapLimit, tell: func(w *world) func(*world) {
			w.loads[2].reloads, w.loads[2].never = 0, true
			w.plan.AtLimit = v1alpha1.AtLimitRollBack
			return nothing
		}},
		{name: "never reloads, rollback asked while held", ends: failed, reason: ReasonBackAsked, tell: func(w *world) func(*world) {
			w.loads[2].reloads, w.loads[2].never = 0, true
			return after(held, time.Minute, func(w *world) { w.asks.RollBack = true })
		}},
		{name: "proof is impossible", ends: held, reason: ReasonProofImpossible, cred: 1, tell: func(w *world) func(*world) {
			w.loads[2].reloads, w.loads[2].never, w.loads[2].never2 = 0, true, true
			return nothing
		}},
		{name: "secret is immutable", ends: held, reason: ReasonSecretsStuck, tell: func(w *world) func(*world) {
			w.secrets[1].stuck = true
			return nothing
		}, check: func(t *testing.T, w *world) {
			if w.readers != 0 {
				t.Error("published although a Secret cannot follow")
			}
		}},
		{name: "consumers unknown, mended", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.unknown = []string{"cluster b"}
			return after(held, time.Minute, func(w *world) { w.unknown = nil })
		}},
		{name: "consumers unknown while watched", ends: idle, cred: 1, tell: func(*world) func(*world) {
			return all(after(v1alpha1.PhaseQuiescing, 20*time.Second, func(w *world) { w.unknown = []string{"cluster b"} }),
				after(held, time.Minute, func(w *world) { w.unknown = nil }), after(v1alpha1.PhaseRetiring, 0, func(w *world) { w.unknown = nil }))
		}},
		{name: "leak outside windows", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.due, w.asks.Leaked = false, true
			w.gate = func(*world) Gate { return Gate{Slot: true, Reason: "no window is open"} }
			return nothing
		}},
		{name: "leak while staged outside windows", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.gate = func(*world) Gate { return Gate{Slot: true, Reason: "no window is open"} }
			return after(v1alpha1.PhaseStaged, time.Minute, func(w *world) { w.asks.Leaked = true })
		}, check: func(t *testing.T, w *world) {
			if w.begun != 1 {
				t.Errorf("%d turns begun for one leak", w.begun)
			}
		}},
		{name: "approval", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.plan.ManualApproval = true
			return after(v1alpha1.PhaseStaged, 5*time.Minute, func(w *world) { w.asks.Approve = true })
		}},
		{name: "database refuses for a while", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			for _, a := range []Act{ActStage, ActPublish, ActRoll, ActClose, ActRetire, ActRecord} {
				w.fails[a] = []failure{{again: true}, {again: true, applied: true}, {again: true}}
			}
			return nothing
		}},
		{name: "database refuses to stage", ends: failed, reason: ReasonStageFailed, tell: func(w *world) func(*world) {
			w.fails[ActStage] = []failure{{}, {}, {}} // killed operators try again
			return nothing
		}},
		{name: "database refuses to close, resumed", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.fails[ActClose] = []failure{{applied: true}}
			w.fails[ActReopen] = []failure{{}, {}}
			return func(w *world) { w.asks.Resume = w.turn.Phase == held && w.now().Sub(w.turn.Since) > time.Minute }
		}},
		{name: "publish refused, resumed", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.fails[ActPublish] = []failure{{}}
			return func(w *world) { w.asks.Resume = w.turn.Phase == held && w.now().Sub(w.turn.Since) > time.Minute }
		}},
		{name: "publish refused, rollback", ends: failed, tell: func(w *world) func(*world) {
			w.fails[ActPublish] = []failure{{applied: true}, {}, {}}
			return after(held, time.Minute, func(w *world) { w.asks.RollBack = true })
		}},
		{name: "the way back is refused for a while", ends: failed, tell: func(w *world) func(*world) {
			w.fails[ActReopen] = []failure{{}, {}}
			w.fails[ActRestore] = []failure{{again: true}, {applied: true}}
			w.fails[ActDiscard] = []failure{{}}
			return all(at(v1alpha1.PhaseQuiescing, func(w *world) { w.asks.RollBack = true }),
				func(w *world) { w.asks.Resume = w.turn.Phase == held && w.now().Sub(w.turn.Since) > time.Minute })
		}},
		{name: "a person is waited for", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.fails[ActStage] = []failure{{waits: true}, {waits: true}}
			w.fails[ActRetire] = []failure{{waits: true}, {waits: true}}
			return func(w *world) { w.asks.RetireConfirmed = w.turn.Phase == v1alpha1.PhaseRetiring }
		}},
		{name: "retiring is refused for a while", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.fails[ActRetire] = []failure{{}, {}}
			return at(v1alpha1.PhaseRetiring, func(w *world) { w.asks.RollBack, w.asks.Hold = true, "too late" })
		}},
		{name: "windows close midway", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.plan.OverlapMax = 0
			w.gate = func(w *world) Gate { // 50 seconds of each five minutes
				left := w.now().Sub(time.Unix(1_900_000_000, 0)) % (5 * time.Minute)
				return Gate{Open: left < 50*time.Second, Slot: true, Reason: "no window is open", Opens: w.now().Add(5*time.Minute - left)}
			}
			return nothing
		}},
		{name: "freeze midway", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			frozen := false
			w.gate = func(*world) Gate { return Gate{Open: !frozen, Frozen: frozen, Slot: true} }
			return all(at(v1alpha1.PhaseQuiescing, func(*world) { frozen = true }), after(v1alpha1.PhaseQuiescing, 10*time.Minute, func(*world) { frozen = false }))
		}},
		{name: "the API server is away", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.blind = func(w *world) bool { return w.mono/(20*time.Second)%3 == 1 }
			w.plan.Watch = 15 * time.Second
			return nothing
		}},
		{name: "the clock leaps ahead", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.plan.OverlapMax = 0
			return all(at(v1alpha1.PhaseRolling, func(w *world) { w.leap += 2 * time.Hour }), after(v1alpha1.PhaseQuiescing, 5*time.Second, func(w *world) { w.leap += 48 * time.Hour }))
		}},
		{name: "the clock leaps back", ends: idle, cred: 1, tell: func(w *world) func(*world) {
			w.fails[ActClose] = []failure{{again: true}, {again: true}}
			return all(at(v1alpha1.PhaseRolling, func(w *world) { w.leap -= 2 * time.Hour }), at(v1alpha1.PhaseQuiescing, func(w *world) { w.leap -= 48 * time.Hour }))
		}},
		{name: "a secret is edited by hand", ends: idle, cred: 1, tell: func(*world) func(*world) {
			return at(v1alpha1.PhaseProving, func(w *world) { w.secrets[0].holds, w.secrets[0].since = 0, w.mono+30*time.Second })
		}},
		{name: "a consumer comes while watched", ends: idle, cred: 1, tell: func(*world) func(*world) {
			return after(v1alpha1.PhaseQuiescing, 5*time.Second, func(w *world) {
				w.loads = append(w.loads, &workload{name: "new-d", secret: w.secrets[0], runs: w.readers, rolling: true, to: w.readers, until: w.mono + 4*time.Minute})
			})
		}},
		{name: "suspended midway", ends: idle, cred: 1, tell: func(*world) func(*world) {
			return all(at(v1alpha1.PhaseQuiescing, func(w *world) { w.plan.Suspend = true }), after(held, 2*time.Minute, func(w *world) { w.plan.Suspend = false }), after(v1alpha1.PhaseDone, 0, func(w *world) { w.plan.Suspend = false }))
		}},
		{name: "failed, then asked for again", ends: idle, cred: 2, tell: func(*world) func(*world) {
			return all(at(v1alpha1.PhaseStaged, func(w *world) { w.asks.RollBack = true }),
				after(failed, time.Minute, func(w *world) { w.asks.RollBack, w.asks.Rotate = false, true }))
		}},
		{name: "a second turn for a leak of the new one", ends: idle, cred: 2, tell: func(*world) func(*world) {
			return at(v1alpha1.PhaseQuiescing, func(w *world) { w.asks.Leaked = true })
		}},
	}
	for _, p := range []v1alpha1.Phase{v1alpha1.PhaseStaging, v1alpha1.PhaseStaged, v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing} {
		list = append(list, backAt(p), holdAt(p))
	}
	return list
}

// play runs sc with an operator that is killed when kill boundaries are passed;
// it returns how many were passed.
func (sc scenario) play(kill int) (w *world, passed int, ended bool) {
	w = newWorld()
	script := sc.tell(w)
	left := kill
	since := time.Duration(-1)
	ended = w.run(&left, script, func(w *world) bool {
		if w.turn.Phase != sc.ends || w.begun == 0 || w.asks.Leaked || w.asks.Rotate || w.turn.Act != NoAct || sc.cred > w.readers || sc.reason != "" && sc.reason != w.why() {
			since = -1
			return false
		}
		if since < 0 {
			since = w.mono
		}
		// An end is one only if it stays. A hold outlives its limit once more.
		return w.mono-since > 10*time.Minute || sc.ends == v1alpha1.PhaseHeld && w.mono-since > 3*time.Hour
	})
	return w, kill - left, ended
}

func (w *world) why() string {
	if w.turn.Phase == v1alpha1.PhaseHeld {
		return w.turn.HeldFor
	}
	return w.turn.Why
}

func (sc scenario) verify(t *testing.T, kill int) int {
	t.Helper()
	w, passed, ended := sc.play(kill)
	w.checkLedger()
	report := func(format string, args ...any) {
		t.Helper()
		t.Errorf("killed after %d: "+format+"\n%s", append(append([]any{kill}, args...), strings.Join(w.trace, "\n"))...)
	}
	switch {
	case len(w.broken) > 0:
		report("invariants broken: %v", w.broken[:min(len(w.broken), 3)])
	case !ended:
		report("did not end in %s (%s), but %s (%s) with readers on %d", sc.ends, sc.reason, w.turn.Phase, w.why(), w.readers)
	case w.readers != sc.cred:
		report("readers see credential %d, want %d", w.readers, sc.cred)
	case sc.ends == v1alpha1.PhaseFailed && (!w.creds[0].open || w.creds[1] != nil && !w.creds[1].removed):
		report("after going back the credentials are %+v and %+v", w.creds[0], w.creds[1])
	case sc.ends == v1alpha1.PhaseHeld && !w.creds[0].open:
		report("held, and the old credential is closed")
	}
	if sc.check != nil {
		sc.check(t, w)
	}
	return passed
}

// TestSimulator kills the operator once at every boundary of every story.
func TestSimulator(t *testing.T) {
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			const never = 1 << 30
			boundaries := sc.verify(t, never)
			if t.Failed() {
				return
			}
			if boundaries < 20 {
				t.Fatalf("only %d boundaries: the story tells nothing", boundaries)
			}
			for k := range min(boundaries, 400) {
				if sc.verify(t, k); t.Failed() {
					return
				}
			}
		})
	}
}

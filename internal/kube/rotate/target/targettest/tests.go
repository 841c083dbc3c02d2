package targettest

import (
	"fmt"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Every turn leaves a new credential and nothing of the old one.
func testForward(r *run) {
	old, had := r.read()
	for number := int64(1); number <= 4; number++ {
		before := r.do(stage, number)
		if c, ok := r.read(); c != old || ok != had {
			r.Errorf("turn %d: staging changed what readers see", number)
		}
		if before.Turn != number {
			r.Errorf("turn %d: the state after staging has turn %d", number, before.Turn)
		}
		fresh := r.published(number, before, old)
		r.works("published, overlapping:", old, had)
		r.forwardEnd(number, fresh, old, had)
		old, had = fresh, true
	}
}

// published publishes the new side and returns what readers see then.
func (r *run) published(number int64, before target.State, old Credential) Credential {
	r.Helper()
	after := r.do(publish, number)
	fresh, ok := r.read()
	if !ok || fresh.Secret == old.Secret {
		r.Fatalf("turn %d: publishing shows readers nothing new", number)
	}
	if after.Version == "" || after.Version == before.Version || after.Location == "" || after.Changed.IsZero() {
		r.Errorf("turn %d: the state after publishing is %+v, before it %+v", number, after, before)
	}
	r.works("published:", fresh, true)
	return fresh
}

// forwardEnd closes the old one, opens and closes it again, and retires it.
func (r *run) forwardEnd(number int64, fresh, old Credential, had bool) {
	r.Helper()
	r.do(closing, number)
	r.works("closed, the new one:", fresh, true)
	r.works("closed:", old, had && r.NeverCloses)
	r.do(reopen, number)
	r.works("reopened:", old, had)
	r.works("reopened, the new one:", fresh, true)
	r.do(closing, number)
	r.do(retire, number)
	r.works("retired:", old, false)
	r.works("retired, the new one:", fresh, true)
	if c, _ := r.read(); c != fresh {
		r.Errorf("turn %d: retiring the old one changed the new one", number)
	}
}

// A turn that goes back leaves the old credential and nothing of the new one;
// the next turn begins from there.
func testBack(r *run) {
	old := r.turn(1)
	r.do(stage, 2)
	first := r.do(publish, 2)
	fresh, _ := r.read()
	second := r.do(restore, 2)
	if c, _ := r.read(); c != old {
		r.Error("publishing the old one again shows readers something else")
	}
	if first.Version == second.Version {
		r.Errorf("both sides are version %q", first.Version)
	}
	r.do(publish, 2) // and on again: nothing is spent
	if c, _ := r.read(); c != fresh {
		r.Error("publishing the new one again shows readers something else")
	}
	r.do(closing, 2)
	r.do(reopen, 2)
	r.do(restore, 2)
	r.works("restored:", old, true)
	r.do(discard, 2)
	r.works("discarded, the old one:", old, true)
	r.works("discarded:", fresh, false)
	if c, _ := r.read(); c != old {
		r.Error("retiring the new one changed what readers see")
	}
	for _, a := range []act{stage, publish, closing, retire} {
		r.refused("after going back", a, 2, Rotation, errs.Conflict)
	}
	r.works("the turn after:", r.turn(3), true)
	r.works("the turn after:", old, false)
}

func testDiscard(r *run) {
	old := r.turn(1)
	r.do(stage, 2)
	r.do(discard, 2)
	if c, _ := r.read(); c != old {
		r.Error("a turn that published nothing changed what readers see")
	}
	r.works("discarded:", old, true)
	r.turn(3)
}

// The first turn of all has nothing to go back to but what there was.
func testFirstBack(r *run) {
	old, had := r.read()
	r.do(stage, 1)
	r.do(publish, 1)
	fresh, _ := r.read()
	r.do(restore, 1)
	if c, ok := r.read(); c != old || ok != had {
		r.Error("after going back readers do not see what they saw")
	}
	r.do(discard, 1)
	r.works("discarded:", fresh, false)
	r.turn(2)
}

// An act of another turn than the present one is refused.
func testTurns(r *run) {
	for _, a := range []act{publish, restore, closing, reopen, retire} {
		r.refused("before any turn", a, 1, Rotation, errs.Conflict)
	}
	r.refused("turns begin at 1", stage, 0, Rotation, errs.Invalid, errs.Conflict)
	r.turn(1)
	r.do(stage, 2)
	for _, a := range []act{stage, publish, restore, closing, reopen, retire, discard} {
		r.refused("the turn before", a, 1, Rotation, errs.Conflict)
		r.refused("the turn after", a, 3, Rotation, errs.Conflict)
	}
	r.do(publish, 2)
	for _, a := range []act{stage, closing, retire} {
		r.refused("the turn before", a, 1, Rotation, errs.Conflict)
		r.refused("the turn after", a, 3, Rotation, errs.Conflict)
	}
	r.do(closing, 2)
	r.do(retire, 2)
	for _, a := range []act{restore, reopen, discard} {
		r.refused("after the end", a, 2, Rotation, errs.Conflict)
	}
	r.do(stage, 2) // what is over stays over
	r.do(publish, 2)
}

// While one Rotation turns a credential, no other one may.
func testHolders(r *run) {
	r.turn(1)
	r.do(stage, 2)
	const other = "team/other"
	for _, a := range []act{stage, publish, restore, closing, reopen, retire, discard} {
		r.refused("another Rotation", a, 2, other, errs.Conflict)
		r.refused("another Rotation", a, 3, other, errs.Conflict)
	}
	r.do(publish, 2)
}

// What would leave readers with something that does not work is refused.
func testGuards(r *run) {
	old := r.turn(1)
	r.do(stage, 2)
	r.refused("readers see the old one", closing, 2, Rotation, errs.Conflict, errs.Invalid)
	r.refused("readers see the old one", retire, 2, Rotation, errs.Conflict, errs.Invalid)
	r.works("after that:", old, true)
	r.do(publish, 2)
	fresh, _ := r.read()
	r.refused("readers see the new one", discard, 2, Rotation, errs.Conflict, errs.Invalid)
	r.works("after that:", fresh, true)
	r.do(restore, 2)
	r.refused("readers see the old one again", closing, 2, Rotation, errs.Conflict, errs.Invalid)
	r.refused("readers see the old one again", retire, 2, Rotation, errs.Conflict, errs.Invalid)
	r.works("after that:", old, true)
}

// An act that an operator announced, was stopped, and sends when others have gone
// on is refused, and changes nothing, also amid the same turn.
func testLate(r *run) {
	at := func(fence int64, a act) { r.fence = fence; r.do(a, 2) }
	late := func(what string, fences []int64, all ...act) {
		for _, r.fence = range fences {
			for _, a := range all {
				r.refused(what, a, 2, Rotation, errs.Conflict)
			}
		}
	}
	r.fence = 9
	old := r.turn(1)
	at(1, stage) // numbers count for one turn
	at(2, publish)
	fresh, _ := r.read()
	at(3, closing)
	at(4, reopen)
	late("a close that was overtaken by a reopen", []int64{3, 1, 0}, closing, restore, retire, discard, stage)
	r.works("after a late close:", old, true)
	at(5, closing)
	late("a reopen that was overtaken by a close", []int64{4, 0}, reopen)
	r.works("after a late reopen:", old, r.NeverCloses)
	at(6, reopen)
	at(7, restore)
	late("a publication that was taken back", []int64{2, 6}, publish)
	at(8, publish)
	late("a restoration that was overtaken", []int64{7}, restore)
	if c, _ := r.read(); c != fresh {
		r.Error("after late acts readers see something else")
	}
	at(9, closing)
	at(10, retire)
	r.works("retired:", old, false)
	r.works("retired, the new one:", fresh, true)
	r.fence = 1
	r.turn(3)
}

// A turn that was given up before it was staged is not staged by who wakes up
// later, and the next one is not kept waiting.
func testNeverStaged(r *run) {
	old := r.turn(1)
	r.fence = 2
	r.do(discard, 2)
	r.fence = 1
	r.refused("given up before", stage, 2, Rotation, errs.Conflict)
	r.fence = 3
	r.refused("given up before", stage, 2, Rotation, errs.Conflict)
	if c, _ := r.read(); c != old {
		r.Error("a turn that never was changed what readers see")
	}
	r.works("a turn that never was:", old, true)
	r.turn(3)
}

// observe returns what an Observer says; ok is false for who is none.
func (r *run) observe() (target.State, bool) {
	r.Helper()
	o, ok := r.open(Rotation).(target.Observer)
	if !ok {
		return target.State{}, false
	}
	state, err := o.Observe(r.Context())
	if err != nil {
		r.Errorf("observing: %v", err)
	}
	return state, true
}

// Observing tells what the acts told, and asking who uses what changes nothing.
func testObserver(r *run) {
	if before, _ := r.observe(); before.Turn != 0 {
		r.Errorf("before any turn the target knows of turn %d", before.Turn)
	}
	r.turn(1)
	for _, a := range []act{stage, publish, restore} {
		told := r.do(a, 2)
		seen, ok := r.observe()
		if ok && (seen.Version != told.Version || seen.Turn != told.Turn || seen.Location != told.Location || !seen.Changed.Equal(told.Changed)) {
			r.Errorf("observed %+v, %v gave %+v", seen, a, told)
		}
		w, ok := r.open(Rotation).(target.Witness)
		if !ok {
			continue
		}
		sessions, err := w.Sessions(r.Context(), target.Turn{Number: 2, Rotation: Rotation})
		if err != nil {
			r.Errorf("after %v, asking for sessions: %v", a, err)
		}
		r.note(sessions.Partial)
	}
}

// left names what there is of credentials at the backend.
func (r *run) left() string {
	r.Helper()
	if r.Left == nil {
		return ""
	}
	return strings.Join(r.Left(r.T), ", ")
}

// A rehearsal changes nothing that anybody sees, leaves nothing behind, and the
// next turn goes on as ever.
func testRehearser(r *run) {
	r.turn(1)
	m, ok := r.open(Rotation).(target.Rehearser)
	if !ok {
		return
	}
	before, _ := r.read()
	had := r.left()
	if r.Before != nil {
		r.Before(r.T, 2)
	}
	lines, err := m.Rehearse(r.Context(), target.Turn{Number: 2, Rotation: Rotation})
	r.note(strings.Join(lines, "\n"))
	if err != nil || len(lines) == 0 {
		r.Errorf("rehearsing: %q, %v", lines, err)
	}
	if c, _ := r.read(); c != before {
		r.Error("rehearsing changed what readers see")
	}
	if has := r.left(); has != had {
		r.Errorf("rehearsing left %q where there was %q", has, had)
	}
	r.works("rehearsed:", before, true)
	r.turn(3) // the number of a rehearsal is used up
}

// A rehearsal that is broken off at any of its requests leaves nothing that the
// one who asked cannot remove by retiring its turn, and is in nobody's way.
func testRehearsalFaults(r *run) {
	number := int64(1)
	r.turn(number)
	if _, ok := r.open(Rotation).(target.Rehearser); !ok {
		return
	}
	before, _ := r.read()
	had := r.left()
	for _, behind := range []bool{false, true} {
		for at, hit := 0, true; hit; at++ {
			number++
			r.faults = &faults{at: at, behind: behind}
			hit = r.brokenOff(number)
			if c, _ := r.read(); c != before || r.left() != had {
				r.Fatalf("request %d lost, behind its effect: %v: there is %q where there was %q", at, behind, r.left(), had)
			}
		}
	}
	r.works("rehearsed:", before, true)
	r.turn(number + 1)
}

// brokenOff rehearses with one request lost, and removes what that has left. It
// returns whether one was.
func (r *run) brokenOff(number int64) (hit bool) {
	r.Helper()
	turn := target.Turn{Number: number, Rotation: Rotation}
	lines, err := r.open(Rotation).(target.Rehearser).Rehearse(r.Context(), turn)
	hit, r.faults = r.faults.hit, nil
	r.note(fmt.Sprintf("%v %v", lines, err))
	if !hit && err != nil && r.Before == nil {
		r.Errorf("rehearsing as turn %d: %v", number, err)
	}
	if seen, ok := r.observe(); ok && seen.Turn != number {
		return hit
	}
	if err := r.open(Rotation).Retire(r.Context(), turn, target.New); err != nil && !target.IsPending(err) {
		r.Errorf("removing what a rehearsal has left: %v", err)
	}
	return hit
}

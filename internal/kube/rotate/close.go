package rotate

import (
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// grace is how long, beside the watch time once more, a consumer that came while
// the old credential was closed may take to be proven.
const grace = 2 * time.Minute

// quiescing closes the old credential and watches.
func quiescing(o Observed) Step {
	if o.Turn.Act == ActReopen {
		return reopening(o)
	}
	if !o.Turn.Closed.IsZero() {
		return watching(o)
	}
	s, res := do(o, ActClose, Step{Reason: ReasonClosing, Message: "the old credential is closed, so that it can be opened again"})
	if res == done {
		return o.here(Step{Did: ActClose, Reason: ReasonWatching, After: soon,
			Message: "the old credential is closed; it is watched for " + o.Plan.Watch.String()})
	}
	if !mayClose(o) { // it was so when it was announced, and is not now
		return reopening(o)
	}
	if res == broken {
		return o.hold(ReasonActFailed, s.Message)
	}
	return s
}

// mayClose reports whether everything that Proving asks for is still so.
func mayClose(o Observed) bool {
	reason, _ := obstacle(o)
	return reason == "" && settled(o) && gateOpen(o)
}

func settled(o Observed) bool { return confirmed(o) && rolled(o) && shown(o) }

// reopening goes back from Quiescing to Proving.
func reopening(o Observed) Step {
	s, res := do(o, ActReopen, Step{Reason: ReasonReopening, Message: "the old credential is opened again: " + unshown(o)})
	switch res {
	case done:
		return o.to(v1alpha1.PhaseProving, Step{Did: ActReopen, Reason: ReasonReopened, Message: "the old credential is open again; " + unshown(o)})
	case broken:
		return o.hold(ReasonReopenFailed, s.Message+"; the old credential may still be closed")
	}
	return s
}

// watching waits with the old credential closed. Consumers that fail are seen
// to by forward.
func watching(o Observed) Step {
	if reason, text := obstacle(o); reason != "" {
		return o.hold(reason, text)
	}
	if left := o.Plan.Watch - o.Watched; left > 0 {
		return o.here(Step{Reason: ReasonWatching, Message: "the old credential is closed and watched; " + unshown(o), After: max(min(left, poll), soon)})
	}
	if !settled(o) {
		if o.Watched < 2*o.Plan.Watch+grace {
			return o.here(Step{Reason: ReasonProving, Message: "watched long enough, but consumers came that are not proven; " + unshown(o), After: poll})
		}
		return reopening(o)
	}
	if o.Gate.Frozen {
		return gateShut(o)
	}
	return o.to(v1alpha1.PhaseRetiring, o.accepting(Step{Act: ActRetire, Reason: ReasonRetiring, Message: "nobody missed the old credential; it is removed"}))
}

// retiring only goes on, but begins no try in a freeze.
func retiring(o Observed) Step {
	if len(o.Blind) > 0 {
		return o.blind()
	}
	if o.Gate.Frozen && !(o.Act.Act == ActRetire && o.Act.Number == o.Turn.Number && o.Act.Done) {
		s := gateShut(o)
		s.Act, s.Later = o.Turn.Act, true
		return s
	}
	s, res := insist(o, ActRetire, Step{Reason: ReasonRetiring, Message: "the old credential is removed, and tried"})
	switch res {
	case done:
		return o.to(v1alpha1.PhaseDone, Step{Did: ActRetire, Act: ActRecord, Reason: ReasonRetired, Message: "the old credential is removed and does not log in"})
	case broken:
		s.Reason, s.Next = ReasonRetireFails, nextStatus
		s.Message += "; the old credential is closed but not known to be removed; it is tried again"
	}
	return s
}

// recording stores the statement. Without it no turn begins, unless for a leak.
func recording(o Observed) Step {
	if len(o.Blind) > 0 {
		return o.blind()
	}
	s, ok := record(o, Step{Reason: ReasonRecording, Message: "the statement of the turn is signed and stored"},
		"the turn is done, but its statement is not stored; it is tried again: ")
	if !ok {
		return s
	}
	return o.to(v1alpha1.PhaseIdle, Step{Did: ActRecord, Reason: ReasonRecorded, Message: "the statement of the turn is stored"})
}

// record returns the step that stores the statement; true when it is stored. s is
// what to say meanwhile, not what it begins with when that fails for good.
func record(o Observed, s Step, not string) (Step, bool) {
	s, res := insist(o, ActRecord, s)
	switch res {
	case done:
		return s, true
	case broken:
		if next, ok := begin(o); ok && next.Begin == CauseLeak {
			next.Message += "; the statement of the turn before is not stored: " + s.Message
			return next, false
		}
		s.Reason, s.Next, s.Message = ReasonRecordMissing, nextStatus, not+s.Message
	}
	return s, false
}

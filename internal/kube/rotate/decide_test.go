package rotate

import (
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fine is a turn in p in which everything is as it should be.
func fine(p v1alpha1.Phase) Observed {
	o := Observed{
		Now: noon, Plan: Plan{NeedComplete: true, NeedBackend: v1alpha1.BackendWhereKnown, OverlapMax: time.Hour, AtLimit: v1alpha1.AtLimitHold, Watch: 10 * time.Minute},
		Turn:    Turn{Number: 3, Known: 3, Seen: true, Phase: p, Since: noon.Add(-time.Minute), Begun: noon.Add(-5 * time.Minute), Cause: CauseSchedule},
		Gate:    Gate{Open: true, Slot: true},
		Secrets: Secrets{Total: 2, Confirmed: 2}, Rolling: Rolling{Total: 2, Done: 2},
		Proof: Proof{Pods: 4, Proven: 4, Backend: true},
	}
	switch p {
	case v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseProving, v1alpha1.PhaseQuiescing, v1alpha1.PhaseRetiring:
		o.Turn.Published = noon.Add(-3 * time.Minute)
	}
	return o
}

// acted says what came of the act announced.
func acted(o *Observed, a Act, out Outcome) {
	out.Act, out.Number, o.Turn.Act = a, o.Turn.Number, a
	if out.Last.IsZero() {
		out.Last = o.Now
	}
	o.Act = out
}

type row struct {
	name   string
	phase  v1alpha1.Phase
	change func(*Observed)
	want   v1alpha1.Phase
	act    Act
	reason string
	says   string // in the message or the command
	check  func(Step) bool
}

func (r row) run(t *testing.T) {
	o := fine(r.phase)
	if r.change != nil {
		r.change(&o)
	}
	s := Decide(o)
	if s.Phase != r.want || s.Act != r.act || s.Reason != r.reason {
		t.Errorf("%s with %s for %s, want %s with %s for %s: %+v", s.Phase, s.Act, s.Reason, r.want, r.act, r.reason, s)
	}
	if !strings.Contains(s.Message+" "+s.Command("team", "db"), r.says) {
		t.Errorf("%q, %q does not say %q", s.Message, s.Command("team", "db"), r.says)
	}
	if r.check != nil && !r.check(s) {
		t.Errorf("%+v", s)
	}
	if s.Message == "" || s.After < 0 {
		t.Errorf("no message, or a time below 0: %+v", s)
	}
}

func isLater(d time.Duration) func(Step) bool {
	return func(s Step) bool { return s.Later && s.After == d }
}

func did(a Act) func(Step) bool { return func(s Step) bool { return s.Did == a } }

const (
	idleP, stagingP, stagedP        = v1alpha1.PhaseIdle, v1alpha1.PhaseStaging, v1alpha1.PhaseStaged
	publishingP, rollingP, provingP = v1alpha1.PhasePublishing, v1alpha1.PhaseRolling, v1alpha1.PhaseProving
	quiescingP, retiringP, doneP    = v1alpha1.PhaseQuiescing, v1alpha1.PhaseRetiring, v1alpha1.PhaseDone
	heldP, backP, failedP           = v1alpha1.PhaseHeld, v1alpha1.PhaseRollingBack, v1alpha1.PhaseFailed
)

func TestDecideAtRest(t *testing.T) {
	for _, r := range []row{
		{"nothing due", idleP, nil, idleP, NoAct, ReasonNothingDue, "no turn", nil},
		{"no phase yet", "", func(o *Observed) { o.Due.Next = noon.Add(30 * time.Minute) }, idleP, NoAct, ReasonNothingDue, "12:30", func(s Step) bool { return s.After == 30*time.Minute }},
		{"far away: clocks leap", idleP, func(o *Observed) { o.Due.Next = noon.Add(3000 * time.Hour) }, idleP, NoAct, ReasonNothingDue, "", func(s Step) bool { return s.After == time.Hour }},
		{"due", idleP, func(o *Observed) { o.Due.Cause = CauseAge }, stagingP, ActStage, ReasonBegun, "Age", func(s Step) bool { return s.Begin == CauseAge }},
		{"asked", idleP, func(o *Observed) { o.Asks.Rotate = true }, stagingP, ActStage, ReasonBegun, "Demand", nil},
		{"leak", idleP, func(o *Observed) { o.Asks.Rotate, o.Asks.Leaked = true, true }, stagingP, ActStage, ReasonBegun, "Leak", nil},
		{"suspended", idleP, func(o *Observed) { o.Asks.Leaked, o.Plan.Suspend = true, true }, idleP, NoAct, ReasonSuspended, "suspend", nil},
		{"refused", idleP, func(o *Observed) { o.Due.Cause, o.Refused = CauseAge, "team/other turns it" }, idleP, NoAct, ReasonRefused, "team/other", nil},
		{"blind", idleP, func(o *Observed) { o.Due.Cause, o.Blind = CauseAge, []string{"the vault: away"} }, idleP, NoAct, ReasonNotObserved, "the vault", nil},
		{"failed stays", failedP, func(o *Observed) {
			o.Turn.Why, o.Turn.WhyText = ReasonStageFailed, "Stage: no"
		}, failedP, NoAct, ReasonStageFailed, "strongkeep rotation start db -n team", nil},
		{"failed, then due", failedP, func(o *Observed) { o.Due.Cause = CauseSchedule }, stagingP, ActStage, ReasonBegun, "", nil},
		{"recorded", doneP, func(o *Observed) { acted(o, ActRecord, Outcome{Done: true}) }, idleP, NoAct, ReasonRecorded, "", did(ActRecord)},
		{"not recorded: no turn", doneP, func(o *Observed) {
			acted(o, ActRecord, Outcome{Failed: "no such mount"})
			o.Due.Cause = CauseSchedule
		}, doneP, ActRecord, ReasonRecordMissing, "no such mount", isLater(5 * time.Minute)},
		{"not recorded, but a leak", doneP, func(o *Observed) {
			acted(o, ActRecord, Outcome{Failed: "no such mount"})
			o.Asks.Leaked = true
		}, stagingP, ActStage, ReasonBegun, "not stored", nil},
		{"a phase of another version", "Dancing", func(o *Observed) { o.Turn.Act = "Dance" }, "Dancing", "Dance", ReasonUnknownPhase, "upgrade", func(s Step) bool { return s.Later }},
	} {
		t.Run(r.name, r.run)
	}
}

func TestDecideStaging(t *testing.T) {
	for _, r := range []row{
		{"announced", stagingP, nil, stagingP, ActStage, ReasonStaging, "", nil},
		{"done", stagingP, func(o *Observed) { acted(o, ActStage, Outcome{Done: true}) }, stagedP, NoAct, ReasonStaged, "", did(ActStage)},
		{"done, of the turn before", stagingP, func(o *Observed) {
			acted(o, ActStage, Outcome{Done: true})
			o.Act.Number = 2
		}, stagingP, ActStage, ReasonStaging, "", nil},
		{"away", stagingP, func(o *Observed) { acted(o, ActStage, Outcome{Failed: "refused", Again: true, Tries: 3}) }, stagingP, ActStage, ReasonActRetried, "refused", isLater(20 * time.Second)},
		{"away for long", stagingP, func(o *Observed) { acted(o, ActStage, Outcome{Failed: "refused", Again: true, Tries: 300}) }, stagingP, ActStage, ReasonActRetried, "", isLater(5 * time.Minute)},
		{"away, time is over", stagingP, func(o *Observed) {
			acted(o, ActStage, Outcome{Failed: "refused", Again: true, Tries: 1, Last: noon.Add(-5 * time.Second)})
		}, stagingP, ActStage, ReasonActRetried, "", func(s Step) bool { return !s.Later }},
		{"the clock went back", stagingP, func(o *Observed) {
			acted(o, ActStage, Outcome{Failed: "refused", Again: true, Tries: 1, Last: noon.Add(time.Hour)})
		}, stagingP, ActStage, ReasonActRetried, "", func(s Step) bool { return !s.Later }},
		{"a person", stagingP, func(o *Observed) { acted(o, ActStage, Outcome{Failed: "paste it", Waits: true}) }, stagingP, ActStage, ReasonAwaitsPerson, "strongkeep rotation provide db -n team", isLater(time.Minute)},
		{"refused", stagingP, func(o *Observed) { acted(o, ActStage, Outcome{Failed: "no such role"}) }, backP, ActDiscard, ReasonStageFailed, "no such role", nil},
		{"rollback", stagingP, func(o *Observed) { o.Asks.RollBack = true }, backP, ActDiscard, ReasonBackAsked, "", nil},
		{"hold", stagingP, func(o *Observed) { o.Asks.Hold = "wait" }, heldP, NoAct, ReasonHoldAsked, "wait", nil},
		{"blind keeps what is announced", stagingP, func(o *Observed) { o.Turn.Act, o.Blind = ActStage, []string{"x"} }, stagingP, ActStage, ReasonNotObserved, "", func(s Step) bool { return s.Later }},
	} {
		t.Run(r.name, r.run)
	}
}

func TestDecideStaged(t *testing.T) {
	for _, r := range []row{
		{"on", stagedP, nil, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"approval", stagedP, func(o *Observed) { o.Plan.ManualApproval = true }, stagedP, NoAct, ReasonAwaitsApproval, "strongkeep rotation approve db -n team", nil},
		{"approved", stagedP, func(o *Observed) { o.Plan.ManualApproval, o.Asks.Approve = true, true }, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"window", stagedP, func(o *Observed) { o.Gate.Open, o.Gate.Opens = false, noon.Add(20*time.Minute) }, stagedP, NoAct, ReasonWindowClosed, "12:20", func(s Step) bool { return s.After == 20*time.Minute }},
		{"leak minds no window", stagedP, func(o *Observed) { o.Gate.Open, o.Turn.Cause = false, CauseLeak }, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"leak minds a freeze", stagedP, func(o *Observed) { o.Gate, o.Turn.Cause = Gate{Frozen: true, Slot: true}, CauseLeak }, stagedP, NoAct, ReasonFrozen, "", nil},
		{"leak reported now", stagedP, func(o *Observed) { o.Gate.Open, o.Asks.Leaked = false, true }, publishingP, ActPublish, ReasonPublishing, "", func(s Step) bool { return s.Cause == CauseLeak && s.Begin == "" }},
		{"leak minds approval", stagedP, func(o *Observed) { o.Plan.ManualApproval, o.Asks.Leaked = true, true }, stagedP, NoAct, ReasonAwaitsApproval, "", nil},
		{"slot", stagedP, func(o *Observed) { o.Gate.Slot = false }, stagedP, NoAct, ReasonNoSlot, "", nil},
		{"stuck", stagedP, func(o *Observed) { o.Secrets.Stuck = []string{"team/pinned: immutable"} }, heldP, NoAct, ReasonSecretsStuck, "team/pinned", nil},
		{"unknown", stagedP, func(o *Observed) { o.Proof.Unknown = []string{"cluster b"} }, heldP, NoAct, ReasonConsumersUnknown, "strongkeep rotation accept-unproven db -n team", nil},
		{"a cluster away", stagedP, func(o *Observed) { o.Proof.Unreached, o.Plan.NeedComplete = []string{"east: refused"}, false }, heldP, NoAct, ReasonClusterUnreached, "east: refused", nil},
		{"a cluster away, accepted", stagedP, func(o *Observed) { o.Proof.Unreached, o.Asks.AcceptUnproven = []string{"east: refused"}, true }, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"clients of the vault unknown and required", stagedP, func(o *Observed) {
			o.Proof.ClientsUnknown, o.Plan.NeedClients = []string{"no right"}, v1alpha1.ClientsRequired
		}, heldP, NoAct, ReasonConsumersUnknown, "strongkeep rotation accept-unproven db -n team", nil},
		{"clients of the vault unknown, first turn", stagedP, func(o *Observed) {
			o.Proof.ClientsUnknown, o.Plan.NeedClients, o.Turn.NoOld = []string{"no right"}, v1alpha1.ClientsRequired, true
		}, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"unknown, known is enough", stagedP, func(o *Observed) { o.Proof.Unknown, o.Plan.NeedComplete = []string{"cluster b"}, false }, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"never", stagedP, func(o *Observed) { o.Proof.Never = []string{"team/web-1: env, and spec.rollout.method is None"} }, heldP, NoAct, ReasonProofImpossible, "method is None", nil},
		{"no backend", stagedP, func(o *Observed) { o.Plan.NeedBackend, o.Proof.Backend = v1alpha1.BackendRequired, false }, heldP, NoAct, ReasonProofImpossible, "WhereKnown", nil},
		{"accepted", stagedP, func(o *Observed) { o.Proof.Never, o.Asks.AcceptUnproven = []string{"web-1"}, true }, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"failing before", stagedP, func(o *Observed) { o.Proof.Failing = []string{"web-1"} }, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"spec became wrong", stagedP, func(o *Observed) { o.Refused = "no such kind" }, heldP, NoAct, ReasonRefused, "no such kind", nil},
	} {
		t.Run(r.name, r.run)
	}
}

func TestDecideShown(t *testing.T) {
	late := func(o *Observed) { o.Secrets.Confirmed, o.Secrets.Late = 1, []string{"team/b: store away"} }
	over := func(o *Observed) { o.Turn.Published = noon.Add(-time.Hour) }
	for _, r := range []row{
		{"publish again after a crash", publishingP, func(o *Observed) { o.Turn.Published, o.Turn.Act = time.Time{}, ActPublish }, publishingP, ActPublish, ReasonPublishing, "", nil},
		{"published", publishingP, func(o *Observed) {
			o.Turn.Published = time.Time{}
			acted(o, ActPublish, Outcome{Done: true})
		}, publishingP, NoAct, ReasonPublished, "", did(ActPublish)},
		{"publish refused", publishingP, func(o *Observed) {
			o.Turn.Published = time.Time{}
			acted(o, ActPublish, Outcome{Failed: "denied"})
		}, heldP, NoAct, ReasonActFailed, "strongkeep rotation resume db -n team", nil},
		{"late", publishingP, late, publishingP, NoAct, ReasonSecretsLate, "store away", nil},
		{"late over the limit", publishingP, func(o *Observed) { late(o); over(o) }, heldP, NoAct, ReasonOverlapLimit, "team/b", nil},
		{"late over the limit, back", publishingP, func(o *Observed) { late(o); over(o); o.Plan.AtLimit = v1alpha1.AtLimitRollBack }, backP, ActRestore, ReasonOverlapLimit, "", nil},
		{"the limit counts from when it was let go on", publishingP, func(o *Observed) { late(o); over(o); o.Turn.Resumed = noon.Add(-time.Minute) }, publishingP, NoAct, ReasonSecretsLate, "", nil},
		{"accepting does not hurry", publishingP, func(o *Observed) { late(o); o.Asks.AcceptUnproven = true }, publishingP, NoAct, ReasonSecretsLate, "", nil},
		{"accepted at the limit", publishingP, func(o *Observed) { late(o); over(o); o.Asks.AcceptUnproven = true }, rollingP, NoAct, ReasonRolling, "", nil},
		{"confirmed", publishingP, nil, rollingP, NoAct, ReasonRolling, "", nil},
		{"roll", rollingP, func(o *Observed) { o.Rolling.Done = 1 }, rollingP, ActRoll, ReasonRolling, "1 of 2", nil},
		{"roll on", rollingP, func(o *Observed) {
			o.Rolling.Done, o.Rolling.Under = 1, []string{"web"}
			acted(o, ActRoll, Outcome{Done: true})
		}, rollingP, ActRoll, ReasonRolling, "web", func(s Step) bool { return !s.Later && s.After == poll }},
		{"no restarts outside windows", rollingP, func(o *Observed) { o.Rolling.Done, o.Gate.Open = 1, false }, rollingP, NoAct, ReasonWindowClosed, "1 of 2", nil},
		{"paused", rollingP, func(o *Observed) { o.Rolling.Waiting = []string{"web: paused"} }, rollingP, ActRoll, ReasonRolling, "paused", nil},
		{"restart failed", rollingP, func(o *Observed) { o.Rolling.Done, o.Rolling.Failed = 1, []string{"web: deadline"} }, backP, ActRestore, ReasonConsumersFailing, "web: deadline", nil},
		{"edited by hand", rollingP, late, publishingP, NoAct, ReasonSecretsLate, "", nil},
		{"rolled", rollingP, nil, provingP, NoAct, ReasonRolled, "", nil},
		{"missing", provingP, func(o *Observed) { o.Proof.Proven, o.Proof.Missing = 3, []string{"web-1"} }, provingP, NoAct, ReasonProving, "3 of 4", nil},
		{"old sessions", provingP, func(o *Observed) { o.Proof.OldSessions = 2 }, provingP, NoAct, ReasonProving, "2 sessions", nil},
		{"old sessions ignored", provingP, func(o *Observed) { o.Proof.OldSessions, o.Plan.NeedBackend = 2, v1alpha1.BackendIgnored }, quiescingP, ActClose, ReasonProven, "", nil},
		{"a pod that nobody counts", provingP, func(o *Observed) { o.Proof.Proven = 3 }, provingP, NoAct, ReasonProving, "", nil},
		{"a new workload", provingP, func(o *Observed) { o.Rolling.Total = 3 }, rollingP, NoAct, ReasonRolling, "", nil},
		{"proven outside windows, over the limit", provingP, func(o *Observed) { over(o); o.Gate.Open = false }, provingP, NoAct, ReasonWindowClosed, "4 of 4", nil},
		{"a client of the vault awaited", provingP, func(o *Observed) { o.Proof.Clients = []string{"token-web: it read version 6 last"} }, provingP, NoAct, ReasonProving, "clients of the vault that do not have it: token-web", nil},
		{"a client of the vault, accepted too early", provingP, func(o *Observed) { o.Proof.Clients, o.Asks.AcceptUnproven = []string{"token-web"}, true }, provingP, NoAct, ReasonProving, "token-web", nil},
		{"a client of the vault at the limit", provingP, func(o *Observed) {
			o.Proof.Clients, o.Turn.Published = []string{"token-web"}, noon.Add(-2*time.Hour)
		}, heldP, NoAct, ReasonOverlapLimit, "token-web", nil},
		{"a client of the vault, nobody waits for them", provingP, func(o *Observed) {
			o.Proof.Clients, o.Plan.NeedClients = []string{"token-web"}, v1alpha1.ClientsIgnored
		}, quiescingP, ActClose, ReasonProven, "", nil},
		{"clients of the vault unknown", provingP, func(o *Observed) { o.Proof.ClientsUnknown = []string{"no right"} }, quiescingP, ActClose, ReasonProven, "clients of the vault itself cannot all be known: no right", nil},
		{"clients of the vault unknown and required", provingP, func(o *Observed) {
			o.Proof.ClientsUnknown, o.Plan.NeedClients = []string{"no right"}, v1alpha1.ClientsRequired
		}, heldP, NoAct, ReasonConsumersUnknown, "set spec.proof.clients to WhereKnown", nil},
		{"a cluster away now", provingP, func(o *Observed) { o.Proof.Unreached, o.Plan.NeedComplete = []string{"east: refused"}, false }, heldP, NoAct, ReasonClusterUnreached, "strongkeep rotation accept-unproven db -n team", nil},
		{"unknown now", provingP, func(o *Observed) { o.Proof.Unknown = []string{"cluster b"} }, heldP, NoAct, ReasonConsumersUnknown, "", nil},
		{"accepted", provingP, func(o *Observed) { o.Asks.AcceptUnproven, o.Proof.Proven, o.Proof.Never = true, 3, []string{"web-1"} }, quiescingP, ActClose, ReasonAcceptedUnproven, "web-1", nil},
		{"accepted, but all is shown", provingP, func(o *Observed) { o.Asks.AcceptUnproven = true }, quiescingP, ActClose, ReasonProven, "", nil},
		{"first, accepted", provingP, func(o *Observed) {
			o.Turn.NoOld, o.Asks.AcceptUnproven, o.Proof.Proven, o.Proof.Never = true, true, 3, []string{"web-1"}
		}, doneP, ActRecord, ReasonAcceptedUnproven, "web-1", nil},
		{"first", provingP, func(o *Observed) { o.Turn.NoOld = true }, doneP, ActRecord, ReasonFirst, "", nil},
		{"first, fails", provingP, func(o *Observed) { o.Turn.NoOld, o.Proof.Failing = true, []string{"web-1"} }, heldP, NoAct, ReasonConsumersFailing, "no credential before", nil},
		{"first, rollback", provingP, func(o *Observed) {
			o.Turn.NoOld, o.Asks.RollBack, o.Proof.OldSessions, o.Gate.Open = true, true, 1, false
		}, doneP, ActRecord, ReasonFirst, "", nil},
		{"first, rollback while it waits", provingP, func(o *Observed) { o.Turn.NoOld, o.Asks.RollBack, o.Proof.Proven = true, true, 3 }, provingP, NoAct, ReasonBackRefused, "refused", nil},
		{"new failures", provingP, func(o *Observed) { o.Proof.Failing = []string{"web-1: CrashLoopBackOff"} }, backP, ActRestore, ReasonConsumersFailing, "CrashLoopBackOff", nil},
		{"failures unseen", provingP, func(o *Observed) { o.Proof.Failing, o.Blind = []string{"web-1"}, []string{"x"} }, provingP, NoAct, ReasonNotObserved, "", nil},
	} {
		t.Run(r.name, r.run)
	}
}

func TestDecideClosing(t *testing.T) {
	closed := func(o *Observed) { o.Turn.Closed = noon.Add(-15 * time.Minute); o.Watched = 10 * time.Minute }
	for _, r := range []row{
		{"close", quiescingP, func(o *Observed) { o.Turn.Act = ActClose }, quiescingP, ActClose, ReasonClosing, "", nil},
		{"closed", quiescingP, func(o *Observed) { acted(o, ActClose, Outcome{Done: true}) }, quiescingP, NoAct, ReasonWatching, "10m", did(ActClose)},
		{"proof lost before it is closed", quiescingP, func(o *Observed) { o.Turn.Act, o.Proof.Proven = ActClose, 3 }, quiescingP, ActReopen, ReasonReopening, "", nil},
		{"window over before it is closed", quiescingP, func(o *Observed) { o.Turn.Act, o.Gate.Open = ActClose, false }, quiescingP, ActReopen, ReasonReopening, "", nil},
		{"reopened", quiescingP, func(o *Observed) { acted(o, ActReopen, Outcome{Done: true}) }, provingP, NoAct, ReasonReopened, "", did(ActReopen)},
		{"close refused", quiescingP, func(o *Observed) { acted(o, ActClose, Outcome{Failed: "denied"}) }, heldP, ActReopen, ReasonActFailed, "denied", nil},
		{"watching", quiescingP, func(o *Observed) { closed(o); o.Watched = time.Minute }, quiescingP, NoAct, ReasonWatching, "", nil},
		{"nobody watched: a restart", quiescingP, func(o *Observed) { closed(o); o.Watched = 0 }, quiescingP, NoAct, ReasonWatching, "", nil},
		{"watched", quiescingP, closed, retiringP, ActRetire, ReasonRetiring, "", nil},
		{"watched, outside windows", quiescingP, func(o *Observed) { closed(o); o.Gate.Open = false }, retiringP, ActRetire, ReasonRetiring, "", nil},
		{"watched, frozen", quiescingP, func(o *Observed) { closed(o); o.Gate = Gate{Frozen: true} }, quiescingP, NoAct, ReasonFrozen, "", nil},
		{"watched, blind", quiescingP, func(o *Observed) { closed(o); o.Blind = []string{"x"} }, quiescingP, NoAct, ReasonNotObserved, "", nil},
		{"watched, somebody came", quiescingP, func(o *Observed) { closed(o); o.Proof.Pods = 5 }, quiescingP, NoAct, ReasonProving, "", nil},
		{"and stays unproven", quiescingP, func(o *Observed) { closed(o); o.Proof.Pods, o.Watched = 5, time.Hour }, quiescingP, ActReopen, ReasonReopening, "", nil},
		{"accepted for one, another came", quiescingP, func(o *Observed) {
			closed(o)
			o.Asks.AcceptUnproven, o.Proof.Pods, o.Proof.Never, o.Proof.Missing = true, 6, []string{"web-1"}, []string{"web-2"}
		}, quiescingP, NoAct, ReasonProving, "", nil},
		{"accepted for one, a Secret was set back", quiescingP, func(o *Observed) {
			closed(o)
			o.Secrets.Confirmed = 0
			o.Asks.AcceptUnproven, o.Watched = true, time.Hour
		}, quiescingP, ActReopen, ReasonReopening, "", nil},
		{"accepted while it is watched", quiescingP, func(o *Observed) {
			closed(o)
			o.Asks.AcceptUnproven, o.Proof.Proven, o.Proof.Never = true, 3, []string{"web-1"}
		}, retiringP, ActRetire, ReasonAcceptedUnproven, "", nil},
		{"failures", quiescingP, func(o *Observed) { closed(o); o.Proof.Failing = []string{"web-1"} }, backP, ActReopen, ReasonConsumersFailing, "", nil},
		{"failures, half blind", quiescingP, func(o *Observed) { closed(o); o.Proof.Failing, o.Blind = []string{"web-1"}, []string{"x"} }, backP, ActReopen, ReasonConsumersFailing, "", nil},
		{"hold opens it", quiescingP, func(o *Observed) { closed(o); o.Asks.Hold = "wait" }, heldP, ActReopen, ReasonHoldAsked, "", nil},
		{"a cluster away opens it", quiescingP, func(o *Observed) {
			closed(o)
			o.Proof.Unreached, o.Plan.NeedComplete = []string{"east: refused"}, false
		}, heldP, ActReopen, ReasonClusterUnreached, "", nil},
		{"unknown opens it", quiescingP, func(o *Observed) { closed(o); o.Proof.Unknown = []string{"cluster b"} }, heldP, ActReopen, ReasonConsumersUnknown, "", nil},
		{"rollback", quiescingP, func(o *Observed) { closed(o); o.Asks.RollBack = true }, backP, ActReopen, ReasonBackAsked, "", func(s Step) bool { return s.Back == BackWanted }},
		{"retiring, rollback", retiringP, func(o *Observed) { o.Asks.RollBack = true }, retiringP, ActRetire, ReasonBackRefused, "refused", nil},
		{"retiring, hold", retiringP, func(o *Observed) { o.Asks.Hold = "wait" }, retiringP, ActRetire, ReasonRetiring, "", nil},
		{"retire fails", retiringP, func(o *Observed) { acted(o, ActRetire, Outcome{Failed: "still logs in"}) }, retiringP, ActRetire, ReasonRetireFails, "still logs in", isLater(5 * time.Minute)},
		{"retire fails, then a freeze", retiringP, func(o *Observed) {
			acted(o, ActRetire, Outcome{Failed: "away", Again: true})
			o.Gate = Gate{Frozen: true}
		}, retiringP, ActRetire, ReasonFrozen, "", func(s Step) bool { return s.Later }},
		{"retired as a freeze begins", retiringP, func(o *Observed) {
			acted(o, ActRetire, Outcome{Done: true})
			o.Gate = Gate{Frozen: true}
		}, doneP, ActRecord, ReasonRetired, "", did(ActRetire)},
		{"retire by a person", retiringP, func(o *Observed) { acted(o, ActRetire, Outcome{Failed: "remove it", Waits: true}) }, retiringP, ActRetire, ReasonAwaitsPerson, "strongkeep rotation confirm-retired db -n team", isLater(time.Minute)},
		{"retired", retiringP, func(o *Observed) { acted(o, ActRetire, Outcome{Done: true}) }, doneP, ActRecord, ReasonRetired, "", did(ActRetire)},
	} {
		t.Run(r.name, r.run)
	}
}

func TestDecideHeldAndBack(t *testing.T) {
	from := func(p v1alpha1.Phase, reason string) func(*Observed) {
		return func(o *Observed) {
			o.Turn.HeldFrom, o.Turn.HeldFor, o.Turn.HeldText, o.Turn.Published = p, reason, "because", noon.Add(-2*time.Hour)
		}
	}
	and := func(fs ...func(*Observed)) func(*Observed) {
		return func(o *Observed) {
			for _, f := range fs {
				f(o)
			}
		}
	}
	missing := func(o *Observed) { o.Proof.Proven, o.Proof.Missing = 3, []string{"web-1"} }
	back := func(b Back) func(*Observed) {
		return func(o *Observed) {
			o.Turn.Back, o.Turn.Why, o.Turn.WhyText, o.Turn.Resumed = b, ReasonBackAsked, "somebody asked", noon.Add(-time.Minute)
		}
	}
	for _, r := range []row{
		{"act failed waits for a person", heldP, from(publishingP, ReasonActFailed), heldP, NoAct, ReasonActFailed, "because", nil},
		{"resume", heldP, and(from(publishingP, ReasonActFailed), func(o *Observed) { o.Asks.Resume = true }), publishingP, NoAct, ReasonResumed, "", func(s Step) bool { return s.Extend }},
		{"resume, but hold stands", heldP, and(from(publishingP, ReasonActFailed), func(o *Observed) { o.Asks.Resume, o.Asks.Hold = true, "wait" }), heldP, NoAct, ReasonHoldAsked, "wait", nil},
		{"hold ends", heldP, from(rollingP, ReasonHoldAsked), rollingP, NoAct, ReasonResumed, "", func(s Step) bool { return !s.Extend }},
		{"limit, still missing", heldP, and(from(provingP, ReasonOverlapLimit), missing), heldP, NoAct, ReasonOverlapLimit, "web-1", nil},
		{"limit, now shown", heldP, from(provingP, ReasonOverlapLimit), provingP, NoAct, ReasonResumed, "", nil},
		{"limit, accepted", heldP, and(from(provingP, ReasonOverlapLimit), missing, func(o *Observed) { o.Asks.AcceptUnproven = true }), provingP, NoAct, ReasonResumed, "", nil},
		{"blind heals nothing", heldP, and(from(provingP, ReasonOverlapLimit), func(o *Observed) { o.Blind = []string{"x"} }), heldP, NoAct, ReasonOverlapLimit, "because", nil},
		{"opens first", heldP, and(from(quiescingP, ReasonHoldAsked), func(o *Observed) { o.Turn.Act = ActReopen }), heldP, ActReopen, ReasonHoldAsked, "", nil},
		{"goes on from Proving", heldP, from(quiescingP, ReasonHoldAsked), provingP, NoAct, ReasonResumed, "", nil},
		{"rollback", heldP, and(from(rollingP, ReasonOverlapLimit), func(o *Observed) { o.Asks.RollBack = true }), backP, ActRestore, ReasonBackAsked, "", nil},
		{"rollback of what is open again", heldP, and(from(quiescingP, ReasonHoldAsked), func(o *Observed) { o.Asks.RollBack = true }), backP, ActRestore, ReasonBackAsked, "", nil},
		{"failing", heldP, and(from(rollingP, ReasonOverlapLimit), func(o *Observed) { o.Proof.Failing = []string{"web-1"} }), backP, ActRestore, ReasonConsumersFailing, "", nil},
		{"failing, but a person holds it", heldP, and(from(rollingP, ReasonHoldAsked), func(o *Observed) { o.Proof.Failing, o.Asks.Hold = []string{"web-1"}, "mine" }), heldP, NoAct, ReasonHoldAsked, "", nil},
		{"held nowhere", heldP, nil, heldP, NoAct, ReasonUnknownPhase, "", nil},

		{"reopen first", backP, back(BackWanted), backP, ActReopen, ReasonBackAsked, "", nil},
		{"reopen although blind", backP, and(back(BackWanted), func(o *Observed) { o.Blind = []string{"x"} }), backP, ActReopen, ReasonBackAsked, "", nil},
		{"then restore", backP, and(back(BackWanted), func(o *Observed) { acted(o, ActReopen, Outcome{Done: true}) }), backP, ActRestore, ReasonBackAsked, "", did(ActReopen)},
		{"reopen refused is held, and tried on", backP, and(back(BackWanted), func(o *Observed) { acted(o, ActReopen, Outcome{Failed: "denied"}) }), heldP, ActReopen, ReasonReopenFailed, "denied", func(s Step) bool { return s.Later }},
		{"then wait for Secrets", backP, and(back(BackShown), func(o *Observed) { o.Secrets.Confirmed = 1 }), backP, NoAct, ReasonSecretsLate, "", nil},
		{"what is stuck never left", backP, and(back(BackShown), func(o *Observed) { o.Secrets.Confirmed, o.Secrets.Stuck = 1, []string{"b"} }), backP, ActDiscard, ReasonBackAsked, "", nil},
		{"then unroll", backP, and(back(BackShown), func(o *Observed) { o.Rolling.Done = 1 }), backP, ActUnroll, ReasonRolling, "", nil},
		{"unroll outside windows", backP, and(back(BackShown), func(o *Observed) { o.Rolling.Done, o.Gate.Open = 1, false }), backP, ActUnroll, ReasonRolling, "", nil},
		{"not while somebody uses the new one", backP, and(back(BackShown), func(o *Observed) { o.Proof.OldSessions = 1 }), backP, NoAct, ReasonBackAsked, "1 session is", nil},
		{"blind", backP, and(back(BackShown), func(o *Observed) { o.Blind = []string{"x"} }), backP, NoAct, ReasonNotObserved, "", nil},
		{"discard by a person", backP, and(back(BackRolled), func(o *Observed) { acted(o, ActDiscard, Outcome{Failed: "remove it", Waits: true}) }), backP, ActDiscard, ReasonAwaitsPerson, "strongkeep rotation confirm-retired db -n team", isLater(time.Minute)},
		{"a person has confirmed", backP, and(back(BackRolled), func(o *Observed) {
			acted(o, ActDiscard, Outcome{Failed: "remove it", Waits: true})
			o.Asks.RetireConfirmed = true
		}), backP, ActDiscard, ReasonAwaitsPerson, "", isLater(backoffMin)},
		{"then discard", backP, back(BackShown), backP, ActDiscard, ReasonBackAsked, "", func(s Step) bool { return s.Back == BackRolled }},
		{"then the statement", backP, and(back(BackRolled), func(o *Observed) { acted(o, ActDiscard, Outcome{Done: true}) }), backP, ActRecord, ReasonBackAsked, "somebody asked",
			func(s Step) bool { return s.Did == ActDiscard && s.Back == BackCleared && !s.Later }},
		{"never staged: nothing was removed", backP, and(back(BackRolled), func(o *Observed) {
			o.Turn.Known = 2
			acted(o, ActDiscard, Outcome{Failed: "not the present turn"})
		}), backP, ActRecord, ReasonBackAsked, "", func(s Step) bool { return s.Did == NoAct && s.Back == BackCleared && !s.Later }},
		{"the statement, after a restart", backP, and(back(BackCleared), func(o *Observed) { o.Turn.Act = ActRecord }), backP, ActRecord, ReasonBackAsked, "signed and stored", func(s Step) bool { return !s.Later }},
		{"the statement, by an operator that knew none", backP, back(BackCleared), backP, ActRecord, ReasonBackAsked, "", nil},
		{"the statement needs no consumers", backP, and(back(BackCleared), func(o *Observed) { o.Blind = []string{"x"} }), backP, ActRecord, ReasonBackAsked, "", nil},
		{"the statement waits for the vault", backP, and(back(BackCleared), func(o *Observed) {
			acted(o, ActRecord, Outcome{Failed: "sealed", Again: true, Tries: 1})
			o.Due.Cause, o.Asks.Rotate, o.Asks.Leaked = CauseSchedule, true, true
		}), backP, ActRecord, ReasonActRetried, "sealed", isLater(5 * time.Second)},
		{"the statement cannot be made", backP, and(back(BackCleared), func(o *Observed) {
			acted(o, ActRecord, Outcome{Failed: "it lacks x"})
			o.Due.Cause = CauseSchedule
		}), backP, ActRecord, ReasonRecordMissing, "it lacks x", isLater(5 * time.Minute)},
		{"the statement cannot be made, but a leak", backP, and(back(BackCleared), func(o *Observed) {
			acted(o, ActRecord, Outcome{Failed: "it lacks x"})
			o.Asks.Leaked = true
		}), stagingP, ActStage, ReasonBegun, "not stored", nil},
		{"then failed", backP, and(back(BackCleared), func(o *Observed) { acted(o, ActRecord, Outcome{Done: true}) }), failedP, NoAct, ReasonBackAsked, "somebody asked", did(ActRecord)},
		{"discard refused", backP, and(back(BackRolled), func(o *Observed) { acted(o, ActDiscard, Outcome{Failed: "denied"}) }), heldP, NoAct, ReasonActFailed, "denied", nil},
		{"stuck on the way", backP, and(back(BackShown), missing, func(o *Observed) { o.Turn.Resumed = noon.Add(-time.Hour) }), heldP, NoAct, ReasonOverlapLimit, "web-1", nil},
	} {
		t.Run(r.name, r.run)
	}
}

package rotate

import (
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Observed is everything that a decision depends on.
type Observed struct {
	Now  time.Time
	Plan Plan
	Turn Turn
	Asks Asks
	Due  Due
	// Blind says what could not be asked just now, such as "the vault: connection
	// refused". While it is not empty nothing is decided that depends on it: the
	// phase stays as it is.
	Blind []string
	// Refused is why this Rotation may not work at all: the credential is another's,
	// or the spec cannot be meant. Empty when it may.
	Refused string
	Gate    Gate
	// Act is what came of the act last announced.
	Act     Outcome
	Secrets Secrets
	Rolling Rolling
	Proof   Proof
	// Watched is for how long this process has watched the closed credential by a
	// clock that does not leap (time.Since), with nothing blind in between: 0 after a
	// restart, after a blind look and while it is not closed. Removing waits for it,
	// so that time in which nobody looked does not count.
	Watched time.Duration
}

// Plan is what the Rotation's spec comes to, defaults filled in.
type Plan struct {
	Suspend        bool
	ManualApproval bool
	NeedComplete   bool
	NeedBackend    v1alpha1.BackendProof
	NeedClients    v1alpha1.ClientProof
	Method         v1alpha1.RolloutMethod
	OverlapMax     time.Duration // 0: no limit
	AtLimit        v1alpha1.AtLimit
	Watch          time.Duration
}

// Turn is where the turn is, as the status has it. Turn.Take says how it changes.
type Turn struct {
	Number int64
	// Known is the last turn that the target knows of; the next one is above it.
	Known int64
	// Seen: Known is what the target says. A webhook cannot be asked.
	Seen bool
	// NoOld: nothing was published before this turn, so that there is nothing to
	// close or to go back to.
	NoOld    bool
	Cause    string // one of the causes
	Phase    v1alpha1.Phase
	HeldFrom v1alpha1.Phase
	// HeldFor and HeldText are reason and message of the condition, while held.
	HeldFor, HeldText string
	Act               Act // announced
	Back              Back
	Since             time.Time // when Phase was entered
	Begun             time.Time
	Published         time.Time // zero: not known to be
	Closed            time.Time // zero: open, or not known to be closed
	Resumed           time.Time // when a person let it go on, or it turned back; limits count from then
	Staged            time.Time // zero: no login with the new one is known to have succeeded
	// Retired is when the target said that the credential that went is removed: the old
	// one, or on the way back the new one. Zero: it has not.
	Retired time.Time
	Ended   time.Time // when nothing but the statement was left to do
	// Why it went back: a reason and a text, until the next turn begins.
	Why, WhyText string
}

// Asks are the requests of people. Rotate and Leaked are true until a Step has
// that Cause; the others for as long as their annotation stands and names this
// turn (Resume: this turn and this Held's Since).
type Asks struct {
	Rotate, Leaked  bool // Leaked only if the schedule says onLeak; a Begin honours both
	Approve         bool
	Hold            string // a reason
	Resume          bool
	RollBack        bool
	AcceptUnproven  bool
	RetireConfirmed bool
}

// The causes of a turn.
const (
	CauseSchedule = "Schedule"
	CauseInterval = "Interval"
	CauseAge      = "Age"
	CauseDemand   = "Demand"
	CauseLeak     = "Leak"
)

// Due says whether a turn should begin.
type Due struct {
	Cause string    // empty: not now
	Next  time.Time // zero: by schedule never
}

// Gate says whether consumers and the old credential may be touched now.
type Gate struct {
	Open   bool
	Reason string    // why not
	Opens  time.Time // zero: not known
	// Frozen: it is closed by a freeze, which holds after a leak too.
	Frozen bool
	// Slot: fewer turns have consumers restarted than the operator allows.
	Slot bool
}

// Act is something with an effect. It is announced in the status before it is
// done, and may be done again.
type Act string

// The acts. What they mean to a credential is target.Target's.
const (
	NoAct      Act = ""
	ActStage   Act = "Stage"
	ActPublish Act = "Publish"
	ActRoll    Act = "Roll" // restart those that need it
	ActClose   Act = "Close"
	ActReopen  Act = "Reopen"
	ActRestore Act = "Restore" // publish the old one again
	ActUnroll  Act = "Unroll"  // restart on the old one
	ActRetire  Act = "Retire"
	ActDiscard Act = "Discard" // retire the new one of a turn that went back
	ActRecord  Act = "Record"  // sign and store the statement
)

// Outcome is what came of an act. It is zero when that is not known: after a
// restart, and once a Step with another Act was written. It counts only if Act and
// Number are those of the Turn. Of ActRoll and ActUnroll, which are done again
// until Rolling says that nothing is left, Done means that a round went well.
type Outcome struct {
	Act    Act
	Number int64 // of the turn
	Done   bool
	// Failed is why not; empty while it is not known. Again: worth another try by
	// itself. Waits: somebody must do something first.
	Failed string
	Again  bool
	Waits  bool
	Tries  int
	Last   time.Time
}

// Back is how far a turn is on its way back.
type Back string

// The steps back, in their order. Nothing is undone twice, and what was not
// done is not undone.
const (
	Forward     Back = ""
	BackWanted  Back = "Wanted"
	BackOpen    Back = "Reopened"
	BackShown   Back = "Republished"
	BackRolled  Back = "Rolled"
	BackCleared Back = "Discarded"
)

// Secrets is how far the Secrets are that are fed from the credential: with the
// version that readers are to see, which on the way back is the old one again.
// Rolling and Proof are about that version too.
type Secrets struct {
	Total, Confirmed int
	Late             []string // each with what is known about why
	// Stuck are those that can never hold the version by themselves: immutable,
	// pinned, suspended.
	Stuck []string
}

// Rolling is how far restarts are.
type Rolling struct {
	Total, Done int
	Under       []string // being restarted, or waiting for a slot
	Waiting     []string // paused, or a Job that runs: each with why
	Failed      []string // each with why
}

// Proof is what is shown.
type Proof struct {
	Pods, Proven int
	Missing      []string // pods without proof that may still come
	Never        []string // pods that cannot be proven: each with why and what to do
	Unknown      []string // sources of consumers that could not be asked
	// Unreached are the clusters of the plan that could not be asked, each with why:
	// whoever consumes there is not known, and nothing of it is proven.
	Unreached []string
	// Failing are consumers that do not run since the credential was published;
	// before that, Failing was so already, and is not held against the turn. While the
	// old credential is closed this is how those show whom the backend refuses: no
	// database that is built in tells of refused logins.
	Failing []string
	// Backend: whether the target sees sessions, as is known from Staged on
	// (target.Witness). OldSessions are those of the
	// credential that is to go: on the way back, the new one.
	Backend bool
	// BackendLacks says why it does not, for people; empty where that is not known.
	BackendLacks string
	OldSessions  int
	// Clients of the vault itself that live and read last what is to go, each with what
	// to do. They may still come.
	Clients []string
	// ClientsUnknown says why the vault cannot name them all.
	ClientsUnknown []string
}

// Step is what is to be done now.
type Step struct {
	Phase    v1alpha1.Phase
	HeldFrom v1alpha1.Phase // with PhaseHeld
	Back     Back
	Act      Act // to be announced, then done; NoAct: wait
	// Later: Act stays announced, but is not done now.
	Later bool
	// Did is the act announced before, now known to be done.
	Did   Act
	Begin string // the cause, when a new turn begins
	// Cause, when that of the turn under way changes: a leak was reported.
	Cause string
	// Extend: limits count from now: a person let the turn go on, or it turned back.
	Extend  bool
	Reason  string // CamelCase, for the condition
	Message string
	Next    string // the command that goes on, for who reads; empty when none is needed
	// After: look again no later than that; 0 means when something changes.
	After time.Duration
}

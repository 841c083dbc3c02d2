package rotate

import "strings"

// Reasons of conditions and of the timeline.
const (
	// No turn is under way.
	ReasonNothingDue = "NothingDue"
	ReasonSuspended  = "Suspended"
	ReasonRefused    = "Refused"
	ReasonBegun      = "Begun"
	ReasonTurnFailed = "TurnFailed" // of the condition Ready

	// A turn goes on by itself.
	ReasonStaging       = "Staging"
	ReasonStaged        = "Staged"
	ReasonPublishing    = "Publishing"
	ReasonPublished     = "Published"
	ReasonSecretsLate   = "SecretsLate"
	ReasonRolling       = "Rolling"
	ReasonRolled        = "Rolled"
	ReasonProving       = "Proving"
	ReasonProven        = "Proven"
	ReasonClosing       = "Closing"
	ReasonWatching      = "Watching"
	ReasonReopening     = "Reopening"
	ReasonReopened      = "Reopened"
	ReasonRetiring      = "Retiring"
	ReasonRetired       = "Retired"
	ReasonRecording     = "Recording"
	ReasonRecorded      = "Recorded"
	ReasonResumed       = "Resumed"
	ReasonDiscarded     = "Discarded"
	ReasonNotObserved   = "NotObserved"
	ReasonActRetried    = "ActRetried"
	ReasonWindowClosed  = "WindowClosed"
	ReasonFrozen        = "Frozen"
	ReasonNoSlot        = "TooManyTurns"
	ReasonUnknownPhase  = "UnknownPhase"
	ReasonFirst         = "NothingToClose"
	ReasonRecordMissing = "StatementNotStored"

	// Somebody must do something; the turn waits where it is.
	ReasonAwaitsApproval = "AwaitsApproval"
	ReasonAwaitsPerson   = "AwaitsPerson"
	ReasonRetireFails    = "RetireFails"
	ReasonBackRefused    = "RollBackRefused"

	// Held.
	ReasonHoldAsked        = "HoldAsked"
	ReasonActFailed        = "ActFailed"
	ReasonReopenFailed     = "ReopenFailed"
	ReasonSecretsStuck     = "SecretsStuck"
	ReasonConsumersUnknown = "ConsumersUnknown"
	ReasonClusterUnreached = "ClusterUnreached"
	ReasonProofImpossible  = "ProofImpossible"
	ReasonOverlapLimit     = "OverlapLimit"

	// Going back; ReasonOverlapLimit and ReasonConsumersFailing too.
	ReasonBackAsked        = "RollBackAsked"
	ReasonStageFailed      = "StageFailed"
	ReasonConsumersFailing = "ConsumersFailing"

	// The old credential is closed although not everything is shown.
	ReasonAcceptedUnproven = "AcceptedUnproven"
)

// rotation is the place of the Rotation's name in a command.
const rotation = "{rotation}"

// The commands that go on.
const (
	nextStatus  = "strongkeep rotation status " + rotation
	nextStart   = "strongkeep rotation start " + rotation
	nextApprove = "strongkeep rotation approve " + rotation
	nextAccept  = "strongkeep rotation accept-unproven " + rotation
	nextResume  = "strongkeep rotation resume " + rotation
	nextProvide = "strongkeep rotation provide " + rotation
	nextRetired = "strongkeep rotation confirm-retired " + rotation

	nextUnpause = "kubectl patch rotation.strongkeep.io " + rotation + ` --type=merge -p '{"spec":{"suspend":false}}'`
	nextEdit    = "kubectl edit rotation.strongkeep.io " + rotation
)

// Command returns Next for the Rotation of that name; empty when none is needed.
func (s Step) Command(namespace, name string) string {
	return strings.ReplaceAll(s.Next, rotation, name+" -n "+namespace)
}

// nextOfHeld is the command that goes on from a hold.
func nextOfHeld(reason string) string {
	switch reason {
	case ReasonSuspended:
		return nextUnpause
	case ReasonRefused:
		return nextEdit
	case ReasonConsumersUnknown, ReasonClusterUnreached, ReasonProofImpossible, ReasonSecretsStuck, ReasonOverlapLimit:
		return nextAccept
	case ReasonConsumersFailing, ReasonReopenFailed:
		return nextStatus
	default:
		return nextResume
	}
}

// Refusal is what is said of a Rotation that may not work.
func Refusal(why string) Step { return Step{Message: why, Next: nextOfRefusal(why)} }

// nextOfRefusal is empty where the refusal itself ends with the command.
func nextOfRefusal(why string) string {
	if strings.Contains(why, ": kubectl ") || strings.Contains(why, ": strongkeep ") {
		return ""
	}
	return nextOfHeld(ReasonRefused)
}

// list names the first of names, and says how many more there are.
func list(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + " and " + count(len(names)-most, "more", "more")
}

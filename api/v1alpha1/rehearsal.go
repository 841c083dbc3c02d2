package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RehearseWithPods begins a value of AnnotationTry that asks for shadow pods too.
const RehearseWithPods = "with-pods/"

// RehearsalStatus is what came of a rehearsal: of doing everything up to
// publishing, and of looking at what would come after it.
type RehearsalStatus struct {
	// The value of the annotation strongkeep.io/rehearse that this answers.
	Asked   string       `json:"asked"`
	Verdict TrialVerdict `json:"verdict"`
	// When it began, and when it ended; no time while it goes on.
	// +optional
	Begun *metav1.Time `json:"begun,omitempty"`
	// +optional
	Time *metav1.Time `json:"time,omitempty"`
	// The number of a turn that it used up: the next turn is a later one.
	Turn int64 `json:"turn"`
	// What was tried, and what came of it.
	// +optional
	// +kubebuilder:validation:MaxItems=100
	Lines []string `json:"lines,omitempty"`
	// Who or what would keep a turn from its end; at most 100, the worst first.
	// +optional
	// +kubebuilder:validation:MaxItems=100
	WouldBreak []TrialFinding `json:"wouldBreak,omitempty"`
	// How many there are beside those.
	// +optional
	More int32 `json:"more,omitempty"`
}

// TrialVerdict is what a rehearsal comes to.
//
// +kubebuilder:validation:Enum=Running;WouldSucceed;WouldHold;WouldFail;Unknown;Interrupted
type TrialVerdict string

// The verdicts.
const (
	TrialRunning     TrialVerdict = "Running"
	TrialSucceeds    TrialVerdict = "WouldSucceed" // nothing was found
	TrialHolds       TrialVerdict = "WouldHold"    // a turn would be held until somebody acts
	TrialFails       TrialVerdict = "WouldFail"    // a turn would not begin, or go back
	TrialUnknown     TrialVerdict = "Unknown"      // something could not be asked or tried
	TrialInterrupted TrialVerdict = "Interrupted"  // the operator ended amid it, or a leak was reported
)

// TrialEffect is what a finding would do to a turn.
//
// +kubebuilder:validation:Enum=Fails;Holds;Unknown
type TrialEffect string

// The effects.
const (
	TrialEffectFails   TrialEffect = "Fails"
	TrialEffectHolds   TrialEffect = "Holds"
	TrialEffectUnknown TrialEffect = "Unknown"
)

// TrialFinding is one thing that would keep a turn from its end.
type TrialFinding struct {
	// Such as "Deployment shop/web", "Secret shop/db" or "credential".
	Consumer string      `json:"consumer"`
	Effect   TrialEffect `json:"effect"`
	// CamelCase, such as "ProofImpossible" or "RestartRefused".
	Reason string `json:"reason"`
	// What it is, and what to do.
	Message string `json:"message"`
}

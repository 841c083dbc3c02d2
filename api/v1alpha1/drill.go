package v1alpha1

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Drill breaks on purpose, and for a limited time, how secrets reach one
// workload. It is undone by itself. docs/rotation/drills.md has the guarantees.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={strongkeep}
// +kubebuilder:printcolumn:name="Failure",type=string,JSONPath=`.spec.failure`
// +kubebuilder:printcolumn:name="Kind",type=string,JSONPath=`.spec.workload.kind`,priority=1
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.spec.workload.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Until",type=string,JSONPath=`.status.until`
type Drill struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a drill is not changed: stop it, and make another"
	Spec   DrillSpec   `json:"spec"`
	Status DrillStatus `json:"status,omitempty"`
}

// DrillList is a list of Drills.
//
// +kubebuilder:object:root=true
type DrillList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Drill `json:"items"`
}

// DrillSpec is what a user asks for.
//
// +kubebuilder:validation:XValidation:rule="!has(self.delay) || self.failure == 'SlowSync'",message="delay is for the failure SlowSync"
// +kubebuilder:validation:XValidation:rule="!has(self.delay) || duration(self.delay) < duration(self.duration)",message="delay must be shorter than duration"
// +kubebuilder:validation:XValidation:rule="self.failure != 'SlowSync' || has(self.delay) || duration(self.duration) > duration('10s')",message="delay is 10s when not given, and must be shorter than duration"
// +kubebuilder:validation:XValidation:rule="!has(self.keys) || self.failure == 'CredentialRefused'",message="keys are for the failure CredentialRefused"
type DrillSpec struct {
	// Who is to feel it, in the drill's namespace. Its Secrets must be its alone.
	Workload DrillWorkload `json:"workload"`
	// StoreAway: the ExternalSecrets of its Secrets cannot reach their stores; the
	// Secrets stay as they are. SlowSync: each sync of them takes Delay longer.
	// CredentialRefused: its Secrets hold values that no backend accepts.
	// +kubebuilder:validation:Enum=StoreAway;SlowSync;CredentialRefused
	Failure DrillFailure `json:"failure"`
	// How long, such as "10m"; at most 1h.
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s') && duration(self) <= duration('1h')",message="duration must be between 1s and 1h"
	Duration metav1.Duration `json:"duration"`
	// For SlowSync; 10s when not given.
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1s')",message="delay must be 1s or more"
	Delay *metav1.Duration `json:"delay,omitempty"`
	// For CredentialRefused: the secretKeys of the ExternalSecrets whose values are
	// made wrong. When not given, those that do not name a user, a host or the like.
	// +optional
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Keys []string `json:"keys,omitempty"`
}

// DrillWorkload names a workload in the drill's namespace.
type DrillWorkload struct {
	// +kubebuilder:validation:Enum=Deployment;StatefulSet;DaemonSet
	Kind string `json:"kind"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// DrillFailure is what is broken.
type DrillFailure string

// The failures.
const (
	DrillStoreAway         DrillFailure = "StoreAway"
	DrillSlowSync          DrillFailure = "SlowSync"
	DrillCredentialRefused DrillFailure = "CredentialRefused"
)

// MaxDrill is how long a drill may last. The API server holds it, and so does
// what breaks things.
const MaxDrill = time.Hour

// Labels and annotations of drills.
const (
	// LabelDrills on a namespace, with the value DrillsAllowed, allows drills there.
	LabelDrills   = Group + "/drills"
	DrillsAllowed = "allowed"
	// AnnotationDrillStop on a Drill, with any value, ends it at once.
	AnnotationDrillStop = Group + "/stop"
	// AnnotationDrill is on a Secret whose values a drill has made wrong: the Drill's name.
	AnnotationDrill = Group + "/drill"
)

// DrillPhase is where a Drill is.
type DrillPhase string

// The phases. Refused and Over are for good.
const (
	DrillPending    DrillPhase = "Pending"    // something must be asked first that cannot be asked now
	DrillRunning    DrillPhase = "Running"    // broken, until Status.Until
	DrillUndoing    DrillPhase = "Undoing"    // no longer broken; ExternalSecrets and Secrets are being restored
	DrillRecovering DrillPhase = "Recovering" // restored; the pods are watched
	DrillOver       DrillPhase = "Over"
	DrillRefused    DrillPhase = "Refused" // nothing was broken
)

// Conditions of a Drill.
const (
	ConditionRefused = "Refused" // True: it never began, and why
	ConditionRunning = "Running" // False: why it ended
	ConditionUndone  = "Undone"  // True: nothing is left of it
)

// DrillStatus is what is known. Until is there before anything is broken.
type DrillStatus struct {
	// +optional
	Phase DrillPhase `json:"phase,omitempty"`
	// Why it is where it is, such as "SharedSecret", "TimeIsUp"; the conditions say more.
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Began *metav1.Time `json:"began,omitempty"`
	// When it ends, whoever is there to see it.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// When it was ended, and when everything was restored.
	// +optional
	Ended *metav1.Time `json:"ended,omitempty"`
	// +optional
	Undone *metav1.Time `json:"undone,omitempty"`
	// When the workload was as well again as before. Absent when it was not seen to be.
	// +optional
	Recovered *metav1.Time `json:"recovered,omitempty"`
	// What is broken, and nothing else is.
	// +optional
	// +listType=map
	// +listMapKey=name
	ExternalSecrets []DrilledSecret `json:"externalSecrets,omitempty"`
	// The pods of the workload, those that it hurt first; at most 50.
	// +optional
	Pods []DrilledPod `json:"pods,omitempty"`
	// How many pods were ready when it began.
	// +optional
	ReadyBefore int32 `json:"readyBefore,omitempty"`
	// What was found, in words.
	// +optional
	Findings []string `json:"findings,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// DrilledSecret is an ExternalSecret that a drill breaks.
type DrilledSecret struct {
	Name string `json:"name"`
	// The Secret that it writes.
	Secret string `json:"secret"`
	// When it was first seen not to be ready, and what it said.
	// +optional
	Failed *metav1.Time `json:"failed,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// When its Secret was first seen to hold wrong values.
	// +optional
	Wrong *metav1.Time `json:"wrong,omitempty"`
	// When it was ready again, and its Secret right, after the drill's end.
	// +optional
	Recovered *metav1.Time `json:"recovered,omitempty"`
}

// DrilledPod is a pod of the workload.
type DrilledPod struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
	// Whether it was there when the drill began, and ready.
	// +optional
	Before bool `json:"before,omitempty"`
	// +optional
	ReadyBefore bool `json:"readyBefore,omitempty"`
	// Restarts of its containers before the drill, and since.
	// +optional
	RestartsBefore int32 `json:"restartsBefore,omitempty"`
	// +optional
	Restarts int32 `json:"restarts,omitempty"`
	// When it became unready, and ready again.
	// +optional
	Unready *metav1.Time `json:"unready,omitempty"`
	// +optional
	ReadyAgain *metav1.Time `json:"readyAgain,omitempty"`
	// Why it does not run, such as "container web: CrashLoopBackOff".
	// +optional
	Failing string `json:"failing,omitempty"`
	// When it was seen to be gone.
	// +optional
	Gone *metav1.Time `json:"gone,omitempty"`
}

// clockSlack is how far clocks of the operators of a cluster may differ.
const clockSlack = time.Minute

// Active reports whether the drill breaks anything at now. It is the one rule of
// that: a drill whose deadline is not written, has passed, or is further away
// than MaxDrill does nothing, and neither does one before it began: then the
// clock has leapt, and its end cannot be told.
func (d *Drill) Active(now time.Time) bool {
	s := &d.Status
	if s.Phase != DrillRunning || s.Began == nil || s.Until == nil || !d.DeletionTimestamp.IsZero() || d.Stopped() {
		return false
	}
	return s.Until.Sub(s.Began.Time) <= MaxDrill && now.Before(s.Until.Time) && now.After(s.Began.Add(-clockSlack))
}

// Stopped reports whether somebody asked for the drill to end.
func (d *Drill) Stopped() bool {
	_, stop := d.Annotations[AnnotationDrillStop]
	return stop
}

// Ends reports whether the drill is over for good.
func (d *Drill) Ends() bool { return d.Status.Phase == DrillOver || d.Status.Phase == DrillRefused }

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Drill breaks the delivery of secrets to one workload on purpose, for a limited
// time, and undoes it whatever happens.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={strongkeep}
// +kubebuilder:printcolumn:name="Failure",type=string,JSONPath=`.spec.failure`
// +kubebuilder:printcolumn:name="Workload",type=string,JSONPath=`.spec.workload.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Until",type=date,JSONPath=`.status.until`
type Drill struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a drill cannot be changed: delete it, which undoes it, and make another"
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
type DrillSpec struct {
	// The workload that is to feel it, in the drill's namespace.
	Workload WorkloadRef `json:"workload"`
	// StoreAway: its ExternalSecrets cannot reach their stores. SlowSync: every
	// read of them takes Delay. CredentialRefused: its Secrets hold a credential
	// that no backend accepts.
	// +kubebuilder:validation:Enum=StoreAway;SlowSync;CredentialRefused
	Failure DrillFailure `json:"failure"`
	// How long; at most 1h.
	// +kubebuilder:validation:XValidation:rule="duration(self) > duration('0s') && duration(self) <= duration('1h')",message="duration must be more than 0 and at most 1h"
	Duration metav1.Duration `json:"duration"`
	// For SlowSync; 10s when not set.
	// +optional
	Delay *metav1.Duration `json:"delay,omitempty"`
}

// DrillFailure is what is broken.
type DrillFailure string

// The failures.
const (
	DrillStoreAway         DrillFailure = "StoreAway"
	DrillSlowSync          DrillFailure = "SlowSync"
	DrillCredentialRefused DrillFailure = "CredentialRefused"
)

// DrillStatus is what is known.
type DrillStatus struct {
	// Pending, Running, Undoing, Over, Refused.
	// +optional
	Phase string `json:"phase,omitempty"`
	// +optional
	Began *metav1.Time `json:"began,omitempty"`
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
	// What was seen: pods that became unready, restarts, conditions.
	// +optional
	Findings []string `json:"findings,omitempty"`
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// GeneratorState remembers a credential that lives elsewhere and must be taken
// back. The operator makes and deletes it; it holds no secret value.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:metadata:labels="external-secrets.io/component=controller"
// +kubebuilder:printcolumn:name="GC Deadline",type=string,JSONPath=`.spec.garbageCollectionDeadline`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:resource:scope=Namespaced,categories={external-secrets,external-secrets-generators},shortName=gs
type GeneratorState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   GeneratorStateSpec   `json:"spec,omitempty"`
	Status GeneratorStateStatus `json:"status,omitempty"`
}

// GeneratorStateList is a list of GeneratorStates.
//
// +kubebuilder:object:root=true
type GeneratorStateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GeneratorState `json:"items"`
}

// GeneratorStateSpec is what is known of a credential.
type GeneratorStateSpec struct {
	// When the credential is taken back unless a Secret holds it then. Without one
	// it is in use.
	// +optional
	GarbageCollectionDeadline *metav1.Time `json:"garbageCollectionDeadline,omitempty"`
	// The generator as it was.
	Resource *apiextensionsv1.JSON `json:"resource"`
	// What it takes to find the credential again: a lease, an id, never its value.
	State *apiextensionsv1.JSON `json:"state"`
}

// GeneratorStateStatus is what came of taking it back.
type GeneratorStateStatus struct {
	// +optional
	Conditions []GeneratorStateStatusCondition `json:"conditions,omitempty"`
}

// GeneratorStateStatusCondition is one finding.
type GeneratorStateStatusCondition struct {
	Type   string                 `json:"type"`
	Status metav1.ConditionStatus `json:"status"`
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

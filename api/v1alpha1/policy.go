package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RotationPolicy sets how old credentials may get, by class. The one named
// "default" is made at the operator's start if there is none, and is never changed
// after that.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:resource:scope=Cluster,categories={strongkeep},shortName=rotpol
type RotationPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec RotationPolicySpec `json:"spec"`
}

// RotationPolicyList is a list of RotationPolicies.
//
// +kubebuilder:object:root=true
type RotationPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RotationPolicy `json:"items"`
}

// RotationPolicySpec is what a user asks for.
type RotationPolicySpec struct {
	// Namespaces it is for; all when empty. The stricter of several wins.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=name
	Classes []CredentialClass `json:"classes"`
}

// CredentialClass is one row of the table.
//
// +kubebuilder:validation:XValidation:rule="!has(self.maxAge) || duration(self.maxAge) >= duration('0s')",message="maxAge must not be below 0"
// +kubebuilder:validation:XValidation:rule="!has(self.before) || duration(self.before) == duration('0s') || has(self.maxAge) && duration(self.before) > duration('0s') && duration(self.before) < duration(self.maxAge)",message="before must be less than maxAge, and not below 0"
type CredentialClass struct {
	// Such as "database", "api-key", "tls", "service-account-token", "cloud".
	Name string `json:"name"`
	// The greatest age; absent: no limit by age.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// How long before MaxAge a turn begins, and the report says "due".
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	Before *metav1.Duration `json:"before,omitempty"`
	// Whether a credential of this class must not be stored at all (cloud
	// credentials: use workload identity).
	// +optional
	Forbidden bool `json:"forbidden,omitempty"`
	// Secrets of this class without a Rotation, by type, such as
	// "kubernetes.io/tls", or by labels.
	// +optional
	SecretTypes []string `json:"secretTypes,omitempty"`
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

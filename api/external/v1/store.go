package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// SecretStore says how to reach an external store, for one namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={external-secrets},shortName=ss
// +kubebuilder:metadata:labels="external-secrets.io/component=controller"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Capabilities",type=string,JSONPath=`.status.capabilities`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
type SecretStore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:XValidation:rule="!has(self.conditions) || size(self.conditions) == 0",message="conditions are for a ClusterSecretStore"
	Spec   SecretStoreSpec   `json:"spec,omitempty"`
	Status SecretStoreStatus `json:"status,omitempty"`
}

// SecretStoreList is a list of SecretStores.
//
// +kubebuilder:object:root=true
type SecretStoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []SecretStore `json:"items"`
}

// ClusterSecretStore says how to reach an external store, for every namespace
// its conditions admit.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories={external-secrets},shortName=css
// +kubebuilder:metadata:labels="external-secrets.io/component=controller"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Capabilities",type=string,JSONPath=`.status.capabilities`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
type ClusterSecretStore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   SecretStoreSpec   `json:"spec,omitempty"`
	Status SecretStoreStatus `json:"status,omitempty"`
}

// ClusterSecretStoreList is a list of ClusterSecretStores.
//
// +kubebuilder:object:root=true
type ClusterSecretStoreList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterSecretStore `json:"items"`
}

// SecretStoreSpec is the same for both kinds of store.
type SecretStoreSpec struct {
	// Class of the operator that answers for this store; every operator when empty.
	// +optional
	Controller string `json:"controller,omitempty"`

	// Exactly one provider, by name.
	Provider SecretStoreProvider `json:"provider"`

	// +optional
	RetrySettings *RetrySettings `json:"retrySettings,omitempty"`

	// How often the store is checked: seconds, or a duration such as "5m".
	// +optional
	RefreshInterval *intstr.IntOrString `json:"refreshInterval,omitempty"`

	// Which namespaces may use a ClusterSecretStore; all when empty, else those
	// that any one entry admits.
	// +optional
	// +listType=atomic
	Conditions []ClusterSecretStoreCondition `json:"conditions,omitempty"`
}

// RetrySettings bound the retries of one call to the backend.
type RetrySettings struct {
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxRetries *int32 `json:"maxRetries,omitempty"`
	// +optional
	RetryInterval *string `json:"retryInterval,omitempty"`
}

// ClusterSecretStoreCondition admits namespaces. An entry admits a namespace
// when any one of its fields does.
type ClusterSecretStoreCondition struct {
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// +optional
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Namespaces []string `json:"namespaces,omitempty"`
	// +optional
	NamespaceRegexes []string `json:"namespaceRegexes,omitempty"`
}

// SecretStoreStatus is what the operator saw last.
type SecretStoreStatus struct {
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
	// +optional
	// +kubebuilder:validation:Enum=ReadOnly;WriteOnly;ReadWrite
	Capabilities Capabilities `json:"capabilities,omitempty"`
}

// Capabilities says what a store can do for the objects that use it.
type Capabilities string

// The capabilities.
const (
	ReadOnly  Capabilities = "ReadOnly"
	WriteOnly Capabilities = "WriteOnly"
	ReadWrite Capabilities = "ReadWrite"
)

// The reasons of a store's Ready condition.
const (
	ReasonStoreValid         = "Valid"
	ReasonInvalidStore       = "InvalidStoreConfiguration"
	ReasonInvalidProvider    = "InvalidProviderConfig"
	ReasonValidationFailed   = "ValidationFailed"
	ReasonValidationUnknown  = "ValidationUnknown"
	ReasonStoreNotMaintained = "StoreUnmaintained"
	ReasonStoreDeprecated    = "StoreDeprecated"
)

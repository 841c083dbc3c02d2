package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// ClusterPushSecret keeps the same PushSecret in many namespaces.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories={external-secrets}
// +kubebuilder:metadata:labels="external-secrets.io/component=controller"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
type ClusterPushSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ClusterPushSecretSpec   `json:"spec,omitempty"`
	Status ClusterPushSecretStatus `json:"status,omitempty"`
}

// ClusterPushSecretList is a list of ClusterPushSecrets.
//
// +kubebuilder:object:root=true
type ClusterPushSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterPushSecret `json:"items"`
}

// ClusterPushSecretSpec is what a user asks for.
type ClusterPushSecretSpec struct {
	// Of the PushSecrets.
	PushSecretSpec PushSecretSpec `json:"pushSecretSpec"`

	// How often everything is compared again. Changes are acted on at once.
	// +optional
	RefreshInterval *metav1.Duration `json:"refreshTime,omitempty"`

	// Name of the PushSecrets; that of this object when empty.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	PushSecretName string `json:"pushSecretName,omitempty"`

	// Labels and annotations of the PushSecrets.
	// +optional
	PushSecretMetadata v1.ExternalSecretMetadata `json:"pushSecretMetadata,omitempty"`

	// Which namespaces: those that any one selector matches.
	// +optional
	// +listType=atomic
	NamespaceSelectors []*metav1.LabelSelector `json:"namespaceSelectors,omitempty"`
}

// ClusterPushSecretStatus is what the operator did last.
type ClusterPushSecretStatus struct {
	// +optional
	// +listType=atomic
	FailedNamespaces []v1.NamespaceFailure `json:"failedNamespaces,omitempty"`

	// +optional
	// +listType=atomic
	ProvisionedNamespaces []string `json:"provisionedNamespaces,omitempty"`

	// +optional
	PushSecretName string `json:"pushSecretName,omitempty"`

	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []v1.Condition `json:"conditions,omitempty"`
}

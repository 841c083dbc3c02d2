package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// PushSecret says which keys of a Kubernetes Secret are written to which external
// stores.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={external-secrets},shortName=ps
// +kubebuilder:metadata:labels="external-secrets.io/component=controller"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Last Sync",type=date,JSONPath=`.status.refreshTime`
type PushSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   PushSecretSpec   `json:"spec,omitempty"`
	Status PushSecretStatus `json:"status,omitempty"`
}

// PushSecretList is a list of PushSecrets.
//
// +kubebuilder:object:root=true
type PushSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PushSecret `json:"items"`
}

// PushSecretSpec is what a user asks for.
type PushSecretSpec struct {
	// How often the stores are compared with the Secret, such as "1h". A change of the
	// Secret is pushed at once. 0 means not on a timer.
	// +optional
	// +kubebuilder:default="1h0m0s"
	RefreshInterval *metav1.Duration `json:"refreshInterval,omitempty"`

	// The stores to write to.
	// +listType=atomic
	SecretStoreRefs []PushSecretStoreRef `json:"secretStoreRefs"`

	// Replace: what was pushed is kept as the Secret is. IfNotExists: what is in the
	// store stays, whoever wrote it.
	// +optional
	// +kubebuilder:default=Replace
	// +kubebuilder:validation:Enum=Replace;IfNotExists
	UpdatePolicy UpdatePolicy `json:"updatePolicy,omitempty"`

	// What becomes of what was pushed when it is no longer asked for, or this object
	// or its Secret is deleted. None: it stays. Delete: it is deleted.
	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:Enum=Delete;None
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// What is pushed.
	Selector PushSecretSelector `json:"selector"`

	// Which key goes where.
	// +optional
	// +listType=atomic
	Data []PushSecretData `json:"data,omitempty"`

	// Many keys at once. Entries of data win over these.
	// +optional
	// +listType=atomic
	DataTo []PushSecretDataTo `json:"dataTo,omitempty"`

	// Shapes the data before it is pushed. What it makes is added to the Secret's keys.
	// +optional
	Template *v1.ExternalSecretTemplate `json:"template,omitempty"`
}

// UpdatePolicy says what becomes of what is in the store already.
type UpdatePolicy string

// The update policies. The empty one means Replace.
const (
	UpdateReplace     UpdatePolicy = "Replace"
	UpdateIfNotExists UpdatePolicy = "IfNotExists"
)

// DeletionPolicy says what becomes of what was pushed.
type DeletionPolicy string

// The deletion policies. The empty one means None.
const (
	DeletionDelete DeletionPolicy = "Delete"
	DeletionNone   DeletionPolicy = "None"
)

// PushSecretStoreRef names a store, or all that have labels.
type PushSecretStoreRef struct {
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`

	// +optional
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`

	// +optional
	// +kubebuilder:default=SecretStore
	// +kubebuilder:validation:Enum=SecretStore;ClusterSecretStore
	Kind string `json:"kind,omitempty"`
}

// PushSecretSelector is the source: Secrets, or a generator.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:MaxProperties=1
type PushSecretSelector struct {
	// +optional
	Secret *PushSecretSecret `json:"secret,omitempty"`
	// +optional
	GeneratorRef *v1.GeneratorRef `json:"generatorRef,omitempty"`
}

// PushSecretSecret names a Secret of the same namespace, or all that have labels.
type PushSecretSecret struct {
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`

	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// PushSecretData says where one key, or the whole Secret, goes.
type PushSecretData struct {
	Match PushSecretMatch `json:"match"`

	// For the store, in its own terms.
	// +optional
	Metadata *apiextensionsv1.JSON `json:"metadata,omitempty"`

	// ReverseUnicode turns "_U0041_" in keys of the Secret back into the character.
	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:Enum=None;ReverseUnicode
	ConversionStrategy ConversionStrategy `json:"conversionStrategy,omitempty"`
}

// PushSecretMatch maps a key to a place.
type PushSecretMatch struct {
	// The whole Secret, as a JSON object, when empty.
	// +optional
	SecretKey string `json:"secretKey,omitempty"`

	RemoteRef PushSecretRemoteRef `json:"remoteRef"`
}

// PushSecretRemoteRef is a place in a store.
type PushSecretRemoteRef struct {
	// Name of the secret in the store.
	RemoteKey string `json:"remoteKey"`

	// Which part of it; the whole secret when empty.
	// +optional
	Property string `json:"property,omitempty"`
}

// ConversionStrategy says what becomes of escaped characters in keys.
type ConversionStrategy string

// The conversion strategies. The empty one means None.
const (
	ConversionNone           ConversionStrategy = "None"
	ConversionReverseUnicode ConversionStrategy = "ReverseUnicode"
)

// PushSecretDataTo pushes every key that matches: each to a secret of its name, or
// all as one JSON object to remoteKey.
//
// +kubebuilder:validation:XValidation:rule="has(self.storeRef) && (has(self.storeRef.name) || has(self.storeRef.labelSelector))",message="storeRef must specify either name or labelSelector"
// +kubebuilder:validation:XValidation:rule="!has(self.remoteKey) || !has(self.rewrite) || size(self.rewrite) == 0",message="remoteKey and rewrite exclude each other: rewrite is for keys that are pushed one by one"
type PushSecretDataTo struct {
	// Which of secretStoreRefs.
	// +optional
	StoreRef *PushSecretStoreRef `json:"storeRef,omitempty"`

	// +optional
	RemoteKey string `json:"remoteKey,omitempty"`

	// Which keys; all when empty.
	// +optional
	Match *PushSecretDataToMatch `json:"match,omitempty"`

	// What the names in the store are, in order.
	// +optional
	// +listType=atomic
	Rewrite []PushSecretRewrite `json:"rewrite,omitempty"`

	// For the store, in its own terms.
	// +optional
	Metadata *apiextensionsv1.JSON `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:Enum=None;ReverseUnicode
	ConversionStrategy ConversionStrategy `json:"conversionStrategy,omitempty"`
}

// PushSecretDataToMatch matches keys.
type PushSecretDataToMatch struct {
	// +optional
	RegExp string `json:"regexp,omitempty"`
}

// PushSecretRewrite changes keys.
//
// +kubebuilder:validation:XValidation:rule="has(self.regexp) != has(self.transform)",message="exactly one of regexp or transform must be set"
type PushSecretRewrite struct {
	// +optional
	Regexp *v1.RewriteRegexp `json:"regexp,omitempty"`
	// +optional
	Transform *v1.RewriteTransform `json:"transform,omitempty"`
}

// PushSecretStatus is what the operator did last.
type PushSecretStatus struct {
	// +optional
	// +nullable
	RefreshTime metav1.Time `json:"refreshTime,omitempty"`

	// The generation and a keyed digest of what was pushed.
	// +optional
	SyncedResourceVersion string `json:"syncedResourceVersion,omitempty"`

	// What may be in the stores by this object: by "KIND/NAME" of the store and by
	// "REMOTEKEY" or "REMOTEKEY/PROPERTY".
	// +optional
	SyncedPushSecrets SyncedPushSecrets `json:"syncedPushSecrets,omitempty"`

	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []v1.Condition `json:"conditions,omitempty"`
}

// SyncedPushSecrets is what may be in which store.
type SyncedPushSecrets map[string]map[string]PushSecretData

// The reasons of a PushSecret's Ready condition.
const (
	ReasonSynced        = "Synced"
	ReasonErrored       = "Errored"
	ReasonSourceDeleted = "SourceDeleted"
)

// KindPushSecret is the kind of PushSecret.
const KindPushSecret = "PushSecret"

// Finalizer is on PushSecrets whose deletion deletes what they pushed;
// StoreFinalizer on the stores that this needs.
const (
	Finalizer      = "pushsecret.externalsecrets.io/finalizer"
	StoreFinalizer = "secretstore.externalsecrets.io/finalizer"
)

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ExternalSecret says which values of an external store become which keys of
// one Kubernetes Secret in the same namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={external-secrets},shortName=es
// +kubebuilder:metadata:labels="external-secrets.io/component=controller"
// +kubebuilder:selectablefield:JSONPath=`.spec.secretStoreRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.secretStoreRef.kind`
// +kubebuilder:selectablefield:JSONPath=`.spec.target.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.refreshInterval`
// +kubebuilder:printcolumn:name="StoreType",type=string,JSONPath=`.spec.secretStoreRef.kind`
// +kubebuilder:printcolumn:name="Store",type=string,JSONPath=`.spec.secretStoreRef.name`
// +kubebuilder:printcolumn:name="Refresh Interval",type=string,JSONPath=`.spec.refreshInterval`
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Last Sync",type=date,JSONPath=`.status.refreshTime`
type ExternalSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ExternalSecretSpec   `json:"spec,omitempty"`
	Status ExternalSecretStatus `json:"status,omitempty"`
}

// ExternalSecretList is a list of ExternalSecrets.
//
// +kubebuilder:object:root=true
type ExternalSecretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ExternalSecret `json:"items"`
}

// ExternalSecretSpec is what a user asks for.
//
// +kubebuilder:validation:XValidation:rule="(has(self.data) && size(self.data) > 0) || (has(self.dataFrom) && size(self.dataFrom) > 0)",message="either data or dataFrom should be specified"
// +kubebuilder:validation:XValidation:rule="!has(self.target) || !has(self.target.deletionPolicy) || self.target.deletionPolicy != 'Delete' || !has(self.target.creationPolicy) || self.target.creationPolicy == 'Owner'",message="deletionPolicy=Delete must not be used when the controller doesn't own the secret: set creationPolicy=Owner"
// +kubebuilder:validation:XValidation:rule="!has(self.target) || !has(self.target.deletionPolicy) || self.target.deletionPolicy != 'Merge' || !has(self.target.creationPolicy) || self.target.creationPolicy != 'None'",message="deletionPolicy=Merge must not be used with creationPolicy=None: there is no Secret to merge with"
type ExternalSecretSpec struct {
	// The store that data and dataFrom are read from unless they name their own.
	// +optional
	SecretStoreRef SecretStoreRef `json:"secretStoreRef,omitempty"`

	// The Secret to write.
	// +optional
	// +kubebuilder:default={creationPolicy:Owner,deletionPolicy:Retain}
	Target ExternalSecretTarget `json:"target,omitempty"`

	// When to read the store again: Periodic every refreshInterval (and at once
	// when the store reports a change), CreatedOnce never after the first time,
	// OnChange when this object's spec, labels or annotations change.
	// +optional
	// +kubebuilder:validation:Enum=CreatedOnce;Periodic;OnChange
	RefreshPolicy RefreshPolicy `json:"refreshPolicy,omitempty"`

	// How often the store is read again with refreshPolicy Periodic, such as "1h" or "15s".
	// 0 means not on a timer; a change of this object is always acted on.
	// +optional
	// +kubebuilder:default="1h0m0s"
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	RefreshInterval *metav1.Duration `json:"refreshInterval,omitempty"`

	// Times (UTC) at which periodic refresh is allowed or denied.
	// +optional
	SyncWindows *SyncWindows `json:"syncWindows,omitempty"`

	// Which value of the store becomes which key.
	// +optional
	// +listType=map
	// +listMapKey=secretKey
	Data []ExternalSecretData `json:"data,omitempty"`

	// Sources of many keys at once. Later entries win over earlier ones, data over both.
	// +optional
	// +listType=atomic
	DataFrom []ExternalSecretDataFrom `json:"dataFrom,omitempty"`
}

// RefreshPolicy says when a store is read again.
type RefreshPolicy string

// The refresh policies. The empty one means Periodic.
const (
	RefreshCreatedOnce RefreshPolicy = "CreatedOnce"
	RefreshPeriodic    RefreshPolicy = "Periodic"
	RefreshOnChange    RefreshPolicy = "OnChange"
)

// SyncWindows gates periodic refresh.
type SyncWindows struct {
	// Whether the windows allow or deny refresh.
	// +kubebuilder:validation:Enum=allow;deny
	Kind string `json:"kind"`
	// +kubebuilder:validation:MinItems=1
	Windows []SyncWindow `json:"windows"`
}

// SyncWindow is one recurring span of time.
type SyncWindow struct {
	// A cron expression, in UTC.
	Schedule string `json:"schedule"`
	// How long the window stays open.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	Duration metav1.Duration `json:"duration"`
}

// The kinds of store a SecretStoreRef can name.
const (
	KindSecretStore        = "SecretStore"
	KindClusterSecretStore = "ClusterSecretStore"
	KindExternalSecret     = "ExternalSecret"
)

// SecretStoreRef names a store. An empty Kind means SecretStore.
type SecretStoreRef struct {
	// Name of the SecretStore or ClusterSecretStore.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// +optional
	// +kubebuilder:validation:Enum=SecretStore;ClusterSecretStore
	Kind string `json:"kind,omitempty"`
}

// ExternalSecretTarget is the Secret to write.
type ExternalSecretTarget struct {
	// Name of the Secret; that of the ExternalSecret when empty.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`

	// Owner: make the Secret and own it. Orphan: make it, without an owner
	// reference. Merge: add keys to a Secret that must exist. CreateOrMerge:
	// Merge, or Orphan when there is none. None: write nothing.
	// +optional
	// +kubebuilder:default=Owner
	// +kubebuilder:validation:Enum=Owner;Orphan;Merge;None;CreateOrMerge
	CreationPolicy CreationPolicy `json:"creationPolicy,omitempty"`

	// What happens when the store no longer has any of the values. Retain:
	// the Secret stays. Delete: it is deleted. Merge: only its keys are removed.
	// +optional
	// +kubebuilder:default=Retain
	// +kubebuilder:validation:Enum=Delete;Merge;Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// +optional
	Template *ExternalSecretTemplate `json:"template,omitempty"`

	// Writes another kind of object instead of a Secret.
	// +optional
	Manifest *ManifestReference `json:"manifest,omitempty"`

	// Makes the Secret immutable.
	// +optional
	Immutable bool `json:"immutable,omitempty"`
}

// ManifestReference names the kind of a target that is not a Secret.
type ManifestReference struct {
	// +kubebuilder:validation:MinLength=1
	APIVersion string `json:"apiVersion"`
	// +kubebuilder:validation:MinLength=1
	Kind string `json:"kind"`
}

// CreationPolicy says who makes and owns the target.
type CreationPolicy string

// The creation policies. The empty one means Owner.
const (
	CreateOwner   CreationPolicy = "Owner"
	CreateOrphan  CreationPolicy = "Orphan"
	CreateMerge   CreationPolicy = "Merge"
	CreateNone    CreationPolicy = "None"
	CreateOrMerge CreationPolicy = "CreateOrMerge"
)

// DeletionPolicy says what happens when the values are gone from the store.
type DeletionPolicy string

// The deletion policies. The empty one means Retain.
const (
	DeletionDelete DeletionPolicy = "Delete"
	DeletionMerge  DeletionPolicy = "Merge"
	DeletionRetain DeletionPolicy = "Retain"
)

// ExternalSecretTemplate shapes the target from the values that were read.
type ExternalSecretTemplate struct {
	// Type of the Secret.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!(self in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token'])",message="Secrets of this type are made by Kubernetes itself"
	Type string `json:"type,omitempty"`

	// +optional
	// +kubebuilder:default=v2
	// +kubebuilder:validation:Enum=v2
	EngineVersion string `json:"engineVersion,omitempty"`

	// +optional
	Metadata ExternalSecretTemplateMetadata `json:"metadata,omitempty"`

	// Replace: only what the template makes. Merge: the values as read, and over
	// them what the template makes.
	// +optional
	// +kubebuilder:default=Replace
	// +kubebuilder:validation:Enum=Replace;Merge
	MergePolicy TemplateMergePolicy `json:"mergePolicy,omitempty"`

	// +optional
	Data map[string]string `json:"data,omitempty"`

	// +optional
	// +listType=atomic
	TemplateFrom []TemplateFrom `json:"templateFrom,omitempty"`
}

// TemplateMergePolicy says whether values as read are kept beside a template.
type TemplateMergePolicy string

// The merge policies. The empty one means Replace.
const (
	TemplateReplace TemplateMergePolicy = "Replace"
	TemplateMerge   TemplateMergePolicy = "Merge"
)

// ExternalSecretTemplateMetadata is metadata of the target. Values are templates.
type ExternalSecretTemplateMetadata struct {
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// +optional
	Finalizers []string `json:"finalizers,omitempty"`
}

// TemplateFrom is one source of templates.
//
// +kubebuilder:validation:XValidation:rule="(has(self.configMap) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.literal) ? 1 : 0) == 1",message="name exactly one of configMap, secret and literal"
type TemplateFrom struct {
	// +optional
	ConfigMap *TemplateRef `json:"configMap,omitempty"`
	// +optional
	Secret *TemplateRef `json:"secret,omitempty"`
	// What the result becomes: Data, Annotations or Labels.
	// +optional
	// +kubebuilder:default=Data
	Target string `json:"target,omitempty"`
	// +optional
	Literal *string `json:"literal,omitempty"`
	// How the values of a KeysAndValues or literal template are decoded.
	// +optional
	// +kubebuilder:validation:Enum=Auto;Base64;Base64URL;None
	ValuesDecodingStrategy DecodingStrategy `json:"valuesDecodingStrategy,omitempty"`
}

// The targets of a TemplateFrom. The empty one means Data.
const (
	TemplateTargetData        = "Data"
	TemplateTargetAnnotations = "Annotations"
	TemplateTargetLabels      = "Labels"
)

// TemplateRef names keys of a ConfigMap or Secret that hold templates.
type TemplateRef struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// +listType=atomic
	Items []TemplateRefItem `json:"items"`
}

// TemplateRefItem is one key of a ConfigMap or Secret.
type TemplateRefItem struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// Values: the result is the value of the same key. KeysAndValues: the result
	// is YAML of keys and values.
	// +optional
	// +kubebuilder:default=Values
	// +kubebuilder:validation:Enum=Values;KeysAndValues
	TemplateAs string `json:"templateAs,omitempty"`
}

// TemplateAsKeysAndValues is the TemplateAs that makes many keys of one template.
const TemplateAsKeysAndValues = "KeysAndValues"

// ExternalSecretStatus is what the operator saw last.
type ExternalSecretStatus struct {
	// When the store was last read and the Secret known to match it.
	// +nullable
	RefreshTime metav1.Time `json:"refreshTime,omitempty"`
	// Generation and hash of labels and annotations that were synced last.
	// +optional
	SyncedResourceVersion string `json:"syncedResourceVersion,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
	// The Secret, as servicebinding.io wants it.
	// +optional
	Binding LocalObjectReference `json:"binding,omitempty"`
}

// LocalObjectReference names an object of the same namespace.
type LocalObjectReference struct {
	// +optional
	Name string `json:"name,omitempty"`
}

// ConditionType names what a Condition is about.
type ConditionType string

// The condition types.
const (
	ConditionReady   ConditionType = "Ready"
	ConditionDeleted ConditionType = "Deleted"
)

// Condition is one finding about an object.
type Condition struct {
	Type ConditionType `json:"type"`
	// +kubebuilder:validation:Enum=True;False;Unknown
	Status metav1.ConditionStatus `json:"status"`
	// +optional
	Reason string `json:"reason,omitempty"`
	// What happened, and what to do about it. Never holds a secret value.
	// +optional
	Message string `json:"message,omitempty"`
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty"`
}

// The reasons of an ExternalSecret's Ready condition.
const (
	ReasonSecretSynced      = "SecretSynced"
	ReasonSecretSyncedError = "SecretSyncedError"
	ReasonSecretDeleted     = "SecretDeleted"
	ReasonSecretMissing     = "SecretMissing"

	// The same where the target is no Secret.
	ReasonResourceSynced      = "ResourceSynced"
	ReasonResourceSyncedError = "ResourceSyncedError"
	ReasonResourceDeleted     = "ResourceDeleted"
	ReasonResourceMissing     = "ResourceMissing"
)

// ReasonOfResource returns the reason for a target that is no Secret, by that for
// one that is.
func ReasonOfResource(reason string) string {
	switch reason {
	case ReasonSecretSynced:
		return ReasonResourceSynced
	case ReasonSecretSyncedError:
		return ReasonResourceSyncedError
	case ReasonSecretDeleted:
		return ReasonResourceDeleted
	case ReasonSecretMissing:
		return ReasonResourceMissing
	}
	return reason
}

package v1

// ExternalSecretData maps one remote value to one key.
type ExternalSecretData struct {
	// Key of the Secret, or name of the value in a template.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	SecretKey string `json:"secretKey"`

	RemoteRef RemoteRef `json:"remoteRef"`

	// Another source than spec.secretStoreRef.
	// +optional
	SourceRef *SourceRef `json:"sourceRef,omitempty"`
}

// RemoteRef points at a value of a store.
type RemoteRef struct {
	// Name of the secret in the store.
	Key string `json:"key"`

	// Which part: a literal key of the secret's JSON object or else a gjson path.
	// +optional
	Property string `json:"property,omitempty"`

	// Which version; the latest when empty.
	// +optional
	Version string `json:"version,omitempty"`

	// Fetch reads the secret's own metadata (tags, labels) instead of its value.
	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:Enum=None;Fetch
	MetadataPolicy MetadataPolicy `json:"metadataPolicy,omitempty"`

	// +optional
	// +kubebuilder:default=Default
	// +kubebuilder:validation:Enum=Default;Unicode
	ConversionStrategy ConversionStrategy `json:"conversionStrategy,omitempty"`

	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:Enum=Auto;Base64;Base64URL;None
	DecodingStrategy DecodingStrategy `json:"decodingStrategy,omitempty"`

	// Whether a value with a zero byte is an error.
	// +optional
	// +kubebuilder:validation:Enum=Ignore;Fail
	NullBytePolicy NullBytePolicy `json:"nullBytePolicy,omitempty"`
}

// MetadataPolicy says whether a secret's value or its metadata is read.
type MetadataPolicy string

// The metadata policies. The empty one means None.
const (
	MetadataNone  MetadataPolicy = "None"
	MetadataFetch MetadataPolicy = "Fetch"
)

// ConversionStrategy says what becomes of characters no Secret key can have.
type ConversionStrategy string

// The conversion strategies. Default (also when empty) writes "_" for each
// such character, Unicode writes "_U" and the code point in hex and "_".
const (
	ConversionDefault ConversionStrategy = "Default"
	ConversionUnicode ConversionStrategy = "Unicode"
)

// DecodingStrategy says how a value is decoded before it is used.
type DecodingStrategy string

// The decoding strategies. The empty one means None. Auto decodes what is
// base64, standard or URL alphabet, and leaves alone what is not.
const (
	DecodingNone      DecodingStrategy = "None"
	DecodingAuto      DecodingStrategy = "Auto"
	DecodingBase64    DecodingStrategy = "Base64"
	DecodingBase64URL DecodingStrategy = "Base64URL"
)

// NullBytePolicy says whether a zero byte in a value is an error.
type NullBytePolicy string

// The null byte policies. The empty one means Ignore.
const (
	NullByteIgnore NullBytePolicy = "Ignore"
	NullByteFail   NullBytePolicy = "Fail"
)

// ExternalSecretDataFrom is one source of many keys.
type ExternalSecretDataFrom struct {
	// Takes every key of one secret's JSON object.
	// +optional
	Extract *RemoteRef `json:"extract,omitempty"`
	// Takes every secret that matches.
	// +optional
	Find *Find `json:"find,omitempty"`
	// Changes the keys, in order.
	// +optional
	// +listType=atomic
	Rewrite []Rewrite `json:"rewrite,omitempty"`
	// Another source than spec.secretStoreRef.
	// +optional
	SourceRef *SourceOrGeneratorRef `json:"sourceRef,omitempty"`
}

// Find says which secrets of a store are meant.
type Find struct {
	// A prefix to search under.
	// +optional
	Path *string `json:"path,omitempty"`
	// +optional
	Name *FindName `json:"name,omitempty"`
	// +optional
	Tags map[string]string `json:"tags,omitempty"`
	// +optional
	// +kubebuilder:default=Default
	// +kubebuilder:validation:Enum=Default;Unicode
	ConversionStrategy ConversionStrategy `json:"conversionStrategy,omitempty"`
	// +optional
	// +kubebuilder:default=None
	// +kubebuilder:validation:Enum=Auto;Base64;Base64URL;None
	DecodingStrategy DecodingStrategy `json:"decodingStrategy,omitempty"`
	// +optional
	// +kubebuilder:validation:Enum=Ignore;Fail
	NullBytePolicy NullBytePolicy `json:"nullBytePolicy,omitempty"`
}

// FindName matches names.
type FindName struct {
	// +optional
	RegExp string `json:"regexp,omitempty"`
}

// Rewrite changes the keys of one dataFrom entry.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:MaxProperties=1
type Rewrite struct {
	// +optional
	Merge *RewriteMerge `json:"merge,omitempty"`
	// +optional
	Regexp *RewriteRegexp `json:"regexp,omitempty"`
	// +optional
	Transform *RewriteTransform `json:"transform,omitempty"`
}

// RewriteRegexp replaces what Source matches in a key by Target.
type RewriteRegexp struct {
	Source string `json:"source"`
	Target string `json:"target"`
}

// RewriteTransform makes a key from a template over ".value".
type RewriteTransform struct {
	Template string `json:"template"`
}

// RewriteMerge merges the values, each a JSON object, into one.
type RewriteMerge struct {
	// +optional
	// +kubebuilder:default=""
	Into string `json:"into,omitempty"`
	// +optional
	Priority []string `json:"priority,omitempty"`
	// +optional
	// +kubebuilder:default=Strict
	// +kubebuilder:validation:Enum=IgnoreNotFound;Strict
	PriorityPolicy string `json:"priorityPolicy,omitempty"`
	// +optional
	// +kubebuilder:default=Error
	// +kubebuilder:validation:Enum=Ignore;Error
	ConflictPolicy string `json:"conflictPolicy,omitempty"`
	// +optional
	// +kubebuilder:default=Extract
	// +kubebuilder:validation:Enum=Extract;JSON
	Strategy string `json:"strategy,omitempty"`
}

// SourceRef is a source of one value. (generatorRef has never worked here in
// any operator; it is kept so that manifests that carry it are answered with a
// condition instead of silence.)
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:MaxProperties=1
type SourceRef struct {
	// +optional
	SecretStoreRef *SecretStoreRef `json:"storeRef,omitempty"`
	// +optional
	GeneratorRef *GeneratorRef `json:"generatorRef,omitempty"`
}

// SourceOrGeneratorRef is a source of many values.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:MaxProperties=1
type SourceOrGeneratorRef struct {
	// +optional
	SecretStoreRef *SecretStoreRef `json:"storeRef,omitempty"`
	// +optional
	GeneratorRef *GeneratorRef `json:"generatorRef,omitempty"`
}

// GeneratorRef names an object that makes values.
type GeneratorRef struct {
	// +optional
	// +kubebuilder:default="generators.external-secrets.io/v1alpha1"
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	Name       string `json:"name"`
}

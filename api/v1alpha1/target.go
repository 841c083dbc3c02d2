package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	external "github.com/strongkeep/strongkeep/api/external/v1"
)

// Target is what is rotated: a store, and one kind of credential in it.
//
// +kubebuilder:validation:XValidation:rule="[has(self.database), has(self.kv), has(self.certificate), has(self.awsAccessKey), has(self.webhook), has(self.manual)].filter(x, x).size() == 1",message="exactly one of database, kv, certificate, awsAccessKey, webhook and manual must be set"
type Target struct {
	// The SecretStore or ClusterSecretStore of provider vault by which the vault
	// is reached. Its login needs the policy in docs/rotation.md.
	StoreRef external.SecretStoreRef `json:"storeRef"`

	// A role of the database engine: two users that alternate, or one user with
	// two passwords where the database can.
	// +optional
	Database *DatabaseTarget `json:"database,omitempty"`
	// A value at a KV v2 path, made by a generator.
	// +optional
	KV *KVTarget `json:"kv,omitempty"`
	// A certificate of the PKI engine with its key and CA bundle, at a KV v2 path.
	// +optional
	Certificate *CertificateTarget `json:"certificate,omitempty"`
	// An access key of an AWS IAM user, at a KV v2 path.
	// +optional
	AWSAccessKey *AWSAccessKeyTarget `json:"awsAccessKey,omitempty"`
	// Anything else: a pair of HTTP endpoints that make and remove it.
	// +optional
	Webhook *WebhookTarget `json:"webhook,omitempty"`
	// A key that only a person can make; Strongkeep reminds, and does the rest.
	// +optional
	Manual *ManualTarget `json:"manual,omitempty"`
}

// DatabaseTarget is an alternating role of the database engine.
type DatabaseTarget struct {
	// +optional
	// +kubebuilder:default=database
	Mount string `json:"mount,omitempty"`
	// A role below alternating-roles/.
	Role string `json:"role"`
}

// KVPath is where a value lives in a KV v2 engine.
type KVPath struct {
	// +optional
	// +kubebuilder:default=secret
	Mount string `json:"mount,omitempty"`
	// Such as "my-app/signing-key", without "data/".
	Path string `json:"path"`
}

// KVTarget is a value at a KV v2 path. Keys that are not named stay as they are.
type KVTarget struct {
	KVPath `json:",inline"`
	// What is made anew.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +listType=map
	// +listMapKey=property
	Generate []Generated `json:"generate"`
}

// Generated is one property that is made anew.
type Generated struct {
	// The property of the value, such as "password".
	Property string `json:"property"`
	// A password policy of the vault (sys/policies/password). Empty: Length
	// letters and digits.
	// +optional
	PasswordPolicy string `json:"passwordPolicy,omitempty"`
	// 32 when not set; without PasswordPolicy only.
	// +optional
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=1024
	Length *int32 `json:"length,omitempty"`
	// The property that holds the value of the turn before, such as
	// "previousPassword", for verifiers that must accept both. Removed when the
	// old one is retired.
	// +optional
	Previous string `json:"previous,omitempty"`
}

// CertificateTarget is a certificate of the PKI engine.
type CertificateTarget struct {
	KVPath `json:",inline"`
	// +optional
	// +kubebuilder:default=pki
	PKIMount string `json:"pkiMount,omitempty"`
	PKIRole  string `json:"pkiRole"`

	CommonName string `json:"commonName"`
	// +optional
	AltNames []string `json:"altNames,omitempty"`
	// +optional
	IPSans []string `json:"ipSans,omitempty"`
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	TTL *metav1.Duration `json:"ttl,omitempty"`
	// The KV v2 path, in the same mount, of the CA bundle that clients trust. While
	// an issuer changes, it holds the old and the new certificate authority.
	// +optional
	BundlePath string `json:"bundlePath,omitempty"`
	// For how long a new certificate authority must have been in the bundle before
	// a certificate of it is published: the time in which everything that reads the
	// bundle has it. 15m when not set.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	BundleSettle *metav1.Duration `json:"bundleSettle,omitempty"`
}

// AWSAccessKeyTarget is an access key of an IAM user.
type AWSAccessKeyTarget struct {
	KVPath   `json:",inline"`
	UserName string `json:"userName"`
	// +optional
	// +kubebuilder:default=us-east-1
	Region string `json:"region,omitempty"`
	// Endpoint of IAM and STS, when they are not Amazon's own.
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// A Secret with keys accessKeyID and secretAccessKey that may manage the
	// user's keys. Empty: the key at the path manages itself.
	// +optional
	CredentialsSecret string `json:"credentialsSecret,omitempty"`
}

// WebhookTarget is a pair of endpoints. docs/rotation/webhook.md has the requests.
type WebhookTarget struct {
	KVPath `json:",inline"`
	// Where each act is POSTed.
	// +kubebuilder:validation:Pattern=`^https://`
	URL string `json:"url"`
	// PEM of the certificate authority of URL; the system's when empty.
	// +optional
	CABundle string `json:"caBundle,omitempty"`
	// A Secret whose key "key" signs requests (HMAC-SHA256).
	SigningSecret string `json:"signingSecret"`
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`
}

// ManualTarget is a key that a person makes and pastes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.remindEvery) || duration(self.remindEvery) >= duration('1m')",message="remindEvery must be at least 1m"
type ManualTarget struct {
	KVPath `json:",inline"`
	// Where the person makes it, shown in reminders.
	// +optional
	Instructions string `json:"instructions,omitempty"`
	// How often to remind; 24h when not set.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	RemindEvery *metav1.Duration `json:"remindEvery,omitempty"`
}

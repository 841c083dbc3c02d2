package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Rotation says which credential is changed, when, who must be seen to use the
// new one, and what happens to the old one. docs/rotation.md has the guarantees.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={strongkeep},shortName=rot
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Turn",type=integer,JSONPath=`.status.turn`
// +kubebuilder:printcolumn:name="Proven",type=string,JSONPath=`.status.proof.summary`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Progressing")].reason`
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.lastDone`
// +kubebuilder:printcolumn:name="Next",type=string,JSONPath=`.status.next`
type Rotation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   RotationSpec   `json:"spec"`
	Status RotationStatus `json:"status,omitempty"`
}

// RotationList is a list of Rotations.
//
// +kubebuilder:object:root=true
type RotationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Rotation `json:"items"`
}

// RotationSpec is what a user asks for.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.proof) && has(self.proof.pod) && 'Template' in self.proof.pod && has(self.rollout) && has(self.rollout.method) && self.rollout.method == 'None')",message="proof.pod asks for Template, which no pod can ever have with rollout.method None: choose Template or Evict, or another proof"
// +kubebuilder:validation:XValidation:rule="!(has(self.proof) && has(self.proof.backend) && self.proof.backend == 'Required') || has(self.target.database) || has(self.target.awsAccessKey)",message="proof.backend is Required, but only database and awsAccessKey have a backend that sees who uses the credential: say WhereKnown"
// +kubebuilder:validation:XValidation:rule="!(has(self.proof) && has(self.proof.pod) && 'Backend' in self.proof.pod) || has(self.target.database)",message="proof.pod asks for Backend, but only a database sees which pod uses the credential: choose another proof"
type RotationSpec struct {
	// What is rotated.
	Target Target `json:"target"`

	// The class of a RotationPolicy that this credential belongs to, such as
	// "database". It gives the maximum age where schedule says nothing.
	// +optional
	Class string `json:"class,omitempty"`

	// When a new turn begins. Nothing set: on demand only.
	// +optional
	Schedule Schedule `json:"schedule,omitempty"`

	// When consumers may be restarted and credentials closed: any of these. None:
	// always. Staging is harmless and minds no window.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	Windows []Window `json:"windows,omitempty"`

	// When nothing may be touched, whatever the windows say.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	Freezes []Freeze `json:"freezes,omitempty"`

	// Begins no turn, and holds one under way, while true.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Manual: a staged turn waits for `strongkeep rotation approve`.
	// +optional
	// +kubebuilder:default=Automatic
	// +kubebuilder:validation:Enum=Automatic;Manual
	Approval Approval `json:"approval,omitempty"`

	// Who uses the credential.
	// +optional
	Consumers Consumers `json:"consumers,omitempty"`

	// What must be shown before the old credential is closed.
	// +optional
	Proof Proof `json:"proof,omitempty"`

	// How long old and new both work, and what happens at the limit.
	// +optional
	Overlap Overlap `json:"overlap,omitempty"`

	// How consumers are restarted.
	// +optional
	Rollout Rollout `json:"rollout,omitempty"`
}

// Approval says whether a person must agree.
type Approval string

// The ways of approval.
const (
	ApprovalAutomatic Approval = "Automatic"
	ApprovalManual    Approval = "Manual"
)

// Schedule says when a turn begins. Several may be set: the first to come counts.
//
// +kubebuilder:validation:XValidation:rule="!has(self.interval) || duration(self.interval) >= duration('1m')",message="interval must be at least 1m"
// +kubebuilder:validation:XValidation:rule="!has(self.maxAge) || duration(self.maxAge) >= duration('1m')",message="maxAge must be at least 1m"
// +kubebuilder:validation:XValidation:rule="!has(self.timeZone) || size(self.timeZone) == 0 || has(self.cron) && size(self.cron) > 0",message="timeZone is that of cron, which is empty"
type Schedule struct {
	// A cron expression of five fields, such as "0 3 * * 0".
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^\s*(\S+(\s+\S+){4}\s*)?$`
	Cron string `json:"cron,omitempty"`
	// The time zone of cron, such as "Europe/Berlin"; UTC when empty.
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
	// Time from the end of one turn to the beginning of the next, such as "720h".
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	Interval *metav1.Duration `json:"interval,omitempty"`
	// The age of the credential, by what its store says, at which a turn begins.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	MaxAge *metav1.Duration `json:"maxAge,omitempty"`
	// Begins a turn when a leak is reported (`strongkeep rotation leaked`), at
	// once and outside windows; freezes still hold.
	// +optional
	// +kubebuilder:default=true
	OnLeak *bool `json:"onLeak,omitempty"`
}

// Window is a time that comes again.
//
// +kubebuilder:validation:XValidation:rule="duration(self.duration) >= duration('1m') && duration(self.duration) <= duration('8784h')",message="duration must be between 1m and 8784h"
type Window struct {
	// When it opens: a cron expression of five fields.
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:Pattern=`^\s*\S+(\s+\S+){4}\s*$`
	Cron string `json:"cron"`
	// How long it is open, such as "4h".
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	Duration metav1.Duration `json:"duration"`
	// The time zone of cron; UTC when empty.
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
}

// Freeze is a time in which nothing is touched.
//
// +kubebuilder:validation:XValidation:rule="self.until > self.from",message="until must be after from"
type Freeze struct {
	From  metav1.Time `json:"from"`
	Until metav1.Time `json:"until"`
	// Shown to who asks why nothing happens.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// Consumers says who uses the credential.
type Consumers struct {
	// Further Secrets that hold it, beside those that ExternalSecrets feed from
	// it: copies made by other tools. They must come to hold the new version by
	// themselves; Strongkeep reads and waits.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	Secrets []SecretRef `json:"secrets,omitempty"`
	// Further workloads that use it, which cannot be found by walking from Secrets.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	Workloads []WorkloadRef `json:"workloads,omitempty"`
	// Other clusters where Secrets are fed from the same credential. They are looked
	// at, restarted and proven like this one; while one of them cannot be asked the
	// turn is held.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +listType=map
	// +listMapKey=name
	Clusters []ClusterRef `json:"clusters,omitempty"`
	// Complete: hold while consumers cannot all be known. Known: go on with those
	// that are known, and say what could not be asked.
	// +optional
	// +kubebuilder:default=Complete
	// +kubebuilder:validation:Enum=Complete;Known
	Require Completeness `json:"require,omitempty"`
}

// Completeness says what must be known of consumers.
type Completeness string

// The kinds of completeness.
const (
	RequireComplete Completeness = "Complete"
	RequireKnown    Completeness = "Known"
)

// SecretRef names a Secret of the Rotation's namespace; Namespace may say so, and
// is refused when it names another.
type SecretRef struct {
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// WorkloadRef names what owns pods in the Rotation's namespace; Namespace may say
// so, and is refused when it names another.
type WorkloadRef struct {
	// +optional
	// +kubebuilder:default="apps/v1"
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	// +optional
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// ClusterRef reaches another cluster.
type ClusterRef struct {
	// What the status, messages and evidence call it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// A Secret of the Rotation's namespace whose key "kubeconfig" reaches it, with a
	// token or a certificate in it: no files, no commands.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	KubeconfigSecret string `json:"kubeconfigSecret"`
	// Addresses by which the stores of that cluster reach the vault that has the
	// credential, such as "https://vault.example.com:8200", where they are others than
	// that of this Rotation's store.
	// +optional
	// +kubebuilder:validation:MaxItems=16
	// +listType=set
	Servers []string `json:"servers,omitempty"`
	// The namespace of Strongkeep's operator there, if it has one: stamps are then
	// made with its key, so that the two agree. The namespace of this operator when
	// empty.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	OperatorNamespace string `json:"operatorNamespace,omitempty"`
}

// Proof says what must be shown for each pod.
type Proof struct {
	// The evidence required of every pod that uses the credential. Empty: the
	// strongest that the pod's way of using it can give, at least Template for
	// environment variables and subPath, File or Template for volumes.
	// +optional
	// +listType=set
	Pod []EvidenceKind `json:"pod,omitempty"`
	// Whether the backend must say that nobody uses the old credential any more:
	// Required, WhereKnown (the target can tell) or Ignored.
	// +optional
	// +kubebuilder:default=WhereKnown
	// +kubebuilder:validation:Enum=Required;WhereKnown;Ignored
	Backend BackendProof `json:"backend,omitempty"`
	// Whether clients that read the credential from the vault themselves must be seen
	// to have the new version, or to have ended: Required (the turn is held while the
	// vault cannot name them all), WhereKnown (those that it names) or Ignored (nobody
	// asks).
	// +optional
	// +kubebuilder:default=WhereKnown
	// +kubebuilder:validation:Enum=Required;WhereKnown;Ignored
	Clients ClientProof `json:"clients,omitempty"`
}

// ClientProof says which clients of the vault must be proven.
type ClientProof string

// The values of ClientProof.
const (
	ClientsRequired   ClientProof = "Required"
	ClientsWhereKnown ClientProof = "WhereKnown"
	ClientsIgnored    ClientProof = "Ignored"
)

// BackendProof says what the backend's word is worth.
type BackendProof string

// The values of BackendProof.
const (
	BackendRequired   BackendProof = "Required"
	BackendWhereKnown BackendProof = "WhereKnown"
	BackendIgnored    BackendProof = "Ignored"
)

// EvidenceKind is one way to know that a pod runs on the new credential.
//
// +kubebuilder:validation:Enum=Template;File;Application;Backend
type EvidenceKind string

// The kinds of evidence, weakest first; docs/rotation.md says what each is worth.
const (
	// EvidenceTemplate: the pod was created from a template stamped with this
	// version, after the Secret of that version was confirmed.
	EvidenceTemplate EvidenceKind = "Template"
	// EvidenceFile: the mounted file, as its node sees it, is that of this version.
	EvidenceFile EvidenceKind = "File"
	// EvidenceApplication: the application says so, by endpoint or annotation.
	EvidenceApplication EvidenceKind = "Application"
	// EvidenceBackend: the backend sees the pod's address on the new credential,
	// and none on the old one.
	EvidenceBackend EvidenceKind = "Backend"
)

// Overlap says how long old and new both work.
type Overlap struct {
	// The longest time from publishing to closing; 24h when not set. 0 is no limit.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	Max *metav1.Duration `json:"max,omitempty"`
	// At the limit: Hold keeps both working and alerts, RollBack goes back to the old one.
	// +optional
	// +kubebuilder:default=Hold
	// +kubebuilder:validation:Enum=Hold;RollBack
	AtLimit AtLimit `json:"atLimit,omitempty"`
	// How long the closed credential is watched before it is removed; 10m when not set.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	Watch *metav1.Duration `json:"watch,omitempty"`
}

// AtLimit says what happens at a limit.
type AtLimit string

// The values of AtLimit.
const (
	AtLimitHold     AtLimit = "Hold"
	AtLimitRollBack AtLimit = "RollBack"
)

// Rollout says how consumers are restarted.
type Rollout struct {
	// Template: a stamp in the pod template, by server-side apply. Evict: pods are
	// evicted, nothing in the workload is written (for GitOps tools that undo
	// foreign changes). None: nobody is restarted; consumers reload by themselves.
	// +optional
	// +kubebuilder:default=Template
	// +kubebuilder:validation:Enum=Template;Evict;None
	Method RolloutMethod `json:"method,omitempty"`
	// How many workloads of this Rotation are rolled at once; 5 when not set. The
	// operator's own limit for the whole cluster counts too.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxConcurrent *int32 `json:"maxConcurrent,omitempty"`
	// A rollout that is not done in this time has failed; 10m when not set.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^(0|([0-9]{1,6}(\.[0-9]{1,9})?h)?([0-9]{1,7}(\.[0-9]{1,9})?m)?([0-9]{1,9}(\.[0-9]{1,9})?s)?([0-9]{1,9}(\.[0-9]{1,9})?(ms|us|µs|ns))?)$`
	Deadline *metav1.Duration `json:"deadline,omitempty"`
}

// RolloutMethod is a way to restart.
type RolloutMethod string

// The ways to restart.
const (
	RolloutTemplate RolloutMethod = "Template"
	RolloutEvict    RolloutMethod = "Evict"
	RolloutNone     RolloutMethod = "None"
)

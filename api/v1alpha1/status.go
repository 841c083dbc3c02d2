package v1alpha1

import (
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Phase is where a turn is.
type Phase string

// The phases of a turn, in the order of a turn that succeeds; then those beside it.
const (
	PhaseIdle       Phase = "Idle"
	PhaseStaging    Phase = "Staging"
	PhaseStaged     Phase = "Staged"
	PhasePublishing Phase = "Publishing"
	PhaseRolling    Phase = "Rolling"
	PhaseProving    Phase = "Proving"
	PhaseQuiescing  Phase = "Quiescing"
	PhaseRetiring   Phase = "Retiring"
	PhaseDone       Phase = "Done"

	PhaseHeld        Phase = "Held"
	PhaseRollingBack Phase = "RollingBack"
	PhaseFailed      Phase = "Failed"
)

// Condition types of a Rotation.
const (
	// ConditionReady: the spec is valid and the credential not overdue.
	ConditionReady = "Ready"
	// ConditionProgressing: a turn is under way and goes on by itself.
	ConditionProgressing = "Progressing"
	// ConditionHeld: a turn waits for somebody; the message ends with the next command.
	ConditionHeld = "Held"
	// ConditionProven: the last turn ended with evidence for every consumer.
	ConditionProven = "Proven"
	// ConditionObserved: everything that must be asked could be asked.
	ConditionObserved = "Observed"
)

// Annotations by which people ask; the command line writes them. Values that
// name a turn count for that turn only.
const (
	AnnotationRotate  = Group + "/rotate"           // any text not seen before: begin a turn
	AnnotationLeaked  = Group + "/leaked"           // the same, and at once
	AnnotationApprove = Group + "/approve"          // a turn's number: go on from Staged
	AnnotationHold    = Group + "/hold"             // a reason: hold until the annotation is gone
	AnnotationResume  = Group + "/resume"           // a turn's number and Held's time: try again
	AnnotationBack    = Group + "/rollback"         // a turn's number: go back
	AnnotationAccept  = Group + "/accept-unproven"  // a turn's number: close without full proof
	AnnotationLost    = Group + "/retire-confirmed" // a turn's number: a person removed the old one (manual)
	AnnotationTry     = Group + "/rehearse"         // any text not seen before: rehearse a turn; see RehearseWithPods
)

// RotationStatus is what is known. It is written before the act it announces.
type RotationStatus struct {
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// The phase a held turn came from.
	// +optional
	HeldFrom Phase `json:"heldFrom,omitempty"`
	// Number of the turn under way, or of the last one; 0 before the first.
	// +optional
	Turn int64 `json:"turn,omitempty"`
	// Why this turn was begun: Schedule, Interval, Age, Demand, Leak.
	// +optional
	Cause string `json:"cause,omitempty"`
	// The act announced and not known to be done.
	// +optional
	Act string `json:"act,omitempty"`
	// Grows with every act that is announced, and goes with it: what a target sees
	// with a lower number comes late, from an operator that was stopped, and is refused.
	// +optional
	Fence int64 `json:"fence,omitempty"`
	// When this phase was entered, the turn begun, the new one staged and published, the
	// old one closed; when the one that went was removed, and nothing but the statement
	// was left to do.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// +optional
	Begun *metav1.Time `json:"begun,omitempty"`
	// +optional
	StagedAt *metav1.Time `json:"stagedAt,omitempty"`
	// +optional
	PublishedAt *metav1.Time `json:"publishedAt,omitempty"`
	// +optional
	ClosedAt *metav1.Time `json:"closedAt,omitempty"`
	// +optional
	RetiredAt *metav1.Time `json:"retiredAt,omitempty"`
	// +optional
	EndedAt *metav1.Time `json:"endedAt,omitempty"`
	// Whether the turn is on its way back, and how far: Reopened, Republished, Rolled, Discarded.
	// +optional
	Back string `json:"back,omitempty"`
	// Why it went back, until the next turn begins.
	// +optional
	BackReason string `json:"backReason,omitempty"`
	// +optional
	BackMessage string `json:"backMessage,omitempty"`
	// When a person last let this turn go on, or it turned back; limits count from then.
	// +optional
	ResumedAt *metav1.Time `json:"resumedAt,omitempty"`
	// Why it is held, such as "ProofImpossible"; with phase Held only.
	// +optional
	HeldFor string `json:"heldFor,omitempty"`
	// +optional
	HeldMessage string `json:"heldMessage,omitempty"`
	// When people were last reminded of what waits for them in this phase: a key, an
	// approval, a confirmation, a hold.
	// +optional
	RemindedAt *metav1.Time `json:"remindedAt,omitempty"`
	// Whether nothing was published before this turn.
	// +optional
	First bool `json:"first,omitempty"`
	// The version that Secrets must hold, as the store names it, and the one before.
	// +optional
	Version string `json:"version,omitempty"`
	// +optional
	PreviousVersion string `json:"previousVersion,omitempty"`
	// When the one before was published, as far as the store knows: who has read it
	// since may still have it.
	// +optional
	PreviousAt *metav1.Time `json:"previousAt,omitempty"`
	// Where the credential is read: server, namespace and path, never a value. Two
	// Rotations of one location: the younger is refused.
	// +optional
	Location string `json:"location,omitempty"`
	// Consumers that did not run before this turn published, with the number of
	// their pods that did not, such as "apps/Deployment/ns/web": 2. They are not
	// held against the turn.
	// +optional
	Baseline map[string]int32 `json:"baseline,omitempty"`
	// Copies of the credential that were found by what they hold, before this turn
	// published: afterwards nothing tells them from any other object.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	Copies []CopyStatus `json:"copies,omitempty"`
	// Requests already honoured, by annotation.
	// +optional
	Honoured map[string]string `json:"honoured,omitempty"`

	// +optional
	Proof ProofStatus `json:"proof,omitempty"`

	// What the last rehearsal found, or that one is under way.
	// +optional
	Rehearsal *RehearsalStatus `json:"rehearsal,omitempty"`

	// When the last turn ended well, and when the next begins.
	// +optional
	LastDone *metav1.Time `json:"lastDone,omitempty"`
	// +optional
	Next string `json:"next,omitempty"`
	// Where the signed statement of the last turn is, such as "evidence/statements/ns/name/7".
	// +optional
	Statement string `json:"statement,omitempty"`

	// Statements that the vault has not taken yet, oldest first.
	// +optional
	// +kubebuilder:validation:MaxItems=4
	Pending []PendingStatement `json:"pending,omitempty"`

	// What happened in this turn and the one before, oldest first.
	// +optional
	Timeline []TimelineEntry `json:"timeline,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// CopyStatus is a Secret or ConfigMap that holds a value of a Secret that is fed
// from the credential.
type CopyStatus struct {
	// +optional
	Cluster   string `json:"cluster,omitempty"`
	Kind      string `json:"kind"` // Secret or ConfigMap
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// The Secret that it is a copy of, as "namespace/name", and in which keys it has
	// its values, at most 16.
	Source string   `json:"source"`
	Keys   []string `json:"keys,omitempty"`
	// The tool that keeps it true; absent where nothing does.
	// +optional
	Tool string `json:"tool,omitempty"`
}

// PendingStatement is a statement that waits to be signed and stored.
type PendingStatement struct {
	Turn int64 `json:"turn"`
	// The statement as JSON, at most 64 KiB: pods are left out of a greater one,
	// those with proof first, and it says how many.
	Statement string `json:"statement"`
}

// TimelineEntry is one thing that happened.
type TimelineEntry struct {
	Time metav1.Time `json:"time"`
	Turn int64       `json:"turn"`
	// The phase entered.
	Phase  Phase  `json:"phase"`
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
}

// ProofStatus is what is shown so far.
type ProofStatus struct {
	// Such as "38/40 pods".
	// +optional
	Summary string `json:"summary,omitempty"`
	// Secrets fed from the credential, and those confirmed to hold the version.
	// +optional
	Secrets int32 `json:"secrets,omitempty"`
	// +optional
	SecretsConfirmed int32 `json:"secretsConfirmed,omitempty"`
	// +optional
	Workloads int32 `json:"workloads,omitempty"`
	// +optional
	Pods int32 `json:"pods,omitempty"`
	// +optional
	PodsProven int32 `json:"podsProven,omitempty"`
	// Sessions of the old and the new credential that the backend sees; absent
	// where it cannot tell.
	// +optional
	OldSessions *int32 `json:"oldSessions,omitempty"`
	// +optional
	NewSessions *int32 `json:"newSessions,omitempty"`
	// SessionsPartial says what the backend cannot see; empty: it sees all.
	// +optional
	SessionsPartial string `json:"sessionsPartial,omitempty"`
	// Whether every source of consumers could be asked, and which could not.
	// +optional
	Complete bool `json:"complete,omitempty"`
	// +optional
	Unknown []string `json:"unknown,omitempty"`
	// Clients that read it from the vault themselves; absent where nobody was asked.
	// +optional
	Clients *ClientsStatus `json:"clients,omitempty"`
	// Each pod with its evidence; at most 200, those without proof first.
	// +optional
	Evidence []PodEvidence `json:"evidence,omitempty"`
}

// ClientsStatus is what the vault says of its clients.
type ClientsStatus struct {
	// Clients that have read the credential since the old version was published;
	// those that have the version wanted; and those of which no token lives any more.
	Total  int32 `json:"total"`
	Proven int32 `json:"proven"`
	Ended  int32 `json:"ended"`
	// Whether the vault can name them all, and why not.
	Complete bool `json:"complete"`
	// +optional
	Unknown []string `json:"unknown,omitempty"`
	// At most 50, those that are awaited first, those that have ended last.
	// +optional
	Evidence []ClientEvidence `json:"evidence,omitempty"`
}

// ClientEvidence is what is known of one client of the vault: an entity, or a token
// that stands for none.
type ClientEvidence struct {
	// Such as "entity web (userpass-web)".
	Name string `json:"name"`
	// +optional
	EntityID string `json:"entityID,omitempty"`
	// Where it logged in, such as "auth/kubernetes/login", and by which role.
	// +optional
	Auth string `json:"auth,omitempty"`
	// +optional
	Role string `json:"role,omitempty"`
	// Of its last read.
	// +optional
	Address string `json:"address,omitempty"`
	// +optional
	Version string `json:"version,omitempty"`
	// +optional
	LastRead *metav1.Time `json:"lastRead,omitempty"`
	// Reads of all its tokens.
	// +optional
	Reads int64 `json:"reads,omitempty"`
	// Tokens and leases of it that live.
	// +optional
	Tokens int32 `json:"tokens,omitempty"`
	// +optional
	Leases int32 `json:"leases,omitempty"`
	Proven bool  `json:"proven"`
	// No token of it lives: it reads no more.
	// +optional
	Ended bool `json:"ended,omitempty"`
	// What is missing, and what to do.
	// +optional
	Missing string `json:"missing,omitempty"`
}

// PodEvidence is what is known of one pod.
type PodEvidence struct {
	// +optional
	Cluster   string `json:"cluster,omitempty"`
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	UID       string `json:"uid"`
	// What owns it, such as "Deployment/web".
	// +optional
	Workload string `json:"workload,omitempty"`
	// How it uses the credential, such as "env DB_PASSWORD", "volume /etc/db".
	// +optional
	Uses []string `json:"uses,omitempty"`
	// The kinds of evidence there are.
	// +optional
	Has    []EvidenceKind `json:"has,omitempty"`
	Proven bool           `json:"proven"`
	// What is missing, and what to do.
	// +optional
	Missing string `json:"missing,omitempty"`
}

// ResumeKey is the value of AnnotationResume that goes on from Held: it counts
// for this turn, held at this time, and no other.
func (s *RotationStatus) ResumeKey() string {
	if s.Since == nil {
		return ""
	}
	return strconv.FormatInt(s.Turn, 10) + "@" + s.Since.UTC().Format(time.RFC3339)
}

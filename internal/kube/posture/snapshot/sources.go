package snapshot

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Source is an object that makes a Secret, a ConfigMap, or files in pods of a
// credential that lives somewhere else: ExternalSecret, PushSecret (the other way),
// SecretProviderClass, SealedSecret, Certificate, Rotation and the like.
type Source struct {
	Meta
	Group string `json:"group"`
	Kind  string `json:"kind"`
	// Store that it reads (or writes), zero of what has none.
	Store Ref `json:"store,omitzero"`
	// Makes are the objects it makes; Reads those of the cluster whose values it takes
	// somewhere (PushSecret) or changes at their source (Rotation).
	Makes []Ref `json:"makes,omitempty"`
	Reads []Ref `json:"reads,omitempty"`
	// Remote are the credentials it names, as the store calls them.
	Remote []Remote `json:"remote,omitempty"`
	// Generator says that values are made and not read.
	Generator bool `json:"generator,omitempty"`
	// Interval between two looks; 0: once, or when something changes.
	Interval time.Duration `json:"interval,omitempty"`
	// Ready is the condition Ready: "True", "False", "Unknown", or "" if it has none;
	// Reason is its reason (a word), and Since its last change.
	Ready  string    `json:"ready,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Synced is when it last looked or last made something, as its status says.
	Synced time.Time `json:"synced,omitzero"`
	// Rotates is, of a Rotation, the longest time between turns, as its schedule says; 0:
	// it has none. Manual says that people make the new values. Expires is, of a
	// Certificate, its notAfter.
	Rotates time.Duration `json:"rotates,omitempty"`
	Manual  bool          `json:"manual,omitempty"`
	Expires time.Time     `json:"expires,omitzero"`
	// Proven says that a Rotation's last turn was proven.
	Proven *bool `json:"proven,omitempty"`
}

// Remote is a credential in a store.
type Remote struct {
	Path     string `json:"path"`
	Property string `json:"property,omitempty"`
	// Key of the object that is made of it; "" for all of it.
	Key string `json:"key,omitempty"`
}

// Store is a SecretStore or ClusterSecretStore.
type Store struct {
	Meta
	Kind     string `json:"kind"`
	Provider string `json:"provider"` // "vault", "aws", …
	// Server and Mount say where: the address, and for a vault the path of the mount.
	Server string `json:"server,omitempty"`
	Mount  string `json:"mount,omitempty"`
	// Uses are the Secrets and ServiceAccounts it logs in with.
	Uses []Use `json:"uses,omitempty"`
	// Namespaces that may use it, and Conditions for more. With neither all may (or, of a
	// SecretStore, its own): Snapshot.Using says.
	Namespaces []string    `json:"namespaces,omitempty"`
	Conditions []Condition `json:"conditions,omitempty"`
	Ready      string      `json:"ready,omitempty"`
	Reason     string      `json:"reason,omitempty"`
}

// Condition lets namespaces use a Store: those whose name is like one of Regexes, and those
// with the Labels, if they are not nil. The zero Condition lets none.
type Condition struct {
	Regexes []string              `json:"regexes,omitempty"`
	Labels  *metav1.LabelSelector `json:"labels,omitempty"`
}

// Project is an AppProject of Argo CD: what Applications of it may do in this cluster.
type Project struct {
	Meta
	// From are patterns of the namespaces, beside its own, whose Applications may be of it.
	From []string `json:"from,omitempty"`
	// To are patterns of the namespaces that it writes to. What begins with "!" it does not
	// write to, and any other it does.
	To []string `json:"to,omitempty"`
	// Anywhere says that it may write ClusterRoleBindings, and so gets everywhere; Harmless
	// that of what it may write to namespaces nothing gives Secrets.
	Anywhere bool `json:"anywhere,omitempty"`
	Harmless bool `json:"harmless,omitempty"`
}

// Object is an object of another kind that holds values itself: those of a chart in a
// HelmRelease, a literal in a Workflow, what kubectl apply keeps of any.
type Object struct {
	Meta
	Group string `json:"group"`
	Kind  string `json:"kind"`
	// Resource is what RBAC calls it; "" if that is not known.
	Resource string  `json:"resource,omitempty"`
	Values   []Value `json:"values,omitempty"`
}

// Namespace is a namespace.
type Namespace struct {
	Meta
	Terminating bool `json:"terminating,omitempty"`
}

// Admission is a policy that admits or refuses what is written: a
// ValidatingAdmissionPolicy, a webhook, or a policy of Kyverno or Gatekeeper.
type Admission struct {
	Meta
	Group string `json:"group"`
	Kind  string `json:"kind"`
	// Secrets says that it is asked about Secrets that are created.
	Secrets bool `json:"secrets,omitempty"`
	// Enforced says that it refuses and does not merely tell.
	Enforced bool `json:"enforced,omitempty"`
	// Hands says that it is known to refuse every Secret that a person creates, in
	// every namespace. What other policies refuse is not judged.
	Hands bool `json:"hands,omitempty"`
}

// ByControllers is the expression, in CEL, of the policy that refuses Secrets which
// people write; by it a policy is known to do so. Blanks do not count.
const ByControllers = `request.userInfo.username.startsWith('system:serviceaccount:') ||
request.userInfo.username.startsWith('system:kube-') ||
'system:masters' in request.userInfo.groups`

// Control is what is known of the control plane. Where nothing could be read,
// it is nil or empty, and Coverage says why.
type Control struct {
	Version string `json:"version,omitempty"` // of the API server, "v1.36.1"
	// Managed is the cloud that runs it: "eks", "gke", "aks", or "".
	Managed string `json:"managed,omitempty"`
	// Servers are the API servers that run as pods, with the flags that matter here
	// (no flag that holds a value of a secret exists there).
	Servers []Server `json:"servers,omitempty"`
	// Encryption is the EncryptionConfiguration that was given, without its keys.
	Encryption *Encryption `json:"encryption,omitempty"`
	// Stored is what a signed report says of the Secrets in etcd; nil if none was given.
	Stored *Stored `json:"stored,omitempty"`
	// Transformations are counters of the API server that answered, by
	// resource, direction ("from_storage", "to_storage") and prefix ("identity",
	// "k8s:enc:kms:v2:…" cut after the name of the provider).
	Transformations []Transformation `json:"transformations,omitempty"`
	// Reloads is the API server's metric of the last successful reload of its
	// EncryptionConfiguration; zero if it has none.
	Reloaded time.Time `json:"reloaded,omitzero"`
	// Started is when the process of the API server that answered began, and with it its
	// counters, by its own clock; zero if its metrics do not tell.
	Started time.Time `json:"started,omitzero"`
	// InForce is the hash of the EncryptionConfiguration that the API server that answered
	// has in force, "sha256:…", as its metrics tell; "" if they do not.
	InForce string `json:"inForce,omitempty"`
	// AuditPolicy is the text of the policy that was given, YAML; it holds no secret.
	AuditPolicy []byte `json:"auditPolicy,omitempty"`
	// AuditPlace is where it came from.
	AuditPlace string `json:"auditPlace,omitempty"`
	// Migrations are StorageVersionMigrations.
	Migrations []Migration `json:"migrations,omitempty"`
}

// Stored is what a report of "strongkeep encryption report" says of Secrets. Its signature
// was verified when it was given.
type Stored struct {
	Place   string    `json:"place"`
	Cluster string    `json:"cluster"` // UID of kube-system
	Time    time.Time `json:"time"`    // when etcd was read
	Digest  string    `json:"digest"`  // of what was signed
	KeyID   string    `json:"keyID"`   // who signed
	// Current says that it was the running etcd of that cluster.
	Current bool `json:"current,omitempty"`
	// Under counts Secrets by what encrypts them; Clear are those that nothing does, or
	// that claim to be encrypted and cannot be read. Values are all.
	Under  map[string]int `json:"under,omitempty"`
	Clear  int            `json:"clear,omitempty"`
	Values int            `json:"values"`
	// Names of some of those in the clear, NAMESPACE/NAME.
	Names []string `json:"names,omitempty"`
	// Configuration answers whether all API servers had one configuration in force: Same,
	// Differs, or "not checked", as which anything else counts. Why says why.
	Configuration string `json:"configuration,omitempty"`
	Why           string `json:"why,omitempty"`
}

// What Stored.Configuration may be, in the words of the report.
const (
	Same    = "yes"
	Differs = "no"
)

// Server is an API server.
type Server struct {
	Name  string            `json:"name"`
	Flags map[string]string `json:"flags,omitempty"`
}

// Encryption is an EncryptionConfiguration without keys.
type Encryption struct {
	Place string `json:"place"`
	Hash  string `json:"hash,omitempty"` // of the file, as in Control.InForce
	Rules []Rule `json:"rules"`
	// Since is when it came into force, as the user says; zero if nobody said.
	Since time.Time `json:"since,omitzero"`
}

// Rule is one entry of its resources.
type Rule struct {
	Resources []string             `json:"resources"`
	Providers []EncryptionProvider `json:"providers"`
}

// EncryptionProvider is one provider of a Rule.
type EncryptionProvider struct {
	Kind string `json:"kind"` // identity, aescbc, aesgcm, secretbox, kms
	// Name and API version of a KMS.
	Name       string `json:"name,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
	Endpoint   string `json:"endpoint,omitempty"`
	// Keys is how many it has.
	Keys int `json:"keys,omitempty"`
}

// Transformation is a counter of values that went to or came from storage.
type Transformation struct {
	Resource string  `json:"resource"`
	Type     string  `json:"type"` // from_storage, to_storage
	Prefix   string  `json:"prefix"`
	Status   string  `json:"status"`
	Count    float64 `json:"count"`
}

// Migration is a StorageVersionMigration.
type Migration struct {
	Meta
	Resource  string `json:"resource"`
	Succeeded bool   `json:"succeeded,omitempty"`
	Failed    bool   `json:"failed,omitempty"`
	// Ended is when it did.
	Ended time.Time `json:"ended,omitzero"`
}

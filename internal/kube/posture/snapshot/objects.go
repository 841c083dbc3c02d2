package snapshot

import (
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
)

// Ref names an object. Group is its API group, "" of core; Namespace is empty of
// what lies in none.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String is "Kind namespace/name".
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Meta is what is kept of every object.
type Meta struct {
	Namespace string            `json:"namespace,omitempty"`
	Name      string            `json:"name"`
	UID       string            `json:"uid,omitempty"`
	Created   time.Time         `json:"created,omitzero"`
	Labels    map[string]string `json:"labels,omitempty"`
	// Annotations are those whose meaning is known and that hold no values: of
	// strongkeep.io, external-secrets.io, cert-manager.io, meta.helm.sh,
	// reloader.stakater.com, the replicators' and their like. What else there is
	// is fingerprinted (Holder.Values) and dropped.
	Annotations map[string]string `json:"annotations,omitempty"`
	Owners      []Owner           `json:"owners,omitempty"`
	// Writers are the entries of managedFields, the newest last.
	Writers []Writer `json:"writers,omitempty"`
	// Place is the file and document that it was read from; "" for a live cluster.
	Place string `json:"place,omitempty"`
}

// Owner is an ownerReference.
type Owner struct {
	Ref
	UID        string `json:"uid,omitempty"`
	Controller bool   `json:"controller,omitempty"`
}

// Writer is somebody who wrote fields of an object, as its managedFields say.
type Writer struct {
	Manager   string    `json:"manager"`
	Operation string    `json:"operation,omitempty"` // Apply or Update
	Time      time.Time `json:"time,omitzero"`
	// Content says that it owns some of what the object is about: of a Secret or
	// ConfigMap its data, of others their spec.
	Content bool `json:"content,omitempty"`
}

// Value is one value that was found in an object: its fingerprints, never itself.
type Value struct {
	// Field is where: `data.password`, `spec.containers[web].env[DB_PASSWORD]`,
	// `metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]`,
	// `release.config`. A key that may be a secret itself is shown as "*".
	// Fields of a Template begin at the pod: `spec.containers…`, `metadata.annotations…`.
	Field string `json:"field"`
	// Prints of the value, whole first, and of its parts; empty if all of it is weak
	// (see fingerprint.Weak).
	Prints []fingerprint.Part `json:"prints,omitempty"`
	// Size in bytes.
	Size int `json:"size"`
	// Looks is what it looks like; "" for nothing in particular.
	Looks Looks `json:"looks,omitempty"`
	// Part is where in the value that is which Looks tells, as in fingerprint.Part.Where:
	// "/spring/datasource/password". "" is all of it.
	Part string `json:"part,omitempty"`
}

// OfTemplate begins the Field of a value in an annotation of the template of a workload,
// which its pods have as one of their own.
const OfTemplate = "template."

// Holds reports whether a template has all of some values, at the same places.
func Holds(template, some []Value) bool {
	return !slices.ContainsFunc(some, func(v Value) bool {
		return !slices.ContainsFunc(template, func(t Value) bool {
			return (t.Field == v.Field || t.Field == OfTemplate+v.Field) && slices.Equal(t.Prints, v.Prints)
		})
	})
}

// Looks is what a value looks like, told while it is read.
type Looks string

// What values look like. The words are stable: programs read them.
const (
	LooksPrivateKey Looks = "PrivateKey"   // a PEM block with one
	LooksToken      Looks = "Token"        // a JWT, or a token by its issuer's prefix (ghp_, xoxb-, AKIA…)
	LooksURL        Looks = "PasswordURL"  // a URL or connection string with a password
	LooksNamed      Looks = "NamedSecret"  // its key's name says so, and the value is none of those that are not secrets
	LooksRandom     Looks = "Random"       // long and of high entropy
	LooksReference  Looks = "Reference"    // a path, a name of a Secret, ${VAR}: not a secret
	LooksCert       Looks = "Certificate"  // a certificate without its key
	LooksRegistry   Looks = "RegistryAuth" // a registry's login
)

// Sensitive reports whether what looks so is probably a secret.
func (l Looks) Sensitive() bool {
	return l != "" && l != LooksReference && l != LooksCert
}

// Secret is a Secret without its values.
type Secret struct {
	Meta
	Type      string `json:"type,omitempty"`
	Immutable bool   `json:"immutable,omitempty"`
	// Keys of its data, in order, also those whose values are weak.
	Keys []string `json:"keys,omitempty"`
	// Values has one for each key, and those in annotations. Empty, with Read
	// false, where only names could be listed.
	Values []Value `json:"values,omitempty"`
	Read   bool    `json:"read,omitempty"`
	// Changed is when its data last changed, as managedFields or Strongkeep's
	// annotations say; zero if nothing says so.
	Changed time.Time `json:"changed,omitzero"`
	// Certificate is the first one of tls.crt, or of another key with one.
	Certificate *Certificate `json:"certificate,omitempty"`
	// Account is the ServiceAccount of a token Secret.
	Account string `json:"account,omitempty"`
	// Release is what a Secret (or ConfigMap) of Helm holds; nil of others.
	Release *Release `json:"release,omitempty"`
}

// Certificate is what a certificate says, which is public.
type Certificate struct {
	Key        string    `json:"key"` // of the data
	Subject    string    `json:"subject,omitempty"`
	Issuer     string    `json:"issuer,omitempty"`
	DNSNames   []string  `json:"dnsNames,omitempty"`
	NotBefore  time.Time `json:"notBefore"`
	NotAfter   time.Time `json:"notAfter"`
	SelfSigned bool      `json:"selfSigned,omitempty"`
	CA         bool      `json:"ca,omitempty"`
}

// Release is a revision of a Helm release. Its values are the Values of the
// object it is stored in, by fields below `release.`.
type Release struct {
	Name     string `json:"name"`
	Chart    string `json:"chart,omitempty"`
	Revision int    `json:"revision"`
	Status   string `json:"status,omitempty"`
	// Unread says that some of it is too large to be looked into.
	Unread bool `json:"unread,omitempty"`
}

// ConfigMap is a ConfigMap without its values.
type ConfigMap struct {
	Meta
	Keys    []string  `json:"keys,omitempty"`
	Values  []Value   `json:"values,omitempty"`
	Changed time.Time `json:"changed,omitzero"`
	Release *Release  `json:"release,omitempty"`
}

// Account is a ServiceAccount.
type Account struct {
	Meta
	// Automount is automountServiceAccountToken; nil if it says nothing (which is yes).
	Automount   *bool    `json:"automount,omitempty"`
	Secrets     []string `json:"secrets,omitempty"`
	PullSecrets []string `json:"pullSecrets,omitempty"`
}

// Template is what is kept of a pod's spec.
type Template struct {
	Account string `json:"account"` // its ServiceAccount; "default" if none is named
	// Automount is automountServiceAccountToken of the spec; nil if it says nothing.
	Automount  *bool          `json:"automount,omitempty"`
	Containers []Container    `json:"containers,omitempty"` // init ones first, ephemeral ones last
	Secrets    []consumer.Use `json:"secrets,omitempty"`    // the ways in which it uses Secrets
	ConfigMaps []consumer.Use `json:"configMaps,omitempty"` // the same of ConfigMaps; Use.Secret is the name
	// Classes are the SecretProviderClasses it mounts.
	Classes []string `json:"classes,omitempty"`
	// Values are those of env literals, arguments and commands.
	Values []Value `json:"values,omitempty"`
	// TokenSeconds are the lifetimes of the projected tokens it asks for itself, with
	// their audiences.
	Tokens []Token `json:"tokens,omitempty"`
	// Privileged: what runs in it gets at the other pods of its node: by a container
	// that is privileged, the node's processes, or paths of the node.
	Privileged bool `json:"privileged,omitempty"`
	// Lowered is the ServiceAccount that a controller of Flux acts as, of the namespace of
	// the object that it acts for, if that names none (--default-service-account).
	Lowered string `json:"lowered,omitempty"`
}

// Container is one of a Template.
type Container struct {
	Name  string `json:"name"`
	Kind  string `json:"kind,omitempty"` // "init", "ephemeral", "sidecar" or ""
	Image string `json:"image,omitempty"`
}

// Token is a projected ServiceAccount token.
type Token struct {
	Audience string `json:"audience,omitempty"`
	Seconds  int64  `json:"seconds,omitempty"`
}

// Workload makes pods of a Template: Deployment, StatefulSet, DaemonSet, ReplicaSet
// and ReplicationController without an owner, Job, CronJob, Argo Rollout.
type Workload struct {
	Meta
	Group    string   `json:"group,omitempty"`
	Kind     string   `json:"kind"`
	Template Template `json:"template"`
	Replicas int32    `json:"replicas,omitempty"`
	// TemplateAnnotations are those of its pods that are known; see Meta.Annotations.
	TemplateAnnotations map[string]string `json:"templateAnnotations,omitempty"`
}

// Pod is a pod that runs or is to run.
type Pod struct {
	Meta
	Template
	Node string `json:"node,omitempty"`
	// Workload is the highest owner that is known; the pod itself for a bare one.
	Workload Ref       `json:"workload"`
	Phase    string    `json:"phase,omitempty"`
	Started  time.Time `json:"started,omitzero"`
}

// Use is something that refers to a Secret (or, with Kind, to another object with
// a credential) and is no pod: an Ingress, a Gateway, a webhook, a
// PersistentVolume, a ServiceAccount, a custom resource.
type Use struct {
	From Ref `json:"from"`
	// Field is where, `spec.tls[0].secretName`.
	Field string `json:"field"`
	To    Ref    `json:"to"`
	Key   string `json:"key,omitempty"`
}

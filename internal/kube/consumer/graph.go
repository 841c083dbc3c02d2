package consumer

import (
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Object names an object of a cluster. Cluster is empty for our own.
type Object struct {
	Cluster string
	Kind    schema.GroupVersionKind
	types.NamespacedName
}

// Cluster says how another cluster is reached, and what is meant there.
type Cluster struct {
	// Name that objects of it are told apart by; names differ.
	Name string
	// Kubeconfig is the Secret whose key "kubeconfig" reaches it.
	Kubeconfig types.NamespacedName
	// Servers are addresses by which stores there reach the vault that has the
	// credential, where they are others than in its location.
	Servers []string
	// Operator is the namespace of Strongkeep's operator there, if there is one;
	// empty: the same as here.
	Operator string
}

// ClustersOf returns the clusters that refs of a Rotation in namespace name.
// Kubeconfigs are of that namespace: nobody uses another's.
func ClustersOf(namespace string, refs []v1alpha1.ClusterRef) []Cluster {
	var out []Cluster
	for _, r := range refs {
		out = append(out, Cluster{r.Name, types.NamespacedName{Namespace: namespace, Name: r.KubeconfigSecret}, r.Servers, r.OperatorNamespace})
	}
	return out
}

// Unreached is a cluster that was to be looked at and could not be asked.
type Unreached struct {
	Cluster string
	Err     error // its kind says whether it is worth another try
}

// Wanted is what to look for.
type Wanted struct {
	// Namespace of who asks, for names without one.
	Namespace string
	// Location of the credential, as provider.Locator has it.
	Location string
	// Secrets and Workloads are named by the user, beside what is found.
	Secrets   []types.NamespacedName
	Workloads []Object
	// Clusters are those to be looked at beside our own.
	Clusters []Cluster
	// Scan asks for a search of every Secret and ConfigMap for copies of the
	// values, which reads them all: once per turn, before publishing, is enough.
	Scan bool
	// Copies are those that a Scan has found before: when the credential has
	// changed, nothing else tells them from any other object.
	Copies []Copy
	// Live asks the API server for pods and workloads, and not the caches that
	// follow it: for the last look before something cannot be undone.
	Live bool
}

// Graph is what was found, in a stable order: by cluster, namespace, name. UIDs of
// pods and workloads of other clusters have the cluster's name before them: none
// is taken for one of ours, whatever a cluster says.
type Graph struct {
	Secrets   []Fed
	Workloads []Workload
	Pods      []Pod
	// Others use a Secret without pods of ours: Ingress, Gateway, ServiceAccount,
	// webhook configuration. They follow the Secret by themselves.
	Others []Other
	// Copies are those of Wanted, or those that a Scan has found, that are there.
	Copies []Copy
	// Unknown says which sources could not be asked, and why. The graph is
	// complete when it is empty.
	Unknown []string
	// Unsearched are those of Unknown that only a Scan asks.
	Unsearched []string
	// Unreached are the clusters that could not be asked; of them nothing is known.
	// Unknown names them too.
	Unreached []Unreached
	// Bounds says what was not looked at because the operator is set so, such as
	// other namespaces. It is for people, and does not make the graph incomplete.
	Bounds []string
}

// Fed is a Secret that holds the credential, or a ConfigMap that should not.
type Fed struct {
	Object
	UID types.UID
	// Feeder is the ExternalSecret that writes it; empty when it is another's.
	Feeder types.NamespacedName
	// Version it holds, as the store names it; empty when that is not known.
	Version string
	// Digest is the keyed digest of its content (rollout stamps are made of it);
	// empty when there is no such Secret.
	Digest string
	// Changed is what came with Version; nil where nobody says.
	Changed *Change
	// ResourceVersion it was seen at.
	ResourceVersion string
	// Mirror: a copy by another tool or by hand, found by its content.
	Mirror bool
	// Source is the Secret that a known tool copies this one from.
	Source types.NamespacedName
	// Problem is why it cannot hold the version wanted: it is immutable, pinned to
	// a version, its ExternalSecret is suspended or fails. Empty when there is none.
	Problem string
	// Stuck: the Problem does not go away by itself.
	Stuck bool
}

// Copy is a Secret or ConfigMap that holds a secret value of a Secret that holds
// the credential.
type Copy struct {
	Object
	UID    types.UID
	Source types.NamespacedName // that Secret
	Tool   string               // that keeps it true; empty: nobody does
	Keys   []string             // that hold the value
}

// String names it for people, with what is known of why it is late.
func (f *Fed) String() string {
	text := "Secret " + f.NamespacedName.String()
	if f.Cluster != "" {
		text = f.Cluster + ": " + text
	}
	switch {
	case f.Problem != "":
		text += ": " + f.Problem
	case f.Version != "":
		text += ": it holds version " + f.Version
	}
	return text
}

// Change is which keys of a Secret have another value than with the version before.
type Change struct {
	Keys []string
	// Unsure: some have, and which is not known.
	Unsure bool
}

// SameValues reports whether a version has come to all of fed, and changed nothing
// in any of them.
func SameValues(fed []Fed, version string) bool {
	for i := range fed {
		if f := &fed[i]; f.Version != version || f.Changed == nil || f.Changed.Unsure || len(f.Changed.Keys) > 0 {
			return false
		}
	}
	return len(fed) > 0 && version != ""
}

// UseKind is a way to use a Secret.
type UseKind string

// The ways. Those of Static never change in a running container.
const (
	UseEnv       UseKind = "env"
	UseEnvFrom   UseKind = "envFrom"
	UseVolume    UseKind = "volume"
	UseProjected UseKind = "projected"
	UseSubPath   UseKind = "subPath"
	UseCSI       UseKind = "csi"
	UseStorage   UseKind = "storage" // the node mounts a volume with it
	UseImagePull UseKind = "imagePullSecrets"
	UseVault     UseKind = "vault" // a client of the vault itself
	UseNamed     UseKind = "named" // the user says so
)

// Static reports whether a container must be restarted to see a new value.
func (k UseKind) Static() bool {
	return k == UseEnv || k == UseEnvFrom || k == UseSubPath || k == UseStorage
}

// Use is one way in which a pod uses one Secret.
type Use struct {
	Kind   UseKind
	Secret string // its name, in the pod's namespace
	// Container that uses it; empty for the whole pod. Init says that it is an
	// init container that is over when the pod runs.
	Container string
	Init      bool
	// Where: the variable's name, or the path it is mounted at.
	Where string
	// Volume is the name of the volume of the pod that holds it, where there is
	// one; Items are key → path below the volume; empty for every key.
	Volume string
	Items  map[string]string
	// Key that is used, of UseEnv; else Items says. Optional says that the pod
	// starts without the Secret, or without that key.
	Key      string
	Optional bool
}

// Pod is a pod that uses the credential and has not ended.
type Pod struct {
	Object
	UID      types.UID
	Node, IP string
	// HostNetwork: IP is its node's, and that of others. Ports are those that the pod
	// declares there, which nobody else on the node is given; else nil.
	HostNetwork bool
	Ports       []int32
	// Workload is what restarts it, the highest owner that is known how to restart:
	// of a Deployment that another object owns, the Deployment; of a pod of a
	// CronJob's Job, the Job. The pod itself for a bare one.
	Workload Object
	Uses     []Use
	// Stamp is the content stamp that the pod was created with; see package rollout.
	Stamp string
	// Annotations whose keys begin with strongkeep.io/.
	Annotations map[string]string
	Created     time.Time
	// Ready, and whether it is being deleted. Failing says why it does not run,
	// such as "container web: CrashLoopBackOff, 3 restarts"; empty when it does.
	Ready, Deleting bool
	Failing         string
}

// Workload owns pods, or will.
type Workload struct {
	Object
	UID  types.UID
	Uses []Use // of its pod template; empty where the template is not known
	// Rolls: restarted by changing its pod template (Deployment, StatefulSet with
	// RollingUpdate, DaemonSet with RollingUpdate, Argo Rollout). Otherwise Why says
	// what happens instead: waited for (Job), next run (CronJob), evicted and
	// made anew (ReplicaSet, OnDelete), only a person can (bare pod).
	Rolls bool
	// Manner is the same for programs.
	Manner Manner
	Why    string
	// Owner is the object that owns it, and that may undo what is written to it;
	// zero when there is none.
	Owner  Object
	Paused bool
	// Stamp of its pod template.
	Stamp string
	// Marked is, with method Evict, for which contents all pods that were there are
	// marked, as a stamp; see package rollout.
	Marked string
	// Reload is the value of the annotation strongkeep.io/reload: "" (restart),
	// "restart", "signal" or "none".
	Reload string
}

// Manner is how the pods of a workload come to be made anew.
type Manner string

// The manners.
const (
	MannerTemplate Manner = "Template" // by changing its pod template
	MannerEvict    Manner = "Evict"    // by evicting them: the owner makes new ones
	MannerWait     Manner = "Wait"     // they end by themselves
	MannerNext     Manner = "Next"     // nothing runs: the next run is a new pod
	MannerPerson   Manner = "Person"   // only a person can
)

// Other is something else that uses a Secret.
type Other struct {
	Object
	Secret string
}

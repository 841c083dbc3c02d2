package doctor

import (
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	external "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Case is what was read of a cluster. It holds no value of a Secret, a ConfigMap or
// a variable. Symptoms do not change it.
type Case struct {
	Now time.Time
	// Coverage says what could not be read, by resource.
	Coverage snapshot.Coverage
	// Asked says that one object is asked about, and not whole namespaces: then what
	// is merely possible is told too.
	Asked bool
	// Only is the one namespace that was looked at, "" for all: where something
	// could be read there and not in all of them.
	Only string

	Namespaces []corev1.Namespace
	Pods       []corev1.Pod
	Workloads  []Workload
	Accounts   []corev1.ServiceAccount
	// Secrets are those of all namespaces, as far as they may be listed; ConfigMaps
	// those of the namespaces looked at.
	Secrets    []Held
	ConfigMaps []Held
	Externals  []external.ExternalSecret
	Stores     []external.SecretStore
	// ClusterStores are ClusterSecretStores; what differs is the namespace alone.
	ClusterStores []external.ClusterSecretStore
	// Events are the warnings.
	Events  []corev1.Event
	Hooks   []Hook
	Slices  []discoveryv1.EndpointSlice // of Services that hooks name
	Classes []Class
	// Drivers are the CSIDrivers of the cluster; Nodes which of them a node has.
	Drivers []string
	Nodes   []storagev1.CSINode
	// Operators are Deployments that run an operator of ExternalSecrets.
	Operators []appsv1.Deployment
	RBAC      access.Objects
}

// Workload is what makes pods.
type Workload struct {
	metav1.ObjectMeta
	Group, Kind string
	Template    corev1.PodTemplateSpec
	// At is the field of Template, "/spec/template".
	At string
	// Replicas wanted, how many are of the newest template, and how many are ready.
	Replicas, Updated, Ready int32
	// Stalled is the reason of a Deployment that does not come on, "ProgressDeadlineExceeded".
	Stalled string
	Paused  bool
	// Ended says of a Job that it is complete or has failed: Kubernetes never begins it again.
	Ended bool
}

// Ref names w.
func (w *Workload) Ref() snapshot.Ref {
	return snapshot.Ref{Group: w.Group, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
}

// Held is a Secret or ConfigMap by its metadata.
type Held struct {
	metav1.ObjectMeta
	// Keys, as managedFields have them. Sure says that these say all.
	Keys []string
	Sure bool
	// Changed is the newest write of somebody who owns data; zero if nothing says so.
	Changed time.Time
	// Writer is the manager of that write, "" if nothing says so.
	Writer string
}

// Hook is one webhook of a MutatingWebhookConfiguration or a
// ValidatingWebhookConfiguration.
type Hook struct {
	Configuration string
	Mutating      bool
	Name          string
	Client        admissionv1.WebhookClientConfig
	// Ignores: what it cannot be asked about goes on without it.
	Ignores    bool
	Namespaces *metav1.LabelSelector
	Objects    *metav1.LabelSelector
	// Pods says that it is asked about pods that are created.
	Pods bool
}

// Class is a SecretProviderClass, and the Secrets it makes while pods mount it.
type Class struct {
	Namespace, Name string
	Secrets         []string
}

// Secret returns a Secret, nil if there is none or it is not known.
func (c *Case) Secret(namespace, name string) *Held { return find(c.Secrets, namespace, name) }

// ConfigMap returns a ConfigMap, or nil.
func (c *Case) ConfigMap(namespace, name string) *Held { return find(c.ConfigMaps, namespace, name) }

func find(list []Held, namespace, name string) *Held {
	for i := range list {
		if h := &list[i]; h.Name == name && h.Namespace == namespace {
			return h
		}
	}
	return nil
}

// Account returns a ServiceAccount, or nil.
func (c *Case) Account(namespace, name string) *corev1.ServiceAccount {
	for i := range c.Accounts {
		if a := &c.Accounts[i]; a.Name == name && a.Namespace == namespace {
			return a
		}
	}
	return nil
}

// Namespace returns a Namespace, or nil.
func (c *Case) Namespace(name string) *corev1.Namespace {
	for i := range c.Namespaces {
		if c.Namespaces[i].Name == name {
			return &c.Namespaces[i]
		}
	}
	return nil
}

// Knows reports whether all of a resource was read in a namespace.
func (c *Case) Knows(resource, namespace string) bool {
	gap, asked := c.Coverage[resource]
	if !asked {
		return false
	}
	if gap.Reason == "" {
		return true
	}
	return namespace != "" && gap.Namespaces != nil && (c.Only == "" || c.Only == namespace) && !slices.Contains(gap.Namespaces, namespace)
}

// WorkloadOf returns what makes pods like p, nil for a bare one or where it is not
// known. ReplicaSets are looked through.
func (c *Case) WorkloadOf(p *corev1.Pod) *Workload {
	w := c.ownerOf(p.Namespace, p.OwnerReferences)
	if w == nil || w.Kind != "ReplicaSet" && w.Kind != "Job" {
		return w
	}
	if above := c.ownerOf(w.Namespace, w.OwnerReferences); above != nil {
		return above
	}
	return w
}

func (c *Case) ownerOf(namespace string, owners []metav1.OwnerReference) *Workload {
	for i := range owners {
		o := &owners[i]
		if o.Controller == nil || !*o.Controller {
			continue
		}
		for j := range c.Workloads {
			if w := &c.Workloads[j]; w.Kind == o.Kind && w.Name == o.Name && w.Namespace == namespace {
				return w
			}
		}
	}
	return nil
}

// Warnings returns the warnings about an object, newest first. uid may be empty.
func (c *Case) Warnings(kind, namespace, name string) []corev1.Event {
	var out []corev1.Event
	for i := range c.Events {
		if o := &c.Events[i].InvolvedObject; o.Kind == kind && o.Namespace == namespace && o.Name == name {
			out = append(out, c.Events[i])
		}
	}
	slices.SortStableFunc(out, func(a, b corev1.Event) int { return Seen(&b).Compare(Seen(&a)) })
	return out
}

// Seen is when an event was seen last.
func Seen(e *corev1.Event) time.Time {
	last := e.LastTimestamp.Time
	if e.EventTime.After(last) {
		last = e.EventTime.Time
	}
	if e.Series != nil && e.Series.LastObservedTime.After(last) {
		last = e.Series.LastObservedTime.Time
	}
	return last
}

// Partial is the metadata as others take it.
func (h *Held) Partial() *metav1.PartialObjectMetadata {
	return &metav1.PartialObjectMetadata{ObjectMeta: h.ObjectMeta}
}

// Endpoints is how many endpoints of a Service are ready.
func (c *Case) Endpoints(namespace, service string) int {
	n := 0
	for i := range c.Slices {
		s := &c.Slices[i]
		if s.Namespace != namespace || s.Labels[discoveryv1.LabelServiceName] != service {
			continue
		}
		for j := range s.Endpoints {
			if r := s.Endpoints[j].Conditions.Ready; r == nil || *r {
				n += len(s.Endpoints[j].Addresses)
			}
		}
	}
	return n
}

// Short bounds a text of somebody else's to one line that can be read.
func Short(s string) string {
	const most = 400
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

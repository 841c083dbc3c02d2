package path

import (
	"slices"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// Name is an object of a namespace.
type Name struct{ Namespace, Name string }

// String is namespace/name.
func (n Name) String() string { return n.Namespace + "/" + n.Name }

// Pod is what matters of a pod that runs or is to run.
type Pod struct {
	Name
	Account string // its ServiceAccount
	Node    string // "" until it has one
	// Secrets are those of its namespace that it uses in any way.
	Secrets []string
}

// Config is a cluster as a Finder sees it.
type Config struct {
	Policy *access.Policy
	Pods   []Pod
	// Serves reports whether the cluster has a resource. nil: only Kubernetes' own
	// of the groups core, apps and batch.
	Serves func(group, resource string) bool
}

// Finder answers who gets at Secrets. It is immutable and may be used by any
// number of goroutines.
type Finder struct {
	policy *access.Policy
	caps   map[Kind]map[string][]*Capability // by kind and namespace, "" the whole cluster
	pods   map[string][]*Pod                 // by namespace
	held   map[access.Subject][]*access.Binding
}

// New makes a Finder. Its cost is one look at each rule of each binding.
func New(c Config) *Finder {
	serves := c.Serves
	if serves == nil {
		serves = func(string, string) bool { return false }
	}
	f := &Finder{policy: c.Policy, caps: map[Kind]map[string][]*Capability{}, pods: map[string][]*Pod{}, held: map[access.Subject][]*access.Binding{}}
	rows := table(serves)
	for _, b := range c.Policy.Bindings() {
		found := capabilities(b, rows)
		for i := range found {
			f.keep(&found[i])
		}
		for _, s := range b.Subjects {
			f.held[s] = append(f.held[s], b)
		}
	}
	for i := range c.Pods {
		p := &c.Pods[i]
		f.pods[p.Namespace] = append(f.pods[p.Namespace], p)
	}
	return f
}

func (f *Finder) keep(c *Capability) {
	if f.caps[c.Kind] == nil {
		f.caps[c.Kind] = map[string][]*Capability{}
	}
	f.caps[c.Kind][c.Namespace] = append(f.caps[c.Kind][c.Namespace], c)
}

// in returns the capabilities of a kind that are in force in namespace, in the
// order of their bindings: the whole cluster's first.
func (f *Finder) in(k Kind, namespace string) []*Capability {
	all := f.caps[k][""]
	if namespace == "" {
		return all
	}
	return append(slices.Clip(all), f.caps[k][namespace]...)
}

// Step is one act of a chain.
type Step struct {
	Subject access.Subject
	// Kind is what Subject does. Capability is the right to it; nil for what needs
	// none: Superuser, Node.
	Kind       Kind
	Capability *Capability
	// On is what it is done to: a pod, a node, a ServiceAccount, the Secret.
	On string
	// Later says that it gives only what is written or created from then on.
	Later bool
}

// What needs no right that RBAC gives.
const (
	Superuser Kind = "Superuser" // system:masters, whom no authorizer is asked about
	Node      Kind = "Node"      // a node gets the Secrets of its pods
)

// Reader is somebody who gets at a Secret, by the shortest chain there is. The
// first Step's Subject is the reader, the last Step reads.
type Reader struct {
	Subject access.Subject
	Steps   []Step
}

// Direct reports whether the reader asks for the Secret itself.
func (r *Reader) Direct() bool { return len(r.Steps) == 1 && r.Steps[0].Kind == Read }

// Later reports whether the reader sees only what is written from now on.
func (r *Reader) Later() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Later })
}

// bootstrapping marks what Kubernetes itself puts into every cluster.
const bootstrapping = "kubernetes.io/bootstrapping"

// Builtin reports whether everything in the chain is as Kubernetes ships it: its
// controllers, its superusers, its nodes.
func (r *Reader) Builtin() bool {
	for _, s := range r.Steps {
		if s.Capability == nil {
			continue
		}
		if b := s.Capability.Grant.Binding; b.Labels[bootstrapping] != "rbac-defaults" || b.Role.Labels[bootstrapping] != "rbac-defaults" {
			return false
		}
	}
	return true
}

// Readers returns everybody who gets at a Secret: now first, then those who
// see what is written later; shorter chains first, then in the order of bindings.
// A Group stands for all its members. The Secret need not exist.
func (f *Finder) Readers(secret Name) []Reader {
	s := search{Finder: f, secret: secret, nodes: map[access.Subject]*node{}}
	s.direct()
	s.follow()
	s.later()
	s.follow()
	out := make([]Reader, len(s.order))
	for i, n := range s.order {
		out[i] = Reader{Subject: n.step.Subject}
		for ; n != nil; n = n.next {
			out[i].Steps = append(out[i].Steps, n.step)
		}
	}
	return out
}

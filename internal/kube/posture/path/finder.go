package path

import (
	"iter"
	"slices"
	"sync"

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
	// Secrets and ConfigMaps are those of its namespace that it uses in any way.
	Secrets    []string
	ConfigMaps []string
	// Privileged says that what runs in it gets at the other pods of its node.
	Privileged bool
	// Lowered says that it is an operator which acts as a ServiceAccount beside the object
	// that it acts for, and not as its own.
	Lowered bool
}

// Config is a cluster as a Finder sees it.
type Config struct {
	Policy *access.Policy
	Pods   []Pod
	// Serves reports whether the cluster has a resource. nil: only Kubernetes' own
	// of the groups core, apps and batch.
	Serves func(group, resource string) bool
	// Exists reports whether there is a Secret; nil if that is not known.
	Exists func(Name) bool
	// Holding are resources, by group and name, beside those of Kubernetes, of which some
	// object holds a value.
	Holding [][2]string
	// Namespaces are those that are known, and Open those of them into which Pod
	// Security lets pods that are not confined, as their labels say.
	Namespaces, Open []string
	Projects         []Project
	// Mapped says that the ConfigMap kube-system/aws-auth tells which groups people are
	// in, as on EKS; Maps that it is known to be there.
	Mapped, Maps bool
	// Copies returns the objects that hold a value of a Secret as well; nil if that
	// is not known. Offers returns who hands it out.
	Copies func(Name) []Copy
	Offers func(Name) []Offer
}

// Copy is an object that holds the same value as a Secret; without a namespace, one that
// lies in none.
type Copy struct {
	Group, Resource string // "", "configmaps"
	Kind            string // for people, "ConfigMap"
	Name
}

// Finder answers who gets at Secrets. It is immutable and may be used by any
// number of goroutines.
type Finder struct {
	policy *access.Policy
	caps   map[Kind]map[string][]*Capability // by kind and namespace, "" the whole cluster
	plots  map[string]*plot                  // by namespace
	all    map[Kind][]*Capability            // of every namespace, of the kinds that offers and breakouts are about
	spaces []string                          // the namespaces that are known
	// anywhere are those who break out onto any node, and hosts the nodes that run pods.
	anywhere func() []breakout
	hosts    map[string]*host
	// lowly are ServiceAccounts of operators that act as others, lowered their names.
	lowly    map[Name]bool
	lowered  map[string]bool
	projects map[string][]*Project    // by namespace
	acts     map[string][]*Capability // DeputyActs by the name of the ServiceAccount
	// mapping says that a ConfigMap tells who people are, maps that it is known to be there.
	mapping, maps bool
	secrets       func(Name) bool
	copies        func(Name) []Copy
	offers        func(Name) []Offer
	// held are the bindings of each subject.
	held  func() map[access.Subject][]*access.Binding
	rows  *rows
	given sync.Map // *access.Role to the []Capability that gives returns
	// walked is what ways returns; borrowed that somebody may impersonate others by
	// constrained impersonation.
	walked   sync.Map
	borrowed bool
}

// New makes a Finder. Its cost is one look at each rule of each binding, and at each pod;
// what only some searches need is worked out when the first of them does.
func New(c Config) *Finder {
	serves := c.Serves
	if serves == nil {
		serves = func(string, string) bool { return false }
	}
	f := &Finder{
		policy: c.Policy, caps: map[Kind]map[string][]*Capability{}, plots: map[string]*plot{}, hosts: map[string]*host{},
		all: map[Kind][]*Capability{}, acts: map[string][]*Capability{},
		secrets: c.Exists, copies: c.Copies, offers: c.Offers, spaces: c.Namespaces,
		lowly: map[Name]bool{}, lowered: map[string]bool{}, mapping: c.Mapped, maps: c.Maps, projects: map[string][]*Project{},
	}
	for i := range c.Projects {
		f.projects[c.Projects[i].Namespace] = append(f.projects[c.Projects[i].Namespace], &c.Projects[i])
	}
	rows := table(serves)
	for _, r := range c.Holding {
		rows = append(rows, copied(r[0], r[1])...)
	}
	f.rows = newRows(rows)
	for _, b := range c.Policy.Bindings() {
		found := f.rows.capabilities(b)
		for i := range found {
			f.keep(&found[i])
		}
	}
	f.held = sync.OnceValue(func() map[access.Subject][]*access.Binding { return held(c.Policy) })
	f.settle(c.Pods)
	f.breakOuts(c.Open)
	return f
}

// held returns the bindings of each subject, in order.
func held(p *access.Policy) map[access.Subject][]*access.Binding {
	out := make(map[access.Subject][]*access.Binding, len(p.Bindings()))
	for _, b := range p.Bindings() {
		for _, s := range b.Subjects {
			out[s] = append(out[s], b)
		}
	}
	return out
}

func (f *Finder) keep(c *Capability) {
	if !c.matters() {
		return
	}
	f.borrowed = f.borrowed || slices.Contains(borrows, c.Kind)
	if f.caps[c.Kind] == nil {
		f.caps[c.Kind] = map[string][]*Capability{}
	}
	f.caps[c.Kind][c.Namespace] = append(f.caps[c.Kind][c.Namespace], c)
	switch c.Kind {
	case FetchSecrets, MirrorSecrets, CreatePods, CreateWorkloads, ApplyPods, LabelNamespaces:
		f.all[c.Kind] = append(f.all[c.Kind], c)
	case DeputyActs:
		for _, name := range c.deputy.accounts {
			f.acts[name] = append(f.acts[name], c)
		}
	}
}

// in goes through the capabilities of a kind that are in force in namespace, in
// the order of their bindings: the whole cluster's first.
func (f *Finder) in(k Kind, namespace string) iter.Seq[*Capability] {
	all := f.caps[k]
	return func(yield func(*Capability) bool) {
		for _, c := range all[""] {
			if !yield(c) {
				return
			}
		}
		if namespace == "" {
			return
		}
		for _, c := range all[namespace] {
			if !yield(c) {
				return
			}
		}
	}
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

// Builtin reports whether everything in the chain is as Kubernetes ships it: its
// controllers, its superusers, its nodes, which have what their pods have. Who was put
// into a shipped binding is not, nor what was put into a shipped role.
func (r *Reader) Builtin() bool {
	if len(r.Steps) > 0 && r.Steps[0].Kind == Node {
		return true
	}
	for _, s := range r.Steps {
		if s.Capability == nil {
			continue
		}
		b := s.Capability.Grant.Binding
		if own, secrets := b.Shipped(s.Subject); !own || !secrets && (s.Kind != MapUsers || b.Name != publisher) {
			return false
		}
	}
	return true
}

// publisher is the binding of a controller that writes ConfigMaps, as shipped.
const publisher = "system:controller:root-ca-cert-publisher"

// Readers returns everybody who gets at a Secret: now first, then those who
// see what is written later; shorter chains first, then in the order of bindings.
// A Group stands for all its members. The Secret need not exist. Whoever gets at a
// copy of its value gets at it.
func (f *Finder) Readers(secret Name) []Reader {
	s := search{Finder: f, nodes: map[access.Subject]*node{}}
	s.direct(&target{resource: "secrets", kind: "Secret", Name: secret})
	if f.copies != nil {
		for _, c := range f.copies(secret) {
			s.direct(c.target(true))
		}
	}
	if f.offers != nil {
		s.place = secret.Namespace
		s.offered(f.offers(secret))
	}
	return s.readers()
}

// ReadersOf is Readers of one credential, of which all objects that hold it are
// given; the first is what the others are copies of.
func (f *Finder) ReadersOf(objects []Copy) []Reader {
	s := search{Finder: f, nodes: map[access.Subject]*node{}}
	for i, c := range objects {
		s.direct(c.target(i > 0))
	}
	for _, c := range objects {
		if c.Resource == "secrets" && f.offers != nil {
			s.place = c.Namespace
			s.offered(f.offers(c.Name))
		}
	}
	return s.readers()
}

func (c *Copy) target(copied bool) *target {
	return &target{group: c.Group, resource: c.Resource, kind: c.Kind, Name: c.Name, copied: copied}
}

// readers follows everybody who was found directly.
func (s *search) readers() []Reader {
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

// Lifters returns those who may change the labels of a namespace, by which Pod
// Security is lifted: whoever creates pods there then reaches the nodes. They are no
// Readers by that.
func (f *Finder) Lifters(namespace string) []access.Subject {
	var out []access.Subject
	for c := range f.in(LabelNamespaces, namespace) {
		if !c.reaches(namespace, namespace) {
			continue
		}
		for _, s := range c.Grant.Binding.Subjects {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

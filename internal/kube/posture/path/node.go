package path

import (
	"slices"
	"sync"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// breakout is somebody who gets out of a pod and onto its node, and then is the
// node: has what its other pods mount, and acts as their ServiceAccounts.
type breakout struct {
	who access.Subject
	by  *Capability
	on  string
}

// host is a node that runs pods.
type host struct {
	pods []*Pod // in order
	// out are those who break out onto it, by pods that run there.
	out func() []breakout
}

// breakOuts has them found once for all searches, when the first asks: those who get
// onto any node, by pods that they create and say a node for, and onto each node. open
// are the namespaces into which Pod Security lets pods that are not confined.
func (f *Finder) breakOuts(open []string) {
	made := sync.OnceValue(func() *yard {
		y := &yard{Finder: f, open: map[string]bool{}, labels: f.labellers()}
		for _, ns := range open {
			y.open[ns] = true
		}
		return y
	})
	f.anywhere = sync.OnceValue(func() []breakout { return made().anybody() })
	for _, h := range f.hosts {
		h.out = sync.OnceValue(func() (out []breakout) {
			known := map[access.Subject]bool{}
			for _, p := range h.pods {
				out = made().into(out, known, p)
			}
			return out
		})
	}
}

// yard is where it is looked for ways out.
type yard struct {
	*Finder
	open map[string]bool
	// labels are those who may label namespaces, and so lift Pod Security there.
	labels map[access.Subject]bool
}

// anybody are those who get onto any node.
func (y *yard) anybody() (out []breakout) {
	known := map[access.Subject]bool{}
	for _, kind := range []Kind{CreatePods, CreateWorkloads, ApplyPods} {
		for _, c := range y.all[kind] {
			out = y.add(out, known, c, func(who access.Subject, ns string) bool {
				return kind != ApplyPods || y.applies(who, c, "pods", ns)
			})
		}
	}
	for _, ns := range y.spaces {
		out = y.bind(out, known, ns)
	}
	return out
}

func (f *Finder) labellers() map[access.Subject]bool {
	out := map[access.Subject]bool{}
	for _, c := range f.all[LabelNamespaces] {
		for _, who := range c.Grant.Binding.Subjects {
			out[who] = true
		}
	}
	return out
}

// lets reports whether who makes pods in ns that are not confined: nothing confines
// them there, or who can lift it.
func (y *yard) lets(who access.Subject, ns string) bool {
	return y.open[ns] || y.labels[who] && y.any(who, access.Request{Resource: "namespaces", Namespace: ns, Name: ns}, change...)
}

// add adds the subjects of c who are not known and break out by pods that they
// create. able says whether they have what else it takes, in a namespace.
func (y *yard) add(to []breakout, known map[access.Subject]bool, c *Capability, able func(access.Subject, string) bool) []breakout {
	for _, who := range c.Grant.Binding.Subjects {
		if known[who] {
			continue
		}
		if ns, ok := y.somewhere(who, c, able); ok {
			known[who] = true
			to = append(to, breakout{who, c, "any node, by " + resources[c.Kind] + " in namespace " + ns})
		}
	}
	return to
}

// bind adds those who are not known, and break out by pods that a role lets them create
// which they give themselves in ns.
func (y *yard) bind(to []breakout, known map[access.Subject]bool, ns string) []breakout {
	for _, kind := range []Kind{Bind, Escalate} {
		for c := range y.in(kind, ns) {
			able := sync.OnceValue(func() func(access.Subject) bool { return y.gaining(c, ns) })
			for _, who := range c.Grant.Binding.Subjects {
				if !known[who] && y.lets(who, ns) && able()(who) {
					known[who] = true
					to = append(to, breakout{who, c, "any node, by giving itself pods in namespace " + ns})
				}
			}
		}
	}
	return to
}

// gaining says who of those with c, which is to bind or escalate, give themselves pods in ns.
func (y *yard) gaining(c *Capability, ns string) func(access.Subject) bool {
	if c.Kind == Escalate {
		return func(who access.Subject) bool { return y.widens(who, c, ns) }
	}
	found := y.bindable(c, ns, y.makesPods(ns))
	return func(who access.Subject) bool { return found.any() && y.binds(who, c, ns, found) }
}

var resources = map[Kind]string{CreatePods: "pods", ApplyPods: "pods", CreateWorkloads: "workloads"}

// somewhere returns the first namespace in which who breaks out by c.
func (y *yard) somewhere(who access.Subject, c *Capability, able func(access.Subject, string) bool) (string, bool) {
	if c.Namespace != "" {
		return c.Namespace, y.lets(who, c.Namespace) && able(who, c.Namespace)
	}
	for _, ns := range y.spaces {
		if y.lets(who, ns) && able(who, ns) {
			return ns, true
		}
	}
	return "", false
}

// into adds those who break out of a pod that runs: of one that is not confined
// itself whoever runs commands in it, of any other whoever adds a container to it
// that is not, if the namespace lets it.
func (y *yard) into(to []breakout, known map[access.Subject]bool, p *Pod) []breakout {
	for _, kind := range []Kind{ExecPods, ChangePods, DebugPods} {
		if kind != DebugPods && !p.Privileged {
			continue
		}
		for c := range y.in(kind, p.Namespace) {
			for _, who := range c.Grant.Binding.Subjects {
				if known[who] || !c.reaches(p.Namespace, p.Name.Name) || kind == DebugPods && !y.lets(who, p.Namespace) {
					continue
				}
				known[who] = true
				to = append(to, breakout{who, c, "node " + p.Node + ", out of pod " + p.String()})
			}
		}
	}
	return to
}

// any reports whether who may do r by one of verbs, to objects of any name.
func (f *Finder) any(who access.Subject, r access.Request, verbs ...string) bool {
	identity := who.Identity()
	return slices.ContainsFunc(verbs, func(v string) bool {
		r.Verb = v
		_, ok := f.policy.Allows(identity, r)
		return ok
	})
}

// onto finds those who get onto a node that was reached.
func (s *search) onto(node string, n *node) {
	if h := s.hosts[node]; h != nil {
		for _, b := range h.out() {
			s.note(Step{Subject: b.who, Kind: BreakOut, Capability: b.by, On: b.on}, n)
		}
	}
	for _, b := range s.anywhere() {
		s.note(Step{Subject: b.who, Kind: BreakOut, Capability: b.by, On: b.on}, n)
	}
}

// housed finds the nodes that run pods as a ServiceAccount, which have its tokens.
func (s *search) housed(account Name, n *node) {
	for _, p := range s.running(account) {
		if p.Node != "" {
			s.note(Step{Subject: access.User(nodeUser + p.Node), Kind: Node, On: "pod " + p.String()}, n)
		}
	}
}

// nodeUser begins the name that a node has.
const nodeUser = "system:node:"

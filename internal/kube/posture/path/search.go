package path

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// search is one walk backwards from a Secret and its copies.
type search struct {
	*Finder
	nodes map[access.Subject]*node
	order []*node // as found; those from done on are still to be followed
	done  int
	// place is the namespace of what is read, for those who are found directly.
	place string
}

// target is an object that holds the value: the Secret itself, or a copy.
type target struct {
	group, resource, kind string
	Name
	copied bool
}

func (t *target) String() string { return t.kind + " " + t.Name.String() }

// core is the resource of a target of Kubernetes' own core. In other groups what is called
// the same is something else, and has the group in front.
func (t *target) core() string {
	return strings.TrimPrefix(t.group+"/"+t.resource, "/")
}

// place is where a target is, for people.
func (t *target) place() string {
	if t.copied {
		return "namespace " + t.Namespace + ", where the copy " + t.String() + " is,"
	}
	return "namespace " + t.Namespace
}

// request is one for the target.
func (t *target) request(verb string) access.Request {
	return access.Request{Verb: verb, Group: t.group, Resource: t.resource, Namespace: t.Namespace, Name: t.Name.Name}
}

// node is a subject that was reached, and the rest of its chain.
type node struct {
	step Step
	next *node
	// target is what the step reads, nil of steps that read nothing themselves.
	target *target
	// place is the namespace of what the chain reads in the end.
	place string
}

// reach notes everybody whom a capability belongs to, who are not known by a
// shorter chain. able, if not nil, says for each whether they have what else it
// takes.
func (s *search) reach(c *Capability, on string, next *node, able func(access.Subject) bool) {
	for _, who := range c.Grant.Binding.Subjects {
		if _, known := s.nodes[who]; known || able != nil && !able(who) {
			continue
		}
		s.note(Step{Subject: who, Kind: c.Kind, Capability: c, On: on}, next)
	}
}

func (s *search) note(step Step, next *node) {
	if s.nodes[step.Subject] != nil {
		return
	}
	n := &node{step: step, next: next, place: s.place}
	if next != nil {
		n.place = next.place
	}
	s.nodes[step.Subject] = n
	s.order = append(s.order, n)
}

// direct finds those who read a target without being somebody else.
func (s *search) direct(t *target) {
	s.place = t.Namespace
	s.read(t)
	s.note(Step{Subject: access.Group(access.Masters), Kind: Superuser, On: t.String()}, nil)
	ns := t.Namespace
	switch t.core() {
	case "secrets":
		for _, kind := range []Kind{CreatePods, CreateWorkloads, WriteStores, PushSecrets} {
			for c := range s.in(kind, ns) {
				s.reach(c, t.place(), nil, nil)
			}
		}
		s.applied(ApplyPods, "pods", ns, t.place(), nil)
		s.sent(t)
	case "configmaps":
		for _, kind := range []Kind{CreatePods, CreateWorkloads} {
			for c := range s.in(kind, ns) {
				s.reach(c, t.place(), nil, nil)
			}
		}
		s.applied(ApplyPods, "pods", ns, t.place(), nil)
	}
	s.within(t)
	s.owners(ns, s.worth(t), nil)
}

// read finds those who ask for the target itself.
func (s *search) read(t *target) {
	kind := Read
	if t.core() != "secrets" {
		kind = ReadCopy
	}
	for c := range s.in(kind, t.Namespace) {
		if c.Resource != t.resource || c.Group != t.group || !c.reaches(t.Namespace, t.Name.Name) {
			continue
		}
		from := len(s.order)
		s.reach(c, t.String(), nil, nil)
		for _, n := range s.order[from:] {
			n.target = t
			if t.copied {
				n.step.Kind = ReadCopy
			}
		}
	}
}

// within finds those who get into pods that have a target, and their nodes, which read
// it themselves.
func (s *search) within(t *target) {
	for _, p := range s.holders(t) {
		s.inside(p, nil)
		if p.Node == "" {
			continue
		}
		who := access.User(nodeUser + p.Node)
		s.note(Step{Subject: who, Kind: Node, On: "pod " + p.String()}, nil)
		if n := s.nodes[who]; n.target == nil && n.step.Kind == Node {
			n.target = t
		}
	}
}

// inside finds those who get into a running pod.
func (s *search) inside(p *Pod, next *node) {
	for _, kind := range []Kind{ExecPods, DebugPods, ChangePods} {
		for c := range s.in(kind, p.Namespace) {
			if c.reaches(p.Namespace, p.Name.Name) {
				s.reach(c, "pod "+p.String(), next, nil)
			}
		}
	}
	if p.Node == "" {
		return
	}
	for c := range s.in(NodesProxy, "") {
		if c.reaches("", p.Node) {
			s.reach(c, "pod "+p.String()+" on node "+p.Node, next, nil)
		}
	}
	s.everywhere(func(_ *access.Role, c *Capability) bool { return c.Kind == NodesProxy && c.reaches("", p.Node) }, next)
}

// follow finds those who can act as somebody who was reached, until nobody is new.
func (s *search) follow() {
	for ; s.done < len(s.order); s.done++ {
		s.become(s.order[s.done])
	}
}

// walk finds those who can act as who n stands for.
func (s *search) walk(n *node) {
	switch who := n.step.Subject; who.Kind {
	case rbacv1.ServiceAccountKind:
		s.becomeAccount(who, n)
	case rbacv1.UserKind:
		s.becomeUser(who, n)
	case rbacv1.GroupKind:
		s.becomeMember(who, n)
	}
}

func (s *search) becomeAccount(who access.Subject, n *node) {
	ns, name := who.Namespace, who.Name
	on := who.String()
	for _, kind := range []Kind{CreateTokens, ImpersonateRobot} {
		for c := range s.in(kind, ns) {
			if c.reaches(ns, name) {
				s.reach(c, on, n, nil)
			}
		}
	}
	for c := range s.in(BorrowRobot, ns) {
		if c.reaches(ns, name) {
			s.borrow(c, "serviceaccount", n)
		}
	}
	s.makePods(ns, on, n)
	for _, p := range s.running(Name{ns, name}) {
		s.inside(p, n)
	}
	s.housed(Name{ns, name}, n)
	s.acted(who, n)
	s.sign(who, n)
	s.owners(ns, s.becomes(Name{ns, name}, n), n)
}

// makePods finds those who act as any ServiceAccount of a namespace.
func (s *search) makePods(ns, on string, n *node) {
	for _, kind := range []Kind{CreatePods, CreateWorkloads, WriteStores} {
		for c := range s.in(kind, ns) {
			s.reach(c, on, n, nil)
		}
	}
	for c := range s.in(CreateSecrets, ns) {
		s.reach(c, on, n, func(who access.Subject) bool {
			return s.any(who, access.Request{Resource: "secrets", Namespace: ns}, "list", "watch") || s.anyNamed(who, ns)
		})
	}
	s.applied(ApplyPods, "pods", ns, on, n)
	s.applied(ApplySecrets, "secrets", ns, on, n)
}

// anyNamed reports whether who may get Secrets of ns by name, whichever names
// these are: who makes a Secret chooses its name.
func (s *search) anyNamed(who access.Subject, ns string) bool {
	identity := who.Identity()
	for c := range s.in(Read, ns) {
		names := c.Names
		if names == nil {
			names = []string{""}
		}
		for _, name := range names {
			if _, ok := s.policy.Allows(identity, access.Request{Verb: "get", Resource: "secrets", Namespace: ns, Name: name}); ok {
				return true
			}
		}
	}
	return false
}

func (s *search) becomeUser(who access.Subject, n *node) {
	able, node := s.asNode(who, n)
	for c := range s.in(ImpersonateUser, "") {
		if c.reaches("", who.Name) {
			s.reach(c, who.String(), n, able)
		}
	}
	kind, mode, name := BorrowUser, "user-info", who.Name
	if node != "" {
		kind, mode, name = BorrowNode, "arbitrary-node", node
		s.onto(node, n)
		s.own(node, n)
	}
	for c := range s.in(kind, "") {
		if c.reaches("", name) {
			s.borrow(c, mode, n)
		}
	}
	s.sign(who, n)
	s.everywhere(func(r *access.Role, c *Capability) bool {
		return c.Kind == ImpersonateUser && c.reaches("", who.Name) && (able == nil || access.AllowedBy(r.Rules, nodesGroup, "impersonate"))
	}, n)
}

// nodesGroup is the request to be one of the nodes.
var nodesGroup = access.Request{Resource: "groups", Name: "system:nodes"}

// asNode returns the name of the node that a user is, "" for others. The API server
// gives what a node has only to members of the nodes' group, so that who impersonates one
// needs that too (able), unless a binding names the node itself.
func (s *search) asNode(who access.Subject, n *node) (able func(access.Subject) bool, name string) {
	name, ok := strings.CutPrefix(who.Name, nodeUser)
	switch {
	case !ok:
		return nil, ""
	case n.step.Kind != Node || len(s.held()[who]) > 0:
		return nil, name
	}
	return func(by access.Subject) bool { return s.any(by, nodesGroup, "impersonate") }, name
}

// borrow finds those who may read what n reads as the one n stands for, by
// constrained impersonation: it carries a verb at a time, so n must read the object
// itself, by a verb that the borrower may use so.
func (s *search) borrow(c *Capability, mode string, n *node) {
	if n.target != nil {
		s.reach(c, n.step.Subject.String(), n, func(who access.Subject) bool { return s.carries(who, mode, n) })
	}
}

// carries reports whether who may use a verb in a mode of constrained impersonation by
// which n reads its target.
func (s *search) carries(who access.Subject, mode string, n *node) bool {
	verbs := []string{"get", "list", "watch"} // what a node may, by no rule
	if n.step.Capability != nil {
		verbs = access.Granted(n.step.Capability.Rule(), []string{"get", "list", "watch", "patch"})
	}
	identity := who.Identity()
	return slices.ContainsFunc(verbs, func(v string) bool {
		_, ok := s.policy.Allows(identity, n.target.request("impersonate-on:"+mode+":"+v))
		return ok
	})
}

// own finds the ServiceAccounts of a node's pods that may act as the node they run on.
func (s *search) own(node string, n *node) {
	on := s.hosts[node]
	if n.target == nil || on == nil {
		return
	}
	for c := range s.in(BorrowHost, "") {
		if !c.reaches("", "*") { // which the API server asks about, whichever node it is
			continue
		}
		for _, p := range on.pods {
			who := access.ServiceAccount(p.Namespace, p.Account)
			if s.nodes[who] == nil && c.Grant.Binding.Includes(who) && s.carries(who, "associated-node", n) {
				s.note(Step{Subject: who, Kind: BorrowHost, Capability: c, On: n.step.Subject.String()}, n)
			}
		}
	}
}

// clientSigner signs certificates that the API server takes for logins.
const clientSigner = "kubernetes.io/kube-apiserver-client"

// sign finds those who can have a certificate in somebody's name.
func (s *search) sign(whose access.Subject, n *node) {
	const group = "certificates.k8s.io"
	for c := range s.in(ApproveCSRs, "") {
		s.reach(c, whose.String(), n, func(who access.Subject) bool {
			identity := who.Identity()
			_, signs := s.policy.Allows(identity, access.Request{Verb: "approve", Group: group, Resource: "signers", Name: clientSigner})
			if !signs {
				_, signs = s.policy.Allows(identity, access.Request{Verb: "approve", Group: group, Resource: "signers", Name: "kubernetes.io/*"})
			}
			return signs && s.any(who, access.Request{Group: group, Resource: "certificatesigningrequests"}, "create")
		})
	}
	s.everywhere(func(r *access.Role, c *Capability) bool {
		approves := access.Request{Group: group, Resource: "signers", Name: clientSigner}
		all := approves
		all.Name = "kubernetes.io/*"
		return c.Kind == ApproveCSRs && (access.AllowedBy(r.Rules, approves, "approve") || access.AllowedBy(r.Rules, all, "approve")) &&
			access.AllowedBy(r.Rules, access.Request{Group: group, Resource: "certificatesigningrequests"}, "create")
	}, n)
}

// later finds those who see or change what is written from now on.
func (s *search) later() {
	for _, kind := range []Kind{WriteWebhooks, WritePolicies, WriteAPIServices} {
		for c := range s.in(kind, "") {
			for _, who := range c.Grant.Binding.Subjects {
				s.note(Step{Subject: who, Kind: kind, Capability: c, On: c.Resource, Later: true}, nil)
			}
		}
	}
}

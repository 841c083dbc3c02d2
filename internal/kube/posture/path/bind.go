package path

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// owners finds those who can give themselves, in a namespace, a right that is worth
// something: by binding a role that has it, or by writing it into one that they have.
func (s *search) owners(ns string, worth func(*Capability) bool, next *node) {
	for c := range s.in(Bind, ns) {
		if !slices.ContainsFunc(c.Grant.Binding.Subjects, func(who access.Subject) bool { return s.nodes[who] == nil }) {
			continue
		}
		if roles, all := s.worthBinding(c, ns, worth); all || len(roles) > 0 {
			s.reach(c, s.where(c), next, func(who access.Subject) bool { return s.binds(who, c, ns, roles) })
		}
	}
	for c := range s.in(Escalate, ns) {
		s.reach(c, s.where(c), next, func(who access.Subject) bool { return s.widens(who, c, ns) })
	}
}

func (s *search) where(c *Capability) string {
	if c.Namespace == "" {
		return "the cluster"
	}
	return "namespace " + c.Namespace
}

// worthBinding returns those of the roles that c lets somebody bind which give in ns
// what is worth something. all says that all ClusterRoles may be bound, among which is
// always cluster-admin.
func (s *search) worthBinding(c *Capability, ns string, worth func(*Capability) bool) (worthy []*access.Role, all bool) {
	namespace := ns
	if c.Resource == "clusterroles" {
		namespace = ""
	}
	var roles []*access.Role
	if c.Names == nil {
		roles, all = s.policy.Roles(namespace), namespace == ""
	}
	for _, name := range c.Names {
		if r := s.policy.Role(namespace, name); r != nil {
			roles = append(roles, r)
		}
	}
	for _, r := range roles {
		if slices.ContainsFunc(s.gives(r), func(has Capability) bool { return worth(&has) }) {
			worthy = append(worthy, r)
		}
	}
	return worthy, all
}

// gives returns what a role gives whom it is bound to, as if that were everywhere.
func (f *Finder) gives(r *access.Role) []Capability {
	if known, ok := f.given.Load(r); ok {
		return known.([]Capability)
	}
	out := f.rows.capabilities(&access.Binding{Role: r, Subjects: []access.Subject{{}}})
	f.given.Store(r, out)
	return out
}

// binds reports whether who, who may bind by c, writes bindings in ns, or of the whole
// cluster if c is in force there: of any name, a new one of a name that they are given,
// or one that is there and grants one of roles.
func (s *search) binds(who access.Subject, c *Capability, ns string, roles []*access.Role) bool {
	r := access.Request{Group: rbacv1.GroupName, Resource: "rolebindings", Namespace: ns}
	if s.any(who, r, write...) || s.bindsNamed(who, r, c, roles) {
		return true
	}
	r.Resource, r.Namespace = "clusterrolebindings", ""
	return c.Namespace == "" && c.Resource == "clusterroles" && (s.any(who, r, write...) || s.bindsNamed(who, r, c, roles))
}

func (s *search) bindsNamed(who access.Subject, r access.Request, c *Capability, roles []*access.Role) bool {
	for _, held := range s.held()[who] {
		if held.Role == nil || held.Namespace != "" && held.Namespace != r.Namespace {
			continue
		}
		for i := range held.Role.Rules {
			for _, r.Name = range held.Role.Rules[i].ResourceNames {
				if s.any(who, r, change...) && s.opens(who, r, c, roles) {
					return true
				}
			}
		}
	}
	return false
}

// opens reports whether a binding by the name of r, which who may change, can be made to
// grant one of roles: it does so, and takes one more subject; or it is not there, and
// server-side apply creates it.
func (s *search) opens(who access.Subject, r access.Request, c *Capability, roles []*access.Role) bool {
	for _, b := range s.policy.Bindings() {
		if b.Namespace == r.Namespace && b.Name == r.Name {
			return b.Role != nil && (slices.Contains(roles, b.Role) || c.Names == nil && b.Role.Name == "cluster-admin" && b.Role.Namespace == "" && c.Resource == "clusterroles")
		}
	}
	return s.any(who, r, "create") && s.any(who, r, "patch")
}

// worth reports whether a capability is worth binding a role for, to get at a target.
func (s *search) worth(t *target) func(*Capability) bool {
	pods := s.holders(t)
	return func(c *Capability) bool {
		switch c.Kind {
		case Read, ReadCopy:
			return c.Resource == t.resource && c.Group == t.group && c.reaches(t.Namespace, t.Name.Name)
		case CreatePods, CreateWorkloads:
			return t.resource == "secrets" || t.resource == "configmaps"
		case WriteStores, PushSecrets:
			return t.resource == "secrets"
		}
		return enters(c, pods)
	}
}

// becomes reports whether a capability is worth binding a role for, to act as a
// ServiceAccount.
func (s *search) becomes(account Name) func(*Capability) bool {
	return func(c *Capability) bool {
		switch c.Kind {
		case CreateTokens, ImpersonateRobot:
			return c.reaches(account.Namespace, account.Name)
		case CreatePods, CreateWorkloads:
			return true
		}
		return enters(c, s.running(account))
	}
}

// enters reports whether one gets into one of pods by a capability.
func enters(c *Capability, pods []*Pod) bool {
	return (c.Kind == ExecPods || c.Kind == DebugPods || c.Kind == ChangePods) &&
		slices.ContainsFunc(pods, func(p *Pod) bool { return c.reaches(p.Namespace, p.Name.Name) })
}

// holders are the pods that have a target.
func (s *search) holders(t *target) []*Pod {
	switch t.resource {
	case "secrets":
		return s.at(t.Namespace).index().users[t.Name.Name]
	case "configmaps":
		return s.at(t.Namespace).index().mapped[t.Name.Name]
	case "pods":
		if p := s.pod(t.Name); p != nil {
			return []*Pod{p}
		}
	}
	return nil
}

// widens reports whether who may write a role that they have already, in a namespace.
func (s *search) widens(who access.Subject, c *Capability, ns string) bool {
	for _, b := range s.held()[who] {
		if b.Namespace != "" && b.Namespace != ns || b.Role == nil {
			continue
		}
		clusterRole := b.Role.Namespace == ""
		if clusterRole != (c.Resource == "clusterroles") || c.Names != nil && !slices.Contains(c.Names, b.Role.Name) {
			continue
		}
		r := access.Request{Group: rbacv1.GroupName, Resource: c.Resource, Namespace: b.Role.Namespace, Name: b.Role.Name}
		if s.any(who, r, change...) {
			return true
		}
	}
	return false
}

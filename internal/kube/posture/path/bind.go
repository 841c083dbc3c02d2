package path

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// worth says whether a right that a role gives is worth binding the role for.
type worth = func(*access.Role, *Capability) bool

// owners finds those who can give themselves, in a namespace, or for what lies in none in
// the whole cluster, a right that is worth something: by binding a role that has it, or by
// writing it into one that they have.
func (s *search) owners(ns string, is worth, next *node) {
	here := func(r *access.Role, c *Capability) bool { return !c.cluster && is(r, c) }
	for c := range s.in(Bind, ns) {
		if s.reached(c) || ns == "" && c.Resource != "clusterroles" { // Roles are in namespaces
			continue
		}
		if found := s.bindable(c, ns, here); found.any() {
			s.reach(c, s.where(c), next, func(who access.Subject) bool { return s.binds(who, c, ns, found) })
		}
	}
	for c := range s.in(Escalate, ns) {
		s.reach(c, s.where(c), next, func(who access.Subject) bool { return s.widens(who, c, ns) })
	}
}

// everywhere finds those who can give themselves, in the whole cluster, a right that is
// worth something.
func (s *search) everywhere(is worth, next *node) {
	for c := range s.in(Bind, "") {
		if c.Resource != "clusterroles" || s.reached(c) {
			continue
		}
		if found := s.bindable(c, "", is); found.any() {
			s.reach(c, s.where(c), next, func(who access.Subject) bool { return s.bindsIn(who, "", found) })
		}
	}
}

// reached reports whether everybody who has c is known.
func (s *search) reached(c *Capability) bool {
	return !slices.ContainsFunc(c.Grant.Binding.Subjects, func(who access.Subject) bool { return s.nodes[who] == nil })
}

func (s *search) where(c *Capability) string {
	if c.Namespace == "" {
		return "the cluster"
	}
	return "namespace " + c.Namespace
}

// bindable are the roles that somebody may bind.
type bindable struct {
	// all says that these are all ClusterRoles, among which is always cluster-admin.
	all   bool
	roles []*access.Role
	// worthy are those of them that give what is worth something; further that others let
	// one bind such a role, or write into themselves.
	worthy  []*access.Role
	further bool
}

func (b *bindable) any() bool { return b.all || len(b.worthy) > 0 || b.further }

// enough reports whether to have one of the roles is: it is worth something, or lets one
// write all other bindings.
func (b *bindable) enough(r *access.Role) bool {
	return slices.Contains(b.worthy, r) || b.all && r.Namespace == "" && r.Name == "cluster-admin" || slices.Contains(b.roles, r) && writesBindings(r)
}

// bindable returns the roles that c lets somebody bind in ns, "" the whole cluster.
func (f *Finder) bindable(c *Capability, ns string, is worth) *bindable {
	out := &bindable{}
	out.roles, out.all = f.roles(c, ns)
	for _, r := range out.roles {
		if f.some(r, is) {
			out.worthy = append(out.worthy, r)
		}
	}
	if !out.all && len(out.worthy) == 0 {
		seen := map[*access.Role]bool{}
		out.further = slices.ContainsFunc(out.roles, func(r *access.Role) bool { return f.leads(r, ns, is, seen) })
	}
	return out
}

// roles are those that c names or, if all is true, all ClusterRoles.
func (f *Finder) roles(c *Capability, ns string) (out []*access.Role, all bool) {
	if c.Resource == "clusterroles" {
		ns = ""
	}
	if c.Names == nil {
		return f.policy.Roles(ns), c.Resource == "clusterroles"
	}
	for _, name := range c.Names {
		if r := f.policy.Role(ns, name); r != nil {
			out = append(out, r)
		}
	}
	return out, false
}

// some reports whether a role gives what is worth something.
func (f *Finder) some(r *access.Role, is worth) bool {
	return slices.ContainsFunc(f.gives(r), func(has Capability) bool { return is(r, &has) })
}

// gets reports whether a role gives one of kinds.
func (f *Finder) gets(r *access.Role, kinds ...Kind) bool {
	return f.some(r, func(_ *access.Role, c *Capability) bool { return slices.Contains(kinds, c.Kind) })
}

// leads reports whether who has a role in ns can give themselves what is worth
// something: it lets them bind a role that does, or write into itself.
func (f *Finder) leads(r *access.Role, ns string, is worth, seen map[*access.Role]bool) bool {
	if seen[r] {
		return false
	}
	seen[r] = true
	return f.some(r, func(_ *access.Role, has *Capability) bool {
		switch has.Kind {
		case Escalate:
			into := access.Request{Group: rbacv1.GroupName, Resource: has.Resource, Name: r.Name}
			return (ns == "" || !has.cluster) && has.reaches("", r.Name) && (has.Resource == "clusterroles") == (r.Namespace == "") && access.AllowedBy(r.Rules, into, change...)
		case Bind:
			others, all := f.roles(has, ns)
			return all || slices.ContainsFunc(others, func(o *access.Role) bool { return f.some(o, is) || f.leads(o, ns, is, seen) })
		}
		return false
	})
}

// writesBindings reports whether a role lets one write RoleBindings of any name.
func writesBindings(r *access.Role) bool {
	return access.AllowedBy(r.Rules, access.Request{Group: rbacv1.GroupName, Resource: "rolebindings"}, write...)
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
// cluster if c is in force there.
func (f *Finder) binds(who access.Subject, c *Capability, ns string, found *bindable) bool {
	return f.bindsIn(who, ns, found) || c.Namespace == "" && c.Resource == "clusterroles" && f.bindsIn(who, "", found)
}

// bindsIn reports whether who writes bindings in ns, "" the whole cluster: of any name, a
// new one of a name that they are given, or one that is there and grants what is enough.
func (f *Finder) bindsIn(who access.Subject, ns string, found *bindable) bool {
	r := access.Request{Group: rbacv1.GroupName, Resource: "rolebindings", Namespace: ns}
	if ns == "" {
		r.Resource = "clusterrolebindings"
	}
	return f.any(who, r, write...) || f.bindsNamed(who, r, found)
}

func (f *Finder) bindsNamed(who access.Subject, r access.Request, found *bindable) bool {
	for _, held := range f.held()[who] {
		if held.Role == nil || held.Namespace != "" && held.Namespace != r.Namespace {
			continue
		}
		for i := range held.Role.Rules {
			for _, r.Name = range held.Role.Rules[i].ResourceNames {
				if f.any(who, r, change...) && f.opens(who, r, found) {
					return true
				}
			}
		}
	}
	return false
}

// opens reports whether a binding by the name of r, which who may change, can be made to
// grant what is enough: it does so, and takes one more subject; or it is not there, and
// server-side apply creates it.
func (f *Finder) opens(who access.Subject, r access.Request, found *bindable) bool {
	for _, b := range f.policy.Bindings() {
		if b.Namespace == r.Namespace && b.Name == r.Name {
			return b.Role != nil && found.enough(b.Role)
		}
	}
	return f.any(who, r, "create") && f.any(who, r, "patch") && (found.all || slices.ContainsFunc(found.roles, found.enough))
}

// worth says what is worth binding a role for, to get at a target.
func (s *search) worth(t *target) worth {
	pods := s.holders(t)
	return func(r *access.Role, c *Capability) bool {
		switch c.Kind {
		case Read, ReadCopy:
			return c.Resource == t.resource && c.Group == t.group && c.reaches(t.Namespace, t.Name.Name)
		case CreatePods, CreateWorkloads:
			return t.core() == "secrets" || t.core() == "configmaps"
		case ApplyPods:
			return (t.core() == "secrets" || t.core() == "configmaps") && s.appliesBy(r, c, t.Namespace)
		case WriteStores, PushSecrets, DeputySends:
			return t.core() == "secrets"
		}
		return enters(c, pods)
	}
}

// becomes says what is worth binding a role for, to act as a ServiceAccount, for which n
// stands.
func (s *search) becomes(account Name, n *node) worth {
	who := access.ServiceAccount(account.Namespace, account.Name)
	return func(r *access.Role, c *Capability) bool {
		switch c.Kind {
		case CreateTokens, ImpersonateRobot:
			return c.reaches(account.Namespace, account.Name)
		case CreatePods, CreateWorkloads, WriteStores:
			return true
		case ApplyPods:
			return s.appliesBy(r, c, account.Namespace)
		case CreateSecrets:
			return s.gets(r, Read)
		case DeputyActs:
			return s.deputises(c, who, n)
		}
		return enters(c, s.running(account))
	}
}

// appliesBy reports whether a role creates, by c of it, a pod of a name in ns that is free.
func (f *Finder) appliesBy(r *access.Role, c *Capability, ns string) bool {
	return slices.ContainsFunc(c.Names, func(name string) bool {
		pod := access.Request{Resource: "pods", Namespace: ns, Name: name}
		return access.AllowedBy(r.Rules, pod, "patch") && (!f.exists("pods", Name{ns, name}) || access.AllowedBy(r.Rules, pod, "delete"))
	})
}

// makesPods says what is worth binding a role for, to make pods in ns.
func (f *Finder) makesPods(ns string) worth {
	return func(r *access.Role, c *Capability) bool {
		return c.Kind == CreatePods || c.Kind == CreateWorkloads || c.Kind == ApplyPods && f.appliesBy(r, c, ns)
	}
}

// enters reports whether one gets into one of pods by a capability.
func enters(c *Capability, pods []*Pod) bool {
	return (c.Kind == ExecPods || c.Kind == DebugPods || c.Kind == ChangePods) &&
		slices.ContainsFunc(pods, func(p *Pod) bool { return c.reaches(p.Namespace, p.Name.Name) })
}

// holders are the pods that have a target.
func (s *search) holders(t *target) []*Pod {
	switch t.core() {
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
func (f *Finder) widens(who access.Subject, c *Capability, ns string) bool {
	for _, b := range f.held()[who] {
		if b.Namespace != "" && b.Namespace != ns || b.Role == nil {
			continue
		}
		clusterRole := b.Role.Namespace == ""
		if clusterRole != (c.Resource == "clusterroles") || c.Names != nil && !slices.Contains(c.Names, b.Role.Name) {
			continue
		}
		r := access.Request{Group: rbacv1.GroupName, Resource: c.Resource, Namespace: b.Role.Namespace, Name: b.Role.Name}
		if f.any(who, r, change...) {
			return true
		}
	}
	return false
}

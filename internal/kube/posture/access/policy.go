package access

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Objects are the RBAC objects of a cluster. New keeps references into them; they
// are not changed by anybody afterwards.
type Objects struct {
	Roles               []rbacv1.Role
	ClusterRoles        []rbacv1.ClusterRole
	RoleBindings        []rbacv1.RoleBinding
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	// Aggregate says that rules of aggregated ClusterRoles are to be worked out
	// here. A live cluster has them filled in by its own controller; files do not.
	Aggregate bool
}

// Role is a Role or a ClusterRole.
type Role struct {
	Namespace string // "" for a ClusterRole
	Name      string
	Labels    map[string]string
	Rules     []rbacv1.PolicyRule
}

// Kind is "Role" or "ClusterRole".
func (r *Role) Kind() string {
	if r.Namespace == "" {
		return "ClusterRole"
	}
	return "Role"
}

// Binding is a RoleBinding or a ClusterRoleBinding.
type Binding struct {
	Namespace string // where it grants; "" is the whole cluster
	Name      string
	Labels    map[string]string
	RoleRef   rbacv1.RoleRef
	// Role is what it grants, nil if that does not exist: nothing for now, and
	// everything that somebody puts into a role of that name.
	Role *Role
	// Subjects are those that are somebody, in the order of the object, once each.
	Subjects []Subject

	named []rbacv1.Subject
}

// Kind is "RoleBinding" or "ClusterRoleBinding".
func (b *Binding) Kind() string {
	if b.Namespace == "" {
		return "ClusterRoleBinding"
	}
	return "RoleBinding"
}

// Grant is one binding that allows a request, by its first rule that does.
type Grant struct {
	Binding *Binding
	Rule    int // in Binding.Role.Rules
}

// Policy is what the RBAC objects of a cluster allow. It is immutable and may be
// used by any number of goroutines.
type Policy struct {
	bindings    []*Binding            // ClusterRoleBindings, then RoleBindings; each by namespace and name
	cluster     []*Binding            // those of the whole cluster
	spaces      map[string][]*Binding // those of a namespace
	roles       map[key]*Role
	byNamespace map[string][]*Role
	latent      []*Binding
}

type key struct{ namespace, name string }

// New makes the Policy of o.
func New(o Objects) *Policy {
	p := &Policy{
		spaces: map[string][]*Binding{}, roles: make(map[key]*Role, len(o.Roles)+len(o.ClusterRoles)), byNamespace: map[string][]*Role{},
		bindings: make([]*Binding, 0, len(o.RoleBindings)+len(o.ClusterRoleBindings)),
	}
	for i := range o.Roles {
		r := &o.Roles[i]
		p.keep(&Role{Namespace: r.Namespace, Name: r.Name, Labels: r.Labels, Rules: r.Rules})
	}
	rules := filled(o)
	for i := range o.ClusterRoles {
		r := &o.ClusterRoles[i]
		p.keep(&Role{Name: r.Name, Labels: r.Labels, Rules: rules[i]})
	}
	for _, list := range p.byNamespace {
		slices.SortFunc(list, func(a, b *Role) int { return cmp.Compare(a.Name, b.Name) })
	}
	for i := range o.ClusterRoleBindings {
		b := &o.ClusterRoleBindings[i]
		p.add(&Binding{Name: b.Name, Labels: b.Labels, RoleRef: b.RoleRef, named: b.Subjects})
	}
	for i := range o.RoleBindings {
		b := &o.RoleBindings[i]
		if b.Namespace == "" {
			continue // no API server holds one; as a file it grants nothing
		}
		p.add(&Binding{Namespace: b.Namespace, Name: b.Name, Labels: b.Labels, RoleRef: b.RoleRef, named: b.Subjects})
	}
	slices.SortStableFunc(p.bindings, func(a, b *Binding) int {
		if a.Namespace == b.Namespace {
			return cmp.Compare(a.Name, b.Name)
		}
		return cmp.Compare(a.Namespace, b.Namespace)
	})
	for _, b := range p.bindings {
		p.file(b)
	}
	return p
}

func (p *Policy) keep(r *Role) {
	p.roles[key{r.Namespace, r.Name}] = r
	p.byNamespace[r.Namespace] = append(p.byNamespace[r.Namespace], r)
}

// add resolves what b names.
func (p *Policy) add(b *Binding) {
	switch b.RoleRef.Kind {
	case "Role":
		if b.Namespace != "" {
			b.Role = p.roles[key{b.Namespace, b.RoleRef.Name}]
		}
	case "ClusterRole":
		b.Role = p.roles[key{"", b.RoleRef.Name}]
	}
	for i := range b.named {
		if s, ok := subject(&b.named[i], b.Namespace); ok && !slices.Contains(b.Subjects, s) {
			b.Subjects = append(b.Subjects, s)
		}
	}
	p.bindings = append(p.bindings, b)
}

func (p *Policy) file(b *Binding) {
	switch {
	case b.Role == nil:
		p.latent = append(p.latent, b)
	case b.Namespace == "":
		p.cluster = append(p.cluster, b)
	default:
		p.spaces[b.Namespace] = append(p.spaces[b.Namespace], b)
	}
}

// Bindings returns every binding: ClusterRoleBindings first, then by namespace
// and name. Not to be changed.
func (p *Policy) Bindings() []*Binding { return p.bindings }

// Latent returns the bindings whose role does not exist.
func (p *Policy) Latent() []*Binding { return p.latent }

// Role returns a Role, a ClusterRole for namespace "", or nil.
func (p *Policy) Role(namespace, name string) *Role { return p.roles[key{namespace, name}] }

// Grants returns the bindings that allow r, ClusterRoleBindings first. What a
// namespace's bindings grant does not reach requests for the whole cluster.
func (p *Policy) Grants(r Request) []Grant {
	var out []Grant
	p.each(r.Namespace, func(b *Binding) bool {
		if i := allowing(b, &r); i >= 0 && len(b.Subjects) > 0 {
			out = append(out, Grant{b, i})
		}
		return true
	})
	return out
}

// Allows reports whether who may do r, and by what.
func (p *Policy) Allows(who Identity, r Request) (Grant, bool) {
	var found Grant
	p.each(r.Namespace, func(b *Binding) bool {
		if !b.names(who) {
			return true
		}
		if i := allowing(b, &r); i >= 0 {
			found = Grant{b, i}
			return false
		}
		return true
	})
	return found, found.Binding != nil
}

// each calls f with the bindings that are in force in namespace until it returns
// false.
func (p *Policy) each(namespace string, f func(*Binding) bool) {
	for _, b := range p.cluster {
		if !f(b) {
			return
		}
	}
	if namespace == "" {
		return
	}
	for _, b := range p.spaces[namespace] {
		if !f(b) {
			return
		}
	}
}

// names reports whether b is for who.
func (b *Binding) names(who Identity) bool {
	for i := range b.named {
		if who.is(&b.named[i], b.Namespace) {
			return true
		}
	}
	return false
}

// Includes reports whether b is for a subject: by itself, or by a group that the API
// server puts it into.
func (b *Binding) Includes(who Subject) bool { return b.names(who.Identity()) }

// allowing returns the first rule of b that allows r, or -1. A role of a
// namespace allows nothing outside resources.
func allowing(b *Binding, r *Request) int {
	for i := range b.Role.Rules {
		if Matches(&b.Role.Rules[i], r) {
			return i
		}
	}
	return -1
}

// Roles returns the Roles of a namespace, or the ClusterRoles for "", by name.
func (p *Policy) Roles(namespace string) []*Role { return p.byNamespace[namespace] }

package remedy

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/least"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// bindings makes RoleBindings of a ClusterRoleBinding, in the namespaces that are named, or
// in those of its ServiceAccounts, if an audit log shows that it is used nowhere else.
func bindings(w *World, o Options) (*Plan, error) {
	b, err := w.clusterBinding()
	if err != nil {
		return nil, err
	}
	unserved, err := w.fits(b.RoleRef.Name)
	if err != nil {
		return nil, err
	}
	spaces, err := places(b, o.In)
	if err != nil {
		return nil, err
	}
	doubts := w.elsewhere(b, spaces, o)
	if len(doubts) > 0 && !o.Anyway {
		return nil, errs.Newf(errs.Conflict, "ClusterRoleBinding %s would become RoleBindings in %s, and %s: say where it is used with -in, or give -audit-log; -anyway goes on", b.Name, strings.Join(spaces, ", "), doubts[0])
	}
	p := &Plan{
		Check: "SEC-04", Rules: []string{"EverythingEverywhere", "SecretsEverywhere", "RightsEverywhere"},
		Object: snapshot.Ref{Group: rbacv1.GroupName, Kind: "ClusterRoleBinding", Name: b.Name},
		Does:   fmt.Sprintf("grants ClusterRole %s in %s, and no longer in every namespace", b.RoleRef.Name, strings.Join(spaces, ", ")),
		Risks: slices.Concat([]string{"who asks for objects of all namespaces, or of others than these, is refused from then on; an audit log tells (doctor denied explains each)"},
			doubts, unserved),
	}
	for _, ns := range spaces {
		begun, err := w.bound(b, ns)
		if err != nil {
			return nil, err
		}
		if !begun {
			p.Steps = append(p.Steps, roleBinding(b, ns))
		}
	}
	p.Steps = append(p.Steps, Step{Verb: Delete, Version: b.ResourceVersion, UID: b.UID, Why: "the right everywhere", Object: map[string]any{
		"apiVersion": rbacVersion, "kind": "ClusterRoleBinding", "metadata": metadata("", b.Name),
	}})
	return p, nil
}

// clusterBinding is the one that is asked for.
func (w *World) clusterBinding() (*rbacv1.ClusterRoleBinding, error) {
	name := w.Target.Name
	if err := w.needs("", "what ClusterRoleBinding "+name+" grants, and what was made of it before,", "clusterrolebindings", "clusterroles", "rolebindings"); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(w.RBAC.ClusterRoleBindings, func(b rbacv1.ClusterRoleBinding) bool { return b.Name == name })
	if i < 0 {
		return nil, nothing("there is no ClusterRoleBinding %s", name)
	}
	if slices.ContainsFunc(access.New(w.RBAC).Bindings(), func(b *access.Binding) bool { return b.Namespace == "" && b.Name == name && b.Own() }) {
		return nil, errs.Newf(errs.Conflict, "ClusterRoleBinding %s is one of Kubernetes' own, which it makes anew: take out of it whom somebody added, and give these RoleBindings of their own", name)
	}
	return &w.RBAC.ClusterRoleBindings[i], nil
}

// bound reports whether a run that stopped has made a RoleBinding of b.
func (w *World) bound(b *rbacv1.ClusterRoleBinding, ns string) (bool, error) {
	j := slices.IndexFunc(w.RBAC.RoleBindings, func(o rbacv1.RoleBinding) bool { return o.Namespace == ns && o.Name == b.Name })
	if j < 0 {
		return false, nil
	}
	if o := &w.RBAC.RoleBindings[j]; o.RoleRef != b.RoleRef || !slices.Equal(o.Subjects, b.Subjects) {
		return false, errs.Newf(errs.Exist, "RoleBinding %s/%s exists already, and grants something else: rename one of both", ns, b.Name)
	}
	return true, nil
}

// roleBinding is b for one namespace.
func roleBinding(b *rbacv1.ClusterRoleBinding, ns string) Step {
	var subjects []any
	for _, s := range b.Subjects {
		one := map[string]any{"kind": s.Kind, "name": s.Name}
		if s.APIGroup != "" {
			one["apiGroup"] = s.APIGroup
		}
		if s.Namespace != "" {
			one["namespace"] = s.Namespace
		}
		subjects = append(subjects, one)
	}
	return Step{Verb: Create, Why: "the same right, here", Object: map[string]any{
		"apiVersion": rbacVersion, "kind": "RoleBinding", "metadata": metadata(ns, b.Name), "subjects": subjects,
		"roleRef": map[string]any{"apiGroup": rbacv1.GroupName, "kind": "ClusterRole", "name": b.RoleRef.Name},
	}}
}

// fits refuses a ClusterRole with rights that no namespace has. unserved are those of which
// this cannot be told, since the cluster has nothing of the kind.
func (w *World) fits(role string) (unserved []string, err error) {
	i := slices.IndexFunc(w.RBAC.ClusterRoles, func(r rbacv1.ClusterRole) bool { return r.Name == role })
	if i < 0 {
		return nil, errs.Newf(errs.NotExist, "ClusterRole %s does not exist: what it allows is not known", role)
	}
	for _, rule := range w.RBAC.ClusterRoles[i].Rules {
		if len(rule.NonResourceURLs) > 0 {
			return nil, errs.Newf(errs.Conflict, "ClusterRole %s allows paths (%s), which no RoleBinding can: make a ClusterRole of the rest first", role, strings.Join(rule.NonResourceURLs, ", "))
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				known, err := w.inNamespaces(role, group, resource)
				if err != nil {
					return nil, err
				}
				if !known {
					unserved = append(unserved, fmt.Sprintf("ClusterRole %s allows %s of group %q, which the cluster does not serve: if it does later, and they lie in no namespace, the right is gone", role, resource, group))
				}
			}
		}
	}
	return unserved, nil
}

// inNamespaces refuses a resource that lies in none; known is false if there is none of the
// kind.
func (w *World) inNamespaces(role, group, resource string) (known bool, err error) {
	plain, _, _ := strings.Cut(resource, "/")
	if group == "*" || plain == "*" {
		return false, errs.Newf(errs.Conflict, "ClusterRole %s allows %q of group %q, nodes and namespaces among it: name what is used first (an audit log tells)", role, resource, group)
	}
	yes, known, err := w.Namespaced(group, plain)
	if err != nil {
		return false, errs.Newf(errs.Unavailable, "ClusterRole %s allows %s of group %q, and the cluster cannot say now whether these lie in namespaces; call this again when that group answers (kubectl get apiservices): %w", role, resource, group, err)
	}
	if known && !yes {
		return false, errs.Newf(errs.Conflict, "ClusterRole %s allows %s, which lie in no namespace: make a ClusterRole of the rest first", role, resource)
	}
	return known, nil
}

// places are the namespaces in which a binding is to be: those that are said, or those of
// its ServiceAccounts.
func places(b *rbacv1.ClusterRoleBinding, in []string) ([]string, error) {
	out := slices.Clone(in)
	if len(out) == 0 {
		for _, s := range b.Subjects {
			if s.Kind != rbacv1.ServiceAccountKind {
				return nil, errs.Newf(errs.Invalid, "ClusterRoleBinding %s names %s %s, of whom no namespace is known: say which with -in", b.Name, s.Kind, s.Name)
			}
			out = append(out, s.Namespace)
		}
	}
	if len(out) == 0 {
		return nil, errs.Newf(errs.Invalid, "ClusterRoleBinding %s names nobody: delete it", b.Name)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// elsewhere is why b may be used outside of spaces, for people.
func (w *World) elsewhere(b *rbacv1.ClusterRoleBinding, spaces []string, o Options) []string {
	said, log := len(o.In) > 0, o.Activity
	switch {
	case log == nil && said:
		return nil
	case log == nil:
		return []string{"where its ServiceAccounts use it is not known: these are the namespaces in which they are"}
	}
	var out []string
	used := least.Where(access.New(w.RBAC), b.Name, log)
	if slices.Contains(used, "") {
		out = append(out, "the audit log shows that it is used for all namespaces at once, or for what lies in none, which no RoleBinding allows")
	}
	others := slices.DeleteFunc(slices.Clone(used), func(ns string) bool { return ns == "" || slices.Contains(spaces, ns) })
	if len(others) > 0 {
		out = append(out, "the audit log shows that it is used in others too: "+strings.Join(others, ", "))
	}
	if weak := w.weak(log); weak != "" && !said {
		out = append(out, weak)
	}
	if len(used) == 0 && !said {
		out = append(out, "the audit log shows nobody who uses it: it may be needed nowhere")
	}
	return out
}

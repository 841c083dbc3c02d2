package remedy

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// bindings makes RoleBindings, in the namespaces that are named or in those of its
// ServiceAccounts, of a ClusterRoleBinding.
func bindings(w *World, o Options) (*Plan, error) {
	i := slices.IndexFunc(w.RBAC.ClusterRoleBindings, func(b rbacv1.ClusterRoleBinding) bool { return b.Name == w.Target.Name })
	if i < 0 {
		return nil, nothing("there is no ClusterRoleBinding %s", w.Target.Name)
	}
	b := &w.RBAC.ClusterRoleBindings[i]
	if shipped := access.New(w.RBAC).Bindings(); slices.ContainsFunc(shipped, func(s *access.Binding) bool { return s.Namespace == "" && s.Name == b.Name && s.Own() }) {
		return nil, errs.Newf(errs.Conflict, "ClusterRoleBinding %s is one of Kubernetes' own, which it makes anew: take out of it whom somebody added, and give these RoleBindings of their own", b.Name)
	}
	if err := w.fits(b.RoleRef.Name); err != nil {
		return nil, err
	}
	spaces, err := places(b, o.In)
	if err != nil {
		return nil, err
	}
	p := &Plan{
		Check: "SEC-04", Rules: []string{"EverythingEverywhere", "SecretsEverywhere", "RightsEverywhere"},
		Object: snapshot.Ref{Group: rbacv1.GroupName, Kind: "ClusterRoleBinding", Name: b.Name},
		Does:   fmt.Sprintf("grants ClusterRole %s in %s, and no longer in every namespace", b.RoleRef.Name, strings.Join(spaces, ", ")),
		Risks:  []string{"who asks for objects of all namespaces, or of others than these, is refused from then on; an audit log tells (doctor denied explains each)"},
	}
	for _, ns := range spaces {
		if j := slices.IndexFunc(w.RBAC.RoleBindings, func(o rbacv1.RoleBinding) bool { return o.Namespace == ns && o.Name == b.Name }); j >= 0 {
			if o := &w.RBAC.RoleBindings[j]; o.RoleRef != b.RoleRef || !slices.Equal(o.Subjects, b.Subjects) {
				return nil, errs.Newf(errs.Exist, "RoleBinding %s/%s exists already, and grants something else: rename one of both", ns, b.Name)
			}
			continue // of a run that stopped
		}
		p.Steps = append(p.Steps, roleBinding(b, ns))
	}
	p.Steps = append(p.Steps, Step{Verb: Delete, Version: b.ResourceVersion, UID: b.UID, Why: "the right everywhere", Object: map[string]any{
		"apiVersion": rbacVersion, "kind": "ClusterRoleBinding", "metadata": metadata("", b.Name),
	}})
	return p, nil
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

// fits refuses a ClusterRole with rights that no namespace has.
func (w *World) fits(role string) error {
	i := slices.IndexFunc(w.RBAC.ClusterRoles, func(r rbacv1.ClusterRole) bool { return r.Name == role })
	if i < 0 {
		return errs.Newf(errs.NotExist, "ClusterRole %s does not exist or could not be read: what it allows is not known", role)
	}
	for _, rule := range w.RBAC.ClusterRoles[i].Rules {
		if len(rule.NonResourceURLs) > 0 {
			return errs.Newf(errs.Conflict, "ClusterRole %s allows paths (%s), which no RoleBinding can: make a ClusterRole of the rest first", role, strings.Join(rule.NonResourceURLs, ", "))
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				plain, _, _ := strings.Cut(resource, "/")
				if group == "*" || plain == "*" {
					return errs.Newf(errs.Conflict, "ClusterRole %s allows %q of group %q, nodes and namespaces among it: name what is used first (an audit log tells)", role, resource, group)
				}
				if yes, known := w.Namespaced(group, plain); known && !yes {
					return errs.Newf(errs.Conflict, "ClusterRole %s allows %s, which lie in no namespace: make a ClusterRole of the rest first", role, resource)
				}
			}
		}
	}
	return nil
}

// places are the namespaces in which a binding is used.
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

package remedy

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
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
	if b.Labels["kubernetes.io/bootstrapping"] != "" {
		return nil, errs.Newf(errs.Conflict, "ClusterRoleBinding %s is one of Kubernetes' own, which it makes anew", b.Name)
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

// narrow names, in a Role that reads all Secrets of its namespace, those that pods
// of its subjects use, or that are given.
func narrow(w *World, o Options) (*Plan, error) {
	i := slices.IndexFunc(w.RBAC.Roles, func(r rbacv1.Role) bool { return r.Name == w.Target.Name && r.Namespace == w.Target.Namespace })
	if i < 0 {
		return nil, nothing("there is no Role %s/%s", w.Target.Namespace, w.Target.Name)
	}
	r := &w.RBAC.Roles[i]
	names := slices.Clone(o.Secrets)
	risks := []string{"list and watch by name work only with the fieldSelector metadata.name: a client that lists all Secrets is refused"}
	if len(names) == 0 {
		names = w.usedBy(r)
		risks = append(risks, "the names are those that pods of its subjects use by their spec; what the applications read by the API is not known: compare it with an audit log, or give -secret")
	}
	if len(names) == 0 {
		return nil, errs.Newf(errs.Invalid, "no pod of the subjects of Role %s/%s uses a Secret: say which it is to read with -secret, or delete the rule", r.Namespace, r.Name)
	}
	slices.Sort(names)
	rules, changed, err := narrowed(r.Rules, slices.Compact(names))
	if err != nil {
		return nil, err
	}
	if !changed {
		return nil, nothing("Role %s/%s reads no Secrets without naming them", r.Namespace, r.Name)
	}
	return &Plan{
		Check: "SEC-03", Rules: []string{"ReadsNamespace"}, Object: snapshot.Ref{Group: rbacv1.GroupName, Kind: "Role", Namespace: r.Namespace, Name: r.Name},
		Does: "names the Secrets that the Role may read: " + strings.Join(names, ", "), Risks: risks,
		Steps: []Step{{Verb: Patch, Version: r.ResourceVersion, UID: r.UID, Why: "only these Secrets", Object: map[string]any{
			"apiVersion": rbacVersion, "kind": "Role", "metadata": metadata(r.Namespace, r.Name), "rules": rules,
		}}},
	}, nil
}

// usedBy are the Secrets that pods of a Role's subjects use.
func (w *World) usedBy(r *rbacv1.Role) []string {
	subjects := map[access.Subject]bool{}
	for _, b := range access.New(w.RBAC).Bindings() {
		if b.Role != nil && b.Role.Kind() == "Role" && b.Role.Namespace == r.Namespace && b.Role.Name == r.Name {
			for _, s := range b.Subjects {
				subjects[s] = true
			}
		}
	}
	var out []string
	for i := range w.Pods {
		p := &w.Pods[i]
		name := p.Spec.ServiceAccountName
		if name == "" {
			name = "default"
		}
		if p.Namespace != r.Namespace || !subjects[access.ServiceAccount(p.Namespace, name)] {
			continue
		}
		for _, u := range consumer.Uses(&p.Spec) {
			out = append(out, u.Secret)
		}
	}
	return out
}

// byName are the verbs that a rule can limit to names.
var byName = []string{"get", "list", "watch", "update", "patch", "delete"}

// narrowed returns rules with Secrets named. Verbs that cannot be limited stay, in
// a rule of their own; what else a rule has stays as it is.
func narrowed(rules []rbacv1.PolicyRule, names []string) (out []any, changed bool, err error) {
	for _, r := range rules {
		if !readsAll(r) {
			out = append(out, ruleOf(r))
			continue
		}
		if slices.Contains(r.Resources, "*") || slices.Contains(r.APIGroups, "*") || slices.Contains(r.Verbs, "*") {
			return nil, false, errs.New(errs.Unsupported, `a rule with "*" cannot be narrowed without knowing what is used: name its verbs, groups and resources first`)
		}
		changed = true
		out = append(out, split(r, names)...)
	}
	return out, changed, nil
}

// readsAll reports whether a rule reads Secrets without naming them.
func readsAll(r rbacv1.PolicyRule) bool {
	has := func(list []string, any ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(any, s) })
	}
	return len(r.ResourceNames) == 0 && has(r.Verbs, "*", "get", "list", "watch") && has(r.APIGroups, "", "*") && has(r.Resources, "secrets", "*")
}

// split makes of a rule what it says of others than Secrets, what it says of Secrets
// that cannot be limited to names, and what can.
func split(r rbacv1.PolicyRule, names []string) (out []any) {
	rest := r
	rest.Resources = slices.DeleteFunc(slices.Clone(r.Resources), func(s string) bool { return s == "secrets" })
	if len(rest.Resources) > 0 {
		out = append(out, ruleOf(rest))
	}
	var limited, free []string
	for _, v := range r.Verbs {
		if slices.Contains(byName, v) {
			limited = append(limited, v)
		} else {
			free = append(free, v)
		}
	}
	secret := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}}
	if len(free) > 0 {
		secret.Verbs = free
		out = append(out, ruleOf(secret))
	}
	secret.Verbs, secret.ResourceNames = limited, names
	return append(out, ruleOf(secret))
}

func ruleOf(r rbacv1.PolicyRule) map[string]any {
	m := map[string]any{"verbs": r.Verbs}
	for name, list := range map[string][]string{"apiGroups": r.APIGroups, "resources": r.Resources, "resourceNames": r.ResourceNames, "nonResourceURLs": r.NonResourceURLs} {
		if len(list) > 0 {
			m[name] = list
		}
	}
	return m
}

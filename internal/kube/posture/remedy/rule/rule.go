package rule

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// byName are the verbs that a rule can limit to names.
var byName = []string{"get", "list", "watch", "update", "patch", "delete"}

// ByName are the verbs that a rule can limit to names.
func ByName() []string { return slices.Clone(byName) }

// Narrowed returns rules with Secrets named. Verbs that cannot be limited stay, in
// a rule of their own; what else a rule has stays as it is.
func Narrowed(rules []rbacv1.PolicyRule, names []string) (out []any, changed bool, err error) {
	for _, r := range rules {
		if !ReadsAll(r) {
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

// ReadsAll reports whether a rule reads Secrets without naming them.
func ReadsAll(r rbacv1.PolicyRule) bool {
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

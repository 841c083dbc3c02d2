package access

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Request is one thing that is asked of the API server. Namespace "" is a request
// for the whole cluster, or for an object without a namespace; Name "" is a list,
// a creation, or whatever else names no object. A list or watch with the
// fieldSelector metadata.name=x has the Name x. Path is set for requests of
// non-resource URLs, and then nothing but Verb is looked at besides.
type Request struct {
	Verb, Group, Resource, Subresource string
	Namespace, Name                    string
	Path                               string
}

// Matches reports whether a rule allows r, wherever it applies.
func Matches(rule *rbacv1.PolicyRule, r *Request) bool {
	if !has(rule.Verbs, r.Verb) {
		return false
	}
	if r.Path != "" {
		return matchesPath(rule.NonResourceURLs, r.Path)
	}
	return has(rule.APIGroups, r.Group) && MatchesResource(rule, r.Resource, r.Subresource) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.Name))
}

// AllowedBy reports whether one of rules allows r by one of verbs, whatever its own Verb is,
// wherever the rules apply.
func AllowedBy(rules []rbacv1.PolicyRule, r Request, verbs ...string) bool {
	for i := range rules {
		for _, r.Verb = range verbs {
			if Matches(&rules[i], &r) {
				return true
			}
		}
	}
	return false
}

// Granted returns which of verbs a rule gives, on what it is about.
func Granted(rule *rbacv1.PolicyRule, verbs []string) []string {
	var out []string
	for _, v := range verbs {
		if has(rule.Verbs, v) {
			out = append(out, v)
		}
	}
	return out
}

// has reports whether list holds what, or "*".
func has(list []string, what string) bool {
	for _, s := range list {
		if s == "*" || s == what {
			return true
		}
	}
	return false
}

// MatchesResource reports whether a rule names a resource or, if sub is not
// empty, that subresource of it: by "*", by "resource/sub", by "*/sub".
// "resource/*" names nothing, as in Kubernetes.
func MatchesResource(rule *rbacv1.PolicyRule, resource, sub string) bool {
	for _, s := range rule.Resources {
		if s == "*" {
			return true
		}
		if sub == "" {
			if s == resource {
				return true
			}
			continue
		}
		if left, right, ok := strings.Cut(s, "/"); ok && right == sub && (left == resource || left == "*") {
			return true
		}
	}
	return false
}

// matchesPath reports whether one of patterns is path, "*", or a beginning of it
// followed by "*".
func matchesPath(patterns []string, path string) bool {
	for _, p := range patterns {
		if p == "*" || p == path {
			return true
		}
		// As Kubernetes does it: every star at the end is taken off.
		if strings.HasSuffix(p, "*") && strings.HasPrefix(path, strings.TrimRight(p, "*")) {
			return true
		}
	}
	return false
}

package denied

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
)

// isFor reports whether b names who asks, or a group of theirs.
func (x *look) isFor(b *access.Binding) bool {
	groups := x.who.Identity().Groups
	return slices.ContainsFunc(b.Subjects, func(s access.Subject) bool {
		return s == x.who || s.Kind == rbacv1.GroupKind && slices.Contains(groups, s.Name)
	})
}

// bound are bindings of who asks that nearly allow it: to a role that is not there,
// in another namespace, by a rule that lacks one thing.
func (x *look) bound() []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for _, b := range x.policy.Bindings() {
		if !x.isFor(b) {
			continue
		}
		here := b.Namespace == "" || b.Namespace == x.ask.Namespace
		switch {
		case b.Role == nil && here:
			out = append(out, x.roleMissing(b))
		case b.Role == nil:
		case here:
			out = append(out, x.nearly(b)...)
		case allows(b.Role, x.ask.Request):
			out = append(out, x.elsewhere(b))
		}
	}
	return out
}

func allows(r *access.Role, request access.Request) bool {
	return slices.ContainsFunc(r.Rules, func(rule rbacv1.PolicyRule) bool { return access.Matches(&rule, &request) })
}

func (x *look) roleMissing(b *access.Binding) doctor.Diagnosis {
	d := x.diagnosis("RoleMissing", "%s %s binds them to %s %s, which does not exist", b.Kind(), b.Name, b.RoleRef.Kind, b.RoleRef.Name)
	d.Add(bindingRef(b), "roleRef", "%s %s", b.RoleRef.Kind, b.RoleRef.Name)
	namespace := b.Namespace
	if b.RoleRef.Kind == "ClusterRole" {
		namespace = ""
	}
	var names []string
	for _, r := range x.policy.Roles(namespace) {
		names = append(names, r.Name)
	}
	if near := doctor.Near(b.RoleRef.Name, names); len(near) > 0 {
		d.Cause += "; there is " + near[0]
		d.Add(roleRef(x.policy.Role(namespace, near[0])), "metadata.name", "the nearest name that there is; a binding's roleRef cannot be changed, the binding is made anew")
	}
	if other := x.policy.Role("", b.RoleRef.Name); b.RoleRef.Kind == "Role" && other != nil {
		d.Add(roleRef(other), "kind", "there is a ClusterRole of that name")
	}
	return d
}

func (x *look) elsewhere(b *access.Binding) doctor.Diagnosis {
	if x.ask.Namespace == "" {
		d := x.diagnosis("ClusterScope", "they have it in namespace %s only, and ask for all namespaces", b.Namespace)
		d.Add(bindingRef(b), "metadata.namespace", "%s", b.Namespace)
		d.Fix = check.Fix{Text: "have the application ask in namespace " + b.Namespace + " and not in all: clients take the namespace as a setting"}
		return d
	}
	d := x.diagnosis("BoundElsewhere", "they have it in namespace %s, by %s %s, and not here", b.Namespace, b.Kind(), b.Name)
	d.Add(bindingRef(b), "metadata.namespace", "%s", b.Namespace)
	if b.Role.Namespace == "" {
		d.Fix = check.Fix{Command: x.bind(b)}
	}
	return d
}

// bind is the command that binds who asks to the ClusterRole of b where they ask.
func (x *look) bind(b *access.Binding) string {
	if x.who.Kind == rbacv1.ServiceAccountKind {
		return check.Command("kubectl -n %s create rolebinding %s --clusterrole=%s --serviceaccount=%s:%s", x.ask.Namespace, b.Name, b.Role.Name, x.who.Namespace, x.who.Name)
	}
	return check.Command("kubectl -n %s create rolebinding %s --clusterrole=%s --user=%s", x.ask.Namespace, b.Name, b.Role.Name, x.who.Name)
}

// nearly are rules of b's role that lack one thing.
func (x *look) nearly(b *access.Binding) []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for i := range b.Role.Rules {
		why := x.lacks(&b.Role.Rules[i])
		if why == "" {
			continue
		}
		d := x.diagnosis("RuleMisses", "rule %d of %s, which they have by %s %s, %s", i, roleRef(b.Role), b.Kind(), b.Name, why)
		r := &b.Role.Rules[i]
		d.Add(roleRef(b.Role), fmt.Sprintf("rules[%d]", i), "verbs %s, apiGroups %q, resources %s, resourceNames %s", list(r.Verbs), r.APIGroups, list(r.Resources), list(r.ResourceNames))
		out = append(out, d)
	}
	return out
}

// lacks says what the one thing is that keeps a rule from allowing what is asked,
// "" if it is more than one.
func (x *look) lacks(rule *rbacv1.PolicyRule) string {
	a := x.ask
	if a.Path != "" {
		return ""
	}
	try := func(change func(*rbacv1.PolicyRule)) bool {
		other := *rule
		change(&other)
		return access.Matches(&other, &a.Request)
	}
	switch {
	case try(func(r *rbacv1.PolicyRule) { r.ResourceNames = nil }):
		if a.Name == "" {
			return fmt.Sprintf("is for objects by name (%s), and what is asked names none", list(rule.ResourceNames))
		}
		return fmt.Sprintf("is for %s, and not for %s", list(rule.ResourceNames), a.Name)
	case try(func(r *rbacv1.PolicyRule) { r.Verbs = []string{a.Verb} }):
		for _, v := range rule.Verbs {
			if strings.ContainsAny(v, ", ") {
				return fmt.Sprintf("has the verb %q, which is one word to Kubernetes and matches nothing", v)
			}
		}
		return fmt.Sprintf("has the verbs %s, and not %s", list(rule.Verbs), a.Verb)
	case try(func(r *rbacv1.PolicyRule) { r.APIGroups = []string{a.Group} }):
		return fmt.Sprintf("has the API groups %q, and %s is in %q", rule.APIGroups, a.Resource, a.Group)
	case try(func(r *rbacv1.PolicyRule) { r.Resources = []string{a.resource()} }):
		return x.lacksResource(rule)
	}
	return ""
}

func (x *look) lacksResource(rule *rbacv1.PolicyRule) string {
	for _, r := range rule.Resources {
		switch {
		case r == x.ask.Resource+"/*":
			return fmt.Sprintf("has the resource %q, which matches nothing: a star stands before the slash, or alone", r)
		case x.ask.Subresource != "" && r == x.ask.Resource:
			return fmt.Sprintf("has %s, and not its subresource %s", r, x.ask.resource())
		case len(doctor.Near(x.ask.resource(), []string{r})) > 0:
			return fmt.Sprintf("has the resource %q, and it is called %s", r, x.ask.resource())
		}
	}
	return "" // it is about something else
}

// wrongSubject are bindings that would allow it, of somebody whose name is nearly
// that of who asks.
func (x *look) wrongSubject() []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for _, g := range x.policy.Grants(x.ask.Request) {
		for _, s := range g.Binding.Subjects {
			if why := x.meant(s); why != "" {
				d := x.diagnosis("WrongSubject", "%s %s would allow it, and names %s: %s", g.Binding.Kind(), g.Binding.Name, s, why)
				d.Confidence = doctor.Likely
				d.Add(bindingRef(g.Binding), "subjects", "%s", s)
				out = append(out, d)
			}
		}
	}
	return out
}

func (x *look) meant(s access.Subject) string {
	switch {
	case s.Kind == x.who.Kind && s.Name == x.who.Name && s.Namespace != x.who.Namespace:
		return "that is the one of another namespace"
	case s.Kind == rbacv1.UserKind && x.who.Kind == rbacv1.ServiceAccountKind && s.Name == x.who.Name:
		return "kind is User, and not ServiceAccount"
	case s.Kind == x.who.Kind && s.Namespace == x.who.Namespace && len(doctor.Near(x.who.Name, []string{s.Name})) > 0:
		return "that is nearly the name"
	}
	return ""
}

// role is the smallest Role, or ClusterRole, that allows what is asked, and its
// binding.
func (x *look) role() string {
	kind, name := "Role", "allow-"+x.who.Name+"-"+x.ask.Verb+"-"+strings.ReplaceAll(x.ask.resource(), "/", "-")
	if x.ask.Path != "" {
		name = "allow-" + x.who.Name + "-" + x.ask.Verb + "-path"
	}
	name = strings.ToLower(strings.NewReplacer(":", "-", "@", "-", "_", "-", "*", "all").Replace(name))
	meta := map[string]any{"name": name}
	if x.ask.Namespace == "" {
		kind = "ClusterRole"
	} else {
		meta["namespace"] = x.ask.Namespace
	}
	rule := map[string]any{"verbs": []string{x.ask.Verb}, "apiGroups": []string{x.ask.Group}, "resources": []string{x.ask.resource()}}
	if x.ask.Path != "" {
		rule = map[string]any{"verbs": []string{x.ask.Verb}, "nonResourceURLs": []string{x.ask.Path}}
	}
	if x.ask.Name != "" && x.ask.Verb != "create" && x.ask.Verb != "deletecollection" {
		rule["resourceNames"] = []string{x.ask.Name}
	}
	subject := map[string]any{"kind": x.who.Kind, "name": x.who.Name}
	if x.who.Kind == rbacv1.ServiceAccountKind {
		subject["namespace"] = x.who.Namespace
	} else {
		subject["apiGroup"] = rbacv1.GroupName
	}
	version := rbacv1.SchemeGroupVersion.String()
	return document(map[string]any{"apiVersion": version, "kind": kind, "metadata": meta, "rules": []any{rule}}) + "---\n" +
		document(map[string]any{
			"apiVersion": version, "kind": kind + "Binding", "metadata": meta, "subjects": []any{subject},
			"roleRef": map[string]any{"apiGroup": rbacv1.GroupName, "kind": kind, "name": name},
		})
}

// document is an object as YAML. What it is made of has no value that cannot be.
func document(o map[string]any) string {
	text, _ := yaml.Marshal(o)
	return string(text)
}

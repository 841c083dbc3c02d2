package remedy

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/identity"
)

// token takes the ServiceAccount's token from the pods of a workload.
func token(w *World, o Options) (*Plan, error) {
	spec := &w.Workload.Template.Spec
	if spec.AutomountServiceAccountToken != nil && !*spec.AutomountServiceAccountToken {
		return nil, nothing("%s mounts no token", w.Workload.Ref())
	}
	name := accountOf(spec)
	why := fmt.Sprintf("no binding gives ServiceAccount %s any right", name)
	risks := []string{
		"that no pod talks to the API server is concluded from missing rights: what a client may do without any (its version, its discovery) fails too",
		"a login elsewhere with the token (to a vault by its Kubernetes auth method, to a cloud, to a service mesh) takes no binding, and fails without the token: look for one in the application's configuration",
		"the pods are restarted by the change of their template",
	}
	if uses := w.tokenUses(name); len(uses) > 0 {
		if !o.Anyway {
			return nil, errs.Newf(uses[0].kind, "%s: if its pods need no token, say -anyway", uses[0].says)
		}
		why = "it was said that its pods need no token"
		for _, u := range uses {
			risks = append(risks, u.says)
		}
	}
	return &Plan{
		Check: "SEC-08", Rules: []string{"NeedlessToken"}, Object: w.Workload.Ref(),
		Does: "mounts no token of a ServiceAccount into its pods", Risks: risks,
		Steps: []Step{patchOf(w.Workload, map[string]any{"spec": map[string]any{"automountServiceAccountToken": false}}, why)},
	}, nil
}

// doubt is why a token may be needed after all.
type doubt struct {
	kind errs.Kind
	says string
}

// tokenUses are the doubts about the token of a workload, whose ServiceAccount is called
// name.
func (w *World) tokenUses(name string) []doubt {
	var out []doubt
	ns, template := w.Workload.Namespace, &w.Workload.Template
	add := func(format string, args ...any) {
		out = append(out, doubt{errs.Conflict, fmt.Sprintf(format, args...)})
	}
	for _, resource := range []string{"rolebindings", "clusterrolebindings", "clusterroles", "serviceaccounts"} {
		if !w.Knows(resource, ns) {
			out = append(out, doubt{errs.Denied, fmt.Sprintf("%s could not be read, so it is not known whether ServiceAccount %s has rights", resource, name)})
		}
	}
	if len(out) > 0 {
		return out // what bindings give cannot be told from what Kubernetes gives everybody
	}
	if a := w.Account(ns, name); a != nil {
		for _, key := range identity.Account(a.Annotations) {
			add("ServiceAccount %s stands for an identity in a cloud or a vault (%s), for which its pods may show the token", name, key)
		}
	}
	if key := identity.Injector(template.Annotations); key != "" {
		add("the pod template asks for an injector (%s), which logs in with the pod's token", key)
	}
	if said := identity.Variable(&template.Spec); said != "" {
		add("%s is of a client of a vault, which may log in with the token", said)
	}
	for _, b := range rightsOf(access.New(w.RBAC), ns, name) {
		add("%s %s gives ServiceAccount %s rights, which its pods can use with a token only", b.Kind(), b.Name, name)
	}
	return out
}

// rightsOf returns the bindings that name a ServiceAccount or a group that it is in, but
// for those by which Kubernetes gives everybody something as it comes.
func rightsOf(p *access.Policy, namespace, name string) []*access.Binding {
	who := access.ServiceAccount(namespace, name)
	groups := who.Identity().Groups
	return slices.DeleteFunc(slices.Clone(p.Bindings()), func(b *access.Binding) bool {
		return !slices.ContainsFunc(b.Subjects, func(s access.Subject) bool {
			own, _ := b.Shipped(s)
			return s == who || s.Kind == rbacv1.GroupKind && slices.Contains(groups, s.Name) && !own
		})
	})
}

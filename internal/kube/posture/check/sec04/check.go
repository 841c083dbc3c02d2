// Package sec04 asks whether ServiceAccounts have their rights by Roles of their
// namespaces. docs/checks/SEC-04.md.
package sec04

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/baseline"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Check is SEC-04.
func Check() check.Check {
	return check.Check{
		ID: "SEC-04", Title: "ServiceAccounts use namespace-scoped Roles, not ClusterRoleBindings",
		Needs: []string{"clusterroles", "clusterrolebindings", "rolebindings"},
		Judge: judge,
	}
}

// sorts are how many bindings there are of each sort.
type sorts struct{ scoped, own, cluster, wide int }

func judge(in *check.Input) check.Verdict {
	var v check.Verdict
	var n sorts
	policy := access.New(in.RBAC)
	for _, b := range policy.Bindings() {
		v.Findings = append(v.Findings, n.binding(b)...)
	}
	for _, b := range policy.Latent() {
		v.Findings = append(v.Findings, latent(b))
	}
	v.Answer = check.Yes
	if n.wide > 0 {
		v.Answer = check.Partly
		if n.scoped == 0 || slices.ContainsFunc(v.Findings, func(f check.Finding) bool { return f.Severity.AtLeast(check.High) }) {
			v.Answer = check.No
		}
	}
	v.Summary = fmt.Sprintf("ServiceAccounts with rights in every namespace, beside known controllers: %d; their bindings that are scoped to a namespace: %d", n.wide, n.scoped)
	v.Evidence = []check.Evidence{
		{Fact: check.Count(n.scoped, "RoleBinding") + " of ServiceAccounts, to Roles or ClusterRoles, hold in one namespace only"},
		{Fact: check.Count(n.cluster, "ClusterRoleBinding") + " of ServiceAccounts are about what lies in no namespace: no Role could grant it"},
		{Fact: check.Count(n.own, "ServiceAccount") + " of Kubernetes' own have rights in every namespace, as it ships them"},
	}
	return v
}

// binding sorts b, and returns what is wrong with it.
func (n *sorts) binding(b *access.Binding) []check.Finding {
	var out []check.Finding
	switch {
	case b.Role == nil || !slices.ContainsFunc(b.Subjects, robot):
	case b.Namespace != "":
		n.scoped++
	case !slices.ContainsFunc(b.Role.Rules, namespaced):
		n.cluster++
	default:
		for _, who := range b.Subjects {
			if asShipped(b, who) {
				n.own++
				continue
			}
			f, ok := find(b, who)
			if !ok {
				continue
			}
			if f.Severity != check.Info {
				n.wide++
			}
			out = append(out, f)
		}
	}
	return out
}

// latent is the finding of a binding whose role is not there: it grants whatever
// somebody puts into a role of that name.
func latent(b *access.Binding) check.Finding {
	kind := "clusterrolebinding "
	if b.Namespace != "" {
		kind = "rolebinding -n " + b.Namespace + " "
	}
	f := check.Finding{
		Rule: "RoleMissing", Severity: check.Low, Object: snapshot.Ref{Group: rbacv1.GroupName, Kind: b.Kind(), Namespace: b.Namespace, Name: b.Name}, Field: "roleRef",
		Message: fmt.Sprintf("its %s %s is not there: it grants nothing now, and whatever somebody puts into a role of that name", b.RoleRef.Kind, b.RoleRef.Name),
		Fix:     check.Fix{Command: "kubectl delete " + kind + b.Name},
	}
	for _, who := range b.Subjects {
		f.Affected = append(f.Affected, who.String())
	}
	f.Affected, f.Count = check.Names(f.Affected)
	return f
}

// asShipped reports whether b gives who what Kubernetes ships, and nothing of Secrets
// beyond that.
func asShipped(b *access.Binding, who access.Subject) bool {
	own, reaches := b.Shipped(who)
	return own && (reaches || !slices.ContainsFunc(b.Role.Rules, secrets))
}

// robot reports whether a subject is a ServiceAccount, or a group of them.
func robot(who access.Subject) bool {
	return who.Kind == rbacv1.ServiceAccountKind || everybody(who) || who.Kind == rbacv1.GroupKind && strings.HasPrefix(who.Name, access.ServiceAccounts)
}

// everybody reports whether a subject is a group that every ServiceAccount is in, and people
// too, or one of who did not log in.
func everybody(who access.Subject) bool {
	return who == access.Group(access.Authenticated) || who == access.Group(access.Unauthenticated)
}

// find judges one subject of a ClusterRoleBinding.
func find(b *access.Binding, who access.Subject) (check.Finding, bool) {
	if !robot(who) {
		return check.Finding{}, false
	}
	f := check.Finding{
		Object: snapshot.Ref{Group: rbacv1.GroupName, Kind: "ClusterRoleBinding", Name: b.Name}, Field: "subjects[" + who.String() + "]",
		Affected: []string{who.String()}, Count: 1,
	}
	what := fmt.Sprintf("gives %s in every namespace what ClusterRole %s allows", who, b.Role.Name)
	if who.Kind == rbacv1.GroupKind {
		f.Rule, f.Severity, f.Message = "AllServiceAccounts", check.High, what+": that is every pod"
		if everybody(who) {
			f.Rule, f.Message = "Everybody", what+": that is every pod, and everybody who can reach the API server"
			if who.Name == access.Authenticated {
				f.Message = what + ": that is every pod, and everybody who can log in"
			}
		}
		f.Fix = check.Fix{Command: check.Command("kubectl delete clusterrolebinding %s", b.Name)}
		return f, true
	}
	f.Fix = check.Fix{Patch: scope(b, who)}
	why, known := baseline.Controller(who, b.Role.Rules)
	switch {
	case known:
		f.Rule, f.Severity, f.Message = "KnownController", check.Info, what+"; it "+why
	case slices.ContainsFunc(b.Role.Rules, baseline.Everything):
		f.Rule, f.Severity, f.Message = "EverythingEverywhere", check.High, what+", which is everything"
	case slices.ContainsFunc(b.Role.Rules, secrets):
		f.Rule, f.Severity, f.Message = "SecretsEverywhere", check.Medium, what+", Secrets among it"
	default:
		f.Rule, f.Severity, f.Message = "RightsEverywhere", check.Low, what
	}
	return f, true
}

// scope is the RoleBinding that gives the same in the ServiceAccount's namespace.
func scope(b *access.Binding, who access.Subject) string {
	return fmt.Sprintf(`# One of these for each namespace it works in; then: %[1]s
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {namespace: %[2]s, name: %[3]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[4]s}
subjects:
- {kind: ServiceAccount, namespace: %[2]s, name: %[5]s}
`, check.Command("kubectl delete clusterrolebinding %s", b.Name), check.Scalar(who.Namespace), check.Scalar(strings.NewReplacer(":", "-").Replace(b.Name)),
		check.Scalar(b.Role.Name), check.Scalar(who.Name))
}

// secrets reports whether a rule is about Secrets.
func secrets(r rbacv1.PolicyRule) bool {
	return (slices.Contains(r.APIGroups, "") || slices.Contains(r.APIGroups, "*")) && access.MatchesResource(&r, "secrets", "")
}

// unscoped are Kubernetes' resources that lie in no namespace, by group; "*" is all
// of a group.
var unscoped = map[string][]string{
	"":                             {"nodes", "namespaces", "persistentvolumes", "componentstatuses"},
	"rbac.authorization.k8s.io":    {"clusterroles", "clusterrolebindings"},
	"storage.k8s.io":               {"storageclasses", "csidrivers", "csinodes", "volumeattachments", "volumeattributesclasses"},
	"apiextensions.k8s.io":         {"*"},
	"apiregistration.k8s.io":       {"*"},
	"admissionregistration.k8s.io": {"*"},
	"authentication.k8s.io":        {"*"},
	"authorization.k8s.io":         {"subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews"},
	"certificates.k8s.io":          {"*"},
	"scheduling.k8s.io":            {"*"},
	"node.k8s.io":                  {"*"},
	"flowcontrol.apiserver.k8s.io": {"*"},
	"policy":                       {"podsecuritypolicies"},
	"networking.k8s.io":            {"ingressclasses", "ipaddresses", "servicecidrs"},
	"gateway.networking.k8s.io":    {"gatewayclasses"},
	"metrics.k8s.io":               {"nodes"},
	"snapshot.storage.k8s.io":      {"volumesnapshotclasses", "volumesnapshotcontents"},
}

// namespaced reports whether a rule allows something that lies in namespaces, which
// a Role could grant.
func namespaced(r rbacv1.PolicyRule) bool {
	for _, g := range r.APIGroups {
		for _, name := range r.Resources {
			resource, _, _ := strings.Cut(name, "/")
			if known := unscoped[g]; !slices.Contains(known, "*") && !slices.Contains(known, resource) {
				return true
			}
		}
	}
	return false
}

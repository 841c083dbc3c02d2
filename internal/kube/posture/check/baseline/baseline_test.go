package baseline_test

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/baseline"
)

// TestController: only a ServiceAccount of the controller's own namespace is it.
func TestController(t *testing.T) {
	for who, want := range map[access.Subject]bool{
		access.ServiceAccount("cert-manager", "cert-manager"):             true,
		access.ServiceAccount("cert-manager", "cert-manager-cainjector"):  true,
		access.ServiceAccount("shop", "cert-manager"):                     false,
		access.ServiceAccount("cert-manager", "web"):                      false,
		access.ServiceAccount("kube-system", "generic-garbage-collector"): false,
		access.ServiceAccount("kube-system", "namespace-controller"):      true,
		access.ServiceAccount("strongkeep-system", "strongkeep-operator"): true,
		access.User("cert-manager"):                                       false,
	} {
		if _, ok := baseline.Controller(who, nil); ok != want {
			t.Errorf("%s: %v", who, ok)
		}
	}
}

// TestBeyond: whoever gave a controller more than its makers do has it asked about.
func TestBeyond(t *testing.T) {
	admin := rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}
	reads := rbacv1.PolicyRule{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"secrets"}}
	acts := rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}}
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: []string{resource}}
	}
	named := rule("", "secrets", "update")
	named.ResourceNames = []string{"one"}
	ingress, argo := access.ServiceAccount("ingress-nginx", "ingress-nginx"), access.ServiceAccount("argocd", "argocd-application-controller")
	eso, certs, judge := access.ServiceAccount("external-secrets", "external-secrets"), access.ServiceAccount("cert-manager", "cert-manager"), access.ServiceAccount("gatekeeper-system", "gatekeeper-admin")
	for _, c := range []struct {
		who  access.Subject
		rule rbacv1.PolicyRule
		want bool
	}{
		{ingress, reads, true}, {ingress, admin, false}, {ingress, acts, false}, {argo, admin, true},
		{ingress, rule("", "secrets", "update"), false}, {ingress, named, false}, {eso, rule("", "secrets", "create", "delete"), true},
		{ingress, rule("", "serviceaccounts/token", "create"), false}, {eso, rule("", "serviceaccounts/token", "create"), true},
		{eso, rule("", "pods", "create"), false}, {eso, rule("apps", "deployments", "patch"), false}, {certs, rule("", "pods", "create", "delete"), true},
		{certs, rule("", "pods/exec", "create"), false}, {certs, rule("", "pods/*", "create"), true}, {certs, rule("", "*/attach", "create"), false},
		{certs, rule("", "pods/ephemeralcontainers", "patch"), false}, {certs, rule("", "nodes/proxy", "create"), false},
		{certs, rule("", "pods/exec", "get"), false}, {certs, rule("", "*/attach", "get"), false}, {certs, rule("", "nodes/proxy", "get"), false},
		{certs, rule("", "pods/portforward", "create"), false}, {certs, rule("", "pods/portforward", "get"), false}, {certs, rule("*", "*", "create"), false},
		{certs, rule("", "pods/log", "get"), true}, {judge, rule("", "pods/exec", "get"), false},
		{certs, rule("rbac.authorization.k8s.io", "clusterroles", "*"), false}, {certs, rule("rbac.authorization.k8s.io", "*", "*"), false}, {certs, rule("*", "roles", "*"), false},
		{certs, rule("", "users", "*"), false}, {certs, rule("", "groups", "*"), false}, {certs, rule("", "serviceaccounts", "*"), false}, {certs, rule("authentication.k8s.io", "users", "*"), false},
		{certs, rule("cert-manager.io", "*", "*"), true}, {certs, rule("rbac.authorization.k8s.io", "rolebindings", "*"), true}, {certs, rule("rbac.authorization.k8s.io", "clusterroles", "get", "update"), true},
		{ingress, rule("", "pods", "update"), false}, {ingress, rule("", "pods", "patch"), false}, {ingress, rule("", "pods", "get", "delete"), true}, {certs, rule("", "pods", "patch"), true},
		{judge, rule("*", "*", "get", "list", "watch"), true}, {judge, rule("apps", "*", "update"), false}, {ingress, rule("networking.k8s.io", "ingresses/status", "update"), true},
	} {
		if _, ok := baseline.Controller(c.who, []rbacv1.PolicyRule{reads, c.rule}); ok != c.want {
			t.Errorf("%s with %v: %v", c.who, c.rule, ok)
		}
	}
}

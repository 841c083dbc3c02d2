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
	ingress, argo := access.ServiceAccount("ingress-nginx", "ingress-nginx"), access.ServiceAccount("argocd", "argocd-application-controller")
	for _, c := range []struct {
		who  access.Subject
		rule rbacv1.PolicyRule
		want bool
	}{{ingress, reads, true}, {ingress, admin, false}, {ingress, acts, false}, {argo, admin, true}} {
		if _, ok := baseline.Controller(c.who, []rbacv1.PolicyRule{reads, c.rule}); ok != c.want {
			t.Errorf("%s with %v: %v", c.who, c.rule, ok)
		}
	}
}

package baseline_test

import (
	"testing"

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
		if _, ok := baseline.Controller(who); ok != want {
			t.Errorf("%s: %v", who, ok)
		}
	}
}

package provider

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// facts/external-secrets.md §1.12: who may make a SecretStore does not read with
// the operator's rights unless the operator is told so.
func TestAmbient(t *testing.T) {
	cluster := ScopeOf(&v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "x"}})
	namespaced := ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "x"}})
	for given, want := range map[string][2]bool{ // cluster, namespaced
		"": {true, false}, "cluster": {true, false}, "all": {true, true}, "none": {false, false},
	} {
		a, err := ParseAmbient(given)
		if err != nil {
			t.Fatal(err)
		}
		for i, scope := range []Scope{cluster, namespaced} {
			err := a.Admit(scope, "auth")
			if (err == nil) != want[i] {
				t.Errorf("%q, %v: %v", given, scope.Store(), err)
			}
			if err != nil && (!errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "set auth")) {
				t.Errorf("%q: %v", given, err)
			}
		}
		if Ambient("").Admit(namespaced, "auth") == nil || Ambient("").Admit(Scope{}, "auth") == nil {
			t.Error("the zero value admits what is in a namespace")
		}
	}
	if (Ambient("")).Admit(ScopeOfGenerator("ClusterSecretStore", "g", "team"), "auth") == nil {
		t.Error("a generator that says it is a ClusterSecretStore uses the operator's identity")
	}
	if _, err := ParseAmbient("some"); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

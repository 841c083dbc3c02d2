package provider

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Guards against the namespace mix-ups of facts/external-secrets.md §1.12.
func TestScopeNeverReachesAnotherNamespace(t *testing.T) {
	team := ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "s"}})
	cluster := ScopeOf(&v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "s"}})
	other, own, empty := "other", "team", ""
	for name, c := range map[string]struct {
		scope     Scope
		namespace *string
		object    string
		want      string // empty: refused
		kind      errs.Kind
	}{
		"own by default":            {team, nil, "x", "team/x", 0},
		"own named":                 {team, &own, "x", "team/x", 0},
		"own, empty string":         {team, &empty, "x", "team/x", 0},
		"another":                   {team, &other, "x", "", errs.Invalid},
		"cluster, named":            {cluster, &other, "x", "other/x", 0},
		"cluster, not named":        {cluster, nil, "x", "", errs.Invalid},
		"cluster, empty":            {cluster, &empty, "x", "", errs.Invalid},
		"no name":                   {team, nil, "", "", errs.Invalid},
		"zero scope":                {Scope{}, &own, "x", "", errs.Internal},
		"SecretStore, no namespace": {ScopeOf(&v1.SecretStore{}), &other, "x", "", errs.Internal},
		"generator":                 {ScopeOfGenerator("Webhook", "g", "team"), nil, "x", "team/x", 0},
		"generator, another":        {ScopeOfGenerator("ClusterGenerator", "g", "team"), &other, "x", "", errs.Invalid},
		// Of which kind a generator is may stand in an object that a tenant writes.
		"generator that says it is a ClusterSecretStore": {ScopeOfGenerator("ClusterSecretStore", "g", "team"), &other, "x", "", errs.Invalid},
	} {
		ref, err := c.scope.Ref("auth.ref", c.namespace, c.object)
		if c.want == "" {
			if !errs.Is(err, c.kind) || ref != (Ref{}) {
				t.Errorf("%s: %v, %v; want %v", name, ref, err, c.kind)
			}
		} else if err != nil || ref.String() != c.want {
			t.Errorf("%s: %v, %v; want %s", name, ref, err, c.want)
		}
	}
}

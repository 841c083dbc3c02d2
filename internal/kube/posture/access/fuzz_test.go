package access_test

import (
	"encoding/json"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// Whatever RBAC objects somebody writes, they are decided on, also those that
// aggregate one another.
func FuzzPolicy(f *testing.F) {
	f.Add([]byte(`{"ClusterRoles":[{"metadata":{"name":"a","labels":{"x":"y"}},"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"x":"y"}},{}]}},
		{"metadata":{"name":"b","labels":{"x":"y"}},"aggregationRule":{"clusterRoleSelectors":[{}]},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["secrets"]}]}],
		"ClusterRoleBindings":[{"metadata":{"name":"c"},"roleRef":{"kind":"ClusterRole","name":"a"},"subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s"}]}],"Aggregate":true}`))
	f.Add([]byte(`{"RoleBindings":[{"metadata":{"name":"c"},"roleRef":{"kind":"Role","name":"a"},"subjects":[{"kind":"ServiceAccount","name":"s","namespace":"n"}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var o access.Objects
		if json.Unmarshal(text, &o) != nil {
			return
		}
		p := access.New(o)
		r := access.Request{Verb: "get", Resource: "secrets", Namespace: "n", Name: "db"}
		for _, g := range p.Grants(r) {
			for _, s := range g.Binding.Subjects {
				if _, ok := p.Allows(s.Identity(), r); !ok {
					t.Errorf("%v is granted what it is not allowed", s)
				}
			}
		}
	})
}

package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Remote returns the role that an operator of another cluster needs in this one,
// to find, restart and prove the consumers of a credential here. It makes, changes
// and deletes no Secret, runs nothing and watches nothing.
func Remote() Role {
	rules := []Rule{
		rule("to see which Secrets are fed from the credential", v1.Group, "externalsecrets", "list"),
		rule("to see where they read it", v1.Group, "secretstores", "get"),
		rule("to see where they read it", v1.Group, "clustersecretstores", "get"),
		rule("to see which Secrets hold which version, and to find copies of the credential", "", "secrets", "list"),
		rule("to see that a Secret holds it, and to read the key of this cluster's operator, so that both make one stamp of it", "", "secrets", "get"),
		rule("to find copies of the credential where they should not be", "", "configmaps", "list"),
	}
	for _, r := range slices.Concat(Consumers(), rotation()) {
		if r.APIGroups[0] == v1alpha1.Group {
			continue
		}
		r.Verbs = slices.DeleteFunc(slices.Clone(r.Verbs), func(v string) bool { return v == "watch" })
		rules = append(rules, r)
	}
	return Role{Name: RemoteName, Rules: rules}
}

// RemoteName is that of the role of Remote.
const RemoteName = "strongkeep-remote"

// PolicyRules returns the rules of r without their reasons.
func (r Role) PolicyRules() []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, rule := range r.Rules {
		out = append(out, rule.PolicyRule)
	}
	return out
}

// remoteHead is who has the role, and how it logs in.
const remoteHead = `---
apiVersion: v1
kind: Namespace
metadata:
  name: strongkeep-system
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: strongkeep-remote
  namespace: strongkeep-system
---
# A token that does not end: take it back by deleting this Secret. One that ends,
# renewed by a job of your own, is better (docs/rotation/clusters.md).
apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata:
  name: strongkeep-remote
  namespace: strongkeep-system
  annotations:
    kubernetes.io/service-account.name: strongkeep-remote
`

// RemoteYAML renders everything that lets an operator of another cluster in.
func RemoteYAML() ([]byte, error) {
	o := Options{ServiceAccount: RemoteName}.withDefaults()
	role := Remote()
	text, err := render([]Role{role}, objectsOf([]Role{role}, o))
	return append([]byte(remoteHead), text...), err
}

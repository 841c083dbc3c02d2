package whocan

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// surveyed is two namespaces with a Secret each, of which eve reads one and runs
// commands where the other is used, and the agent reads all.
const surveyed = `
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
stringData: {password: ` + canary + `}
---
apiVersion: v1
kind: Secret
metadata: {name: api, namespace: shop}
stringData: {password: ` + canary + `}
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: web}
stringData: {password: ` + canary + `}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: one, namespace: shop}
rules: [{verbs: [get], apiGroups: [""], resources: [secrets], resourceNames: [db]}, {verbs: [patch], apiGroups: [""], resources: [namespaces]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: one, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: one}
subjects: [{kind: User, name: eve}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: agent}
rules: [{verbs: [list], apiGroups: [""], resources: [secrets]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: agent}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: agent}
subjects: [{kind: ServiceAccount, namespace: ops, name: agent}]
`

func TestSurvey(t *testing.T) {
	d := &desk{TB: t, stdin: surveyed}
	for name, c := range map[string]struct {
		args    []string
		secrets int
		want    map[string]int // Secrets by subject
	}{
		"a namespace":       {[]string{"shop/"}, 2, map[string]int{"User/eve": 1, "ServiceAccount/ops/agent": 2}},
		"another":           {[]string{"web/"}, 1, map[string]int{"ServiceAccount/ops/agent": 1}},
		"the cluster":       {[]string{"-all"}, 3, map[string]int{"User/eve": 1, "ServiceAccount/ops/agent": 3}},
		"without a binding": {[]string{"-all", "-without=clusterrolebinding/agent"}, 3, map[string]int{"User/eve": 1}},
		"Kubernetes' own":   {[]string{"web/", "-builtin"}, 1, map[string]int{"ServiceAccount/ops/agent": 1, "Group/system:masters": 1}},
	} {
		out, _, err := d.run(append(append([]string{"who-can", "-format=json"}, c.args...), "-f", "-")...)
		var got survey
		if err != nil || json.Unmarshal([]byte(out), &got) != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		found := map[string]int{}
		for _, r := range got.Readers {
			found[r.Subject] = r.Secrets
		}
		if got.Secrets != c.secrets || len(found) != len(c.want) {
			t.Errorf("%s: of %d Secrets %v, want of %d %v", name, got.Secrets, found, c.secrets, c.want)
		}
		for who, n := range c.want {
			if found[who] != n {
				t.Errorf("%s: %s gets at %d, want %d", name, who, found[who], n)
			}
		}
	}
	table, _, err := d.run("who-can", "shop/", "-f", "-")
	if err != nil || !strings.Contains(table, "1 of 2") || !strings.Contains(table, "lifts Pod Security") {
		t.Errorf("%v\n%s", err, table)
	}
	for _, wrong := range [][]string{{"/"}, {"a/b/"}, {"shop/db", "-all"}, {}} {
		if _, _, err := d.run(append(append([]string{"who-can"}, wrong...), "-f", "-")...); !errs.Is(err, errs.Invalid) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

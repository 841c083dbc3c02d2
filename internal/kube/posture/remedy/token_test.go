package remedy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Whatever may need the token has it kept, until the user says otherwise; then the plan
// names it.
func TestToken(t *testing.T) {
	role := rbacv1.RoleRef{Kind: "Role", Name: "reads"}
	binding := func(kind, name string) rbacv1.RoleBinding {
		return rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "reads"}, RoleRef: role, Subjects: []rbacv1.Subject{{Kind: kind, Name: name}}}
	}
	everywhere := func(name, mark, group string) []any {
		meta := metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/bootstrapping": mark}}
		return []any{rbacv1.ClusterRole{ObjectMeta: meta}, rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name}, Subjects: []rbacv1.Subject{{Kind: "Group", Name: group}}}}
	}
	account := func(key string) corev1.ServiceAccount {
		return corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Annotations: map[string]string{key: canary}}}
	}
	asked := func(key, value string) map[string]string { return map[string]string{key: value} }
	for name, c := range map[string]struct {
		objects   []any
		template  map[string]string
		variable  string // in the pod's container
		unread    string
		kind      errs.Kind
		says, not string
	}{
		"nobody needs it":        {kind: none, says: "a vault by its Kubernetes auth method"},
		"a binding":              {objects: []any{binding("ServiceAccount", "web")}, kind: errs.Conflict, says: "RoleBinding reads gives ServiceAccount web rights"},
		"another's binding":      {objects: []any{binding("ServiceAccount", "other")}, kind: none, says: "missing rights"},
		"its namespace's":        {objects: []any{binding("Group", "system:serviceaccounts:shop")}, kind: errs.Conflict, says: "RoleBinding reads gives"},
		"all ServiceAccounts'":   {objects: everywhere("all-view", "", "system:serviceaccounts"), kind: errs.Conflict, says: "ClusterRoleBinding all-view gives"},
		"everybody's":            {objects: everywhere("all-view", "rbac-defaults", "system:authenticated"), kind: errs.Conflict, says: "ClusterRoleBinding all-view gives"},
		"everybody's as it is":   {objects: everywhere("system:discovery", "rbac-defaults", "system:authenticated"), kind: none, says: "missing rights", not: "system:discovery"},
		"a cloud's":              {objects: []any{account("eks.amazonaws.com/role-arn")}, kind: errs.Conflict, says: "identity in a cloud or a vault (eks.amazonaws.com/role-arn)"},
		"a vault's":              {objects: []any{account("vault.hashicorp.com/alias-metadata-team")}, kind: errs.Conflict, says: "vault.hashicorp.com/alias-metadata-team"},
		"another annotation":     {objects: []any{account("example.com/role-arn")}, kind: none, says: "missing rights"},
		"an agent is injected":   {template: asked("vault.hashicorp.com/agent-inject", "true"), kind: errs.Conflict, says: "vault.hashicorp.com/agent-inject"},
		"an agent is not":        {template: asked("vault.hashicorp.com/agent-inject", "false"), kind: none, says: "missing rights", not: "agent-inject"},
		"a client of a vault":    {variable: "{name: VAULT_ADDR, value: " + canary + "}", kind: errs.Conflict, says: "variable VAULT_ADDR of container web"},
		"fetched from a vault":   {variable: "{name: PASSWORD, value: 'vault:secret/data/" + canary + "#password'}", kind: errs.Conflict, says: "variable PASSWORD of container web"},
		"another variable":       {variable: "{name: PASSWORD, value: 'in-vault:" + canary + "'}", kind: none, says: "missing rights", not: "PASSWORD"},
		"bindings not read":      {unread: "rolebindings", kind: errs.Denied, says: "rolebindings could not be read"},
		"ClusterRoles not read":  {unread: "clusterroles", kind: errs.Denied, says: "clusterroles could not be read"},
		"with a right, not read": {objects: []any{binding("ServiceAccount", "web")}, unread: "serviceaccounts", kind: errs.Denied, says: "serviceaccounts could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, "{serviceAccountName: web, containers: [{name: web, env: ["+c.variable+"]}]}", Target{}, c.objects...)
			w.Workload.Template.Annotations = c.template
			delete(w.Coverage, c.unread)
			p, err := token(w, Options{})
			if (err != nil) != (c.kind != none) {
				t.Fatalf("%v", err)
			}
			want := []string{c.says}
			if c.not != "" {
				want = append(want, "!"+c.not)
			}
			has(t, p, err, c.kind, want...)
			if p, err = token(w, Options{Anyway: true}); err != nil {
				t.Fatal(err)
			}
			has(t, p, err, none, append(want, "automountServiceAccountToken: false", "a vault by its Kubernetes auth method")...)
		})
	}
	p, err := token(world(t, "{automountServiceAccountToken: false, containers: []}", Target{}), Options{})
	has(t, p, err, errs.NotExist, "mounts no token")
}

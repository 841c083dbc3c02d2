package path

import (
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// Rules are held against the rows of their resources only: nothing that a look at each
// row would find is missed.
func TestRowsByResource(t *testing.T) {
	rows := newRows(table(func(string, string) bool { return true }))
	r := rand.New(rand.NewPCG(1, 2))
	resources := []string{"*", "*/exec", "*/token", "pods/*", "nothing", "pods/exec/more", ""}
	for i := range rows.all {
		resources = append(resources, rows.all[i].name())
	}
	some := func(from []string) (out []string) {
		for range r.IntN(4) {
			out = append(out, from[r.IntN(len(from))])
		}
		return out
	}
	found := 0
	for range 20_000 {
		rule := rbacv1.PolicyRule{Verbs: some([]string{"*", "get", "create", "patch", "impersonate", "bind"}), APIGroups: some([]string{"*", "", "apps", stores}), Resources: some(resources), ResourceNames: some([]string{"a"})}
		b := &access.Binding{Role: &access.Role{Rules: []rbacv1.PolicyRule{rule}}, Subjects: []access.Subject{access.User("u")}}
		var want []Capability
		for i := range rows.all {
			row := &rows.all[i]
			if names, ok := row.allows(&rule); ok {
				want = append(want, Capability{Kind: row.kind, Group: row.group, Resource: row.name(), Names: names, Grant: access.Grant{Binding: b}, deputy: row.deputy, cluster: row.cluster})
			}
		}
		found += len(want)
		if got := rows.capabilities(b); !reflect.DeepEqual(got, want) {
			t.Fatalf("%+v gives %v, want %v", rule, got, want)
		}
	}
	if found < 10_000 {
		t.Errorf("only %d capabilities: the rules are too unlikely", found)
	}
}

// What is worked out when it is first needed may be needed by many at once.
func TestManyAtOnce(t *testing.T) {
	o := access.Objects{
		Roles:        []rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}}}},
		RoleBindings: []rbacv1.RoleBinding{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "all"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "all"}, Subjects: []rbacv1.Subject{{Kind: "User", Name: "anna"}}}},
	}
	c := Config{
		Policy: access.New(o), Namespaces: []string{"shop", "bank"}, Open: []string{"shop"}, Serves: func(string, string) bool { return true },
		Pods: []Pod{
			{Name: Name{"shop", "a"}, Account: "app", Node: "n1", Secrets: []string{"db"}, Privileged: true},
			{Name: Name{"bank", "b"}, Account: "app", Node: "n1", Secrets: []string{"key"}},
		},
	}
	asked := []Name{{"shop", "db"}, {"bank", "key"}, {"bank", "none"}, {"void", "none"}}
	var want [][]Reader
	for _, n := range asked {
		want = append(want, New(c).Readers(n))
	}
	if len(want[1]) != 3 { // the superusers, the node, and anna, who gets onto it
		t.Errorf("%v gets at %s", want[1], asked[1])
	}
	f := New(c)
	var all sync.WaitGroup
	for range 4 {
		for i, n := range asked {
			all.Go(func() {
				if got := f.Readers(n); !reflect.DeepEqual(got, want[i]) {
					t.Errorf("%s: %v, want %v", n, got, want[i])
				}
			})
		}
	}
	all.Wait()
}

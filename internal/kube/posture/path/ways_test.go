package path

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// spaces of a random cluster.
var spaces = []string{"shop", "bank", "kube-system"}

// random is a cluster in which anybody may be given any right that matters.
func random(seed uint64) Config {
	r := rand.New(rand.NewPCG(seed, 7))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	rows := table(func(string, string) bool { return true })
	accounts := []string{"web", "agent", "argocd-application-controller", "kustomize-controller"}
	subject := func() rbacv1.Subject {
		switch r.IntN(9) {
		case 0, 1, 2:
			return rbacv1.Subject{Kind: "ServiceAccount", Namespace: pick(spaces...), Name: pick(accounts...)}
		case 3:
			return rbacv1.Subject{Kind: "User", Name: pick("system:node:n1", "system:node:n2")}
		case 4:
			return rbacv1.Subject{Kind: "Group", Name: pick(access.Masters, access.ServiceAccounts, access.ServiceAccounts+":shop", access.Authenticated)}
		case 5:
			return rbacv1.Subject{Kind: "Group", Name: pick("ops", "dev")}
		}
		return rbacv1.Subject{Kind: "User", Name: pick("anna", "bert", "cleo")}
	}
	rules := func() (out []rbacv1.PolicyRule) {
		for range 1 + r.IntN(2) {
			row := &rows[r.IntN(len(rows))]
			rule := rbacv1.PolicyRule{Verbs: []string{row.verbs[r.IntN(len(row.verbs))]}, APIGroups: []string{row.group}, Resources: []string{row.name()}}
			if r.IntN(3) == 0 {
				rule.ResourceNames = []string{pick("db", "web", "anna", "ops", "n1", "web-1", "r1", "system:node:n1", "aws-auth")}
			}
			if r.IntN(12) == 0 {
				rule.Verbs = append(rule.Verbs, "create", "get", "update")
			}
			out = append(out, rule)
			if row.group == authentication { // the other half of constrained impersonation
				mode := pick("user-info", "serviceaccount", "arbitrary-node", "associated-node")
				out = append(out, rbacv1.PolicyRule{Verbs: []string{"impersonate-on:" + mode + ":get"}, APIGroups: []string{""}, Resources: []string{"secrets"}})
			}
		}
		return out
	}
	var o access.Objects
	for i := range 14 {
		name, ns := fmt.Sprintf("r%d", i), pick(spaces...)
		if i%2 == 0 {
			o.ClusterRoles = append(o.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules()})
			o.ClusterRoleBindings = append(o.ClusterRoleBindings, rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name}, Subjects: []rbacv1.Subject{subject()}})
			continue
		}
		o.Roles = append(o.Roles, rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Rules: rules()})
		o.RoleBindings = append(o.RoleBindings, rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: name}, Subjects: []rbacv1.Subject{subject(), subject()}})
	}
	c := Config{Policy: access.New(o), Namespaces: spaces, Serves: func(string, string) bool { return true }, Mapped: r.IntN(2) == 0}
	for i := range 6 {
		c.Pods = append(c.Pods, Pod{Name: Name{spaces[i%3], fmt.Sprintf("web-%d", i)}, Account: pick(accounts...), Node: pick("n1", "n2", ""), Secrets: []string{pick("db", "key")}, Privileged: r.IntN(4) == 0, Lowered: r.IntN(8) == 0})
	}
	if r.IntN(2) == 0 {
		c.Open = spaces[:1]
	}
	if r.IntN(2) == 0 {
		to := pick(spaces...)
		c.Projects = []Project{{Namespace: pick(spaces...), From: func(string) bool { return true }, To: func(ns string) bool { return ns == to }}}
	}
	return c
}

// anew is Readers as it is without anything that was found before, and with those
// capabilities that are left out since nobody but the superusers has them.
func anew(c Config, secret Name) []Reader {
	f := New(c)
	for _, b := range c.Policy.Bindings() {
		for _, found := range f.rows.capabilities(b) {
			if !found.matters() {
				f.restore(&found)
			}
		}
	}
	s := search{Finder: f, nodes: map[access.Subject]*node{}}
	s.direct(&target{resource: "secrets", kind: "Secret", Name: secret})
	walk := func() {
		for ; s.done < len(s.order); s.done++ {
			s.walk(s.order[s.done])
		}
	}
	walk()
	s.later()
	walk()
	return s.readers()
}

// Who can act as somebody is found once for all Secrets: the readers of each, their chains
// and their order are those that are found by walking anew.
func TestWaysAreFoundOnce(t *testing.T) {
	chains, limited, borrowed := 0, 0, 0
	for seed := range uint64(400) {
		c := random(seed)
		f := New(c)
		for _, ns := range spaces {
			for _, name := range []string{"db", "key", "none"} {
				secret := Name{ns, name}
				got, want := f.Readers(secret), anew(c, secret)
				if len(got) != len(want) {
					t.Fatalf("%d, %s: %v; anew %v", seed, secret, got, want)
				}
				for i := range got {
					if say(got[i]) != say(want[i]) {
						t.Fatalf("%d, %s: %s; anew %s", seed, secret, say(got[i]), say(want[i]))
					}
					if len(got[i].Steps) > 2 {
						chains++
					}
				}
			}
		}
		if len(c.Projects) > 0 {
			limited++
		}
		if f.borrowed {
			borrowed++
		}
	}
	if chains < 500 || limited < 100 || borrowed < 50 {
		t.Errorf("only %d chains of more than two steps, %d clusters with projects, %d with constrained impersonation: they are too unlikely", chains, limited, borrowed)
	}
}

// say tells a reader: the capabilities by what they are, as those of two Finders are others.
func say(r Reader) string {
	out := r.Subject.String()
	for _, s := range r.Steps {
		out += fmt.Sprintf("; %s %s on %s (%v)", s.Subject, s.Kind, s.On, s.Later)
		if c := s.Capability; c != nil {
			out += fmt.Sprintf(" by %s %v of %s %s rule %d", c.Resource, c.Names, c.Grant.Binding.Kind(), c.Grant.Binding.Name, c.Grant.Rule)
		}
	}
	return out
}

// Who asks again gets the same, and what was told once is not changed by it.
func TestAskedAgain(t *testing.T) {
	for seed := range uint64(20) {
		f := New(random(seed))
		first := f.Readers(Name{"shop", "db"})
		for _, ns := range spaces {
			f.Readers(Name{ns, "key"})
		}
		if again := f.Readers(Name{"shop", "db"}); !reflect.DeepEqual(first, again) {
			t.Errorf("%d: %v, and then %v", seed, first, again)
		}
	}
}

// restore puts a capability where keep leaves it out.
func (f *Finder) restore(c *Capability) {
	if f.caps[c.Kind] == nil {
		f.caps[c.Kind] = map[string][]*Capability{}
	}
	f.caps[c.Kind][c.Namespace] = append(f.caps[c.Kind][c.Namespace], c)
}

package rbac

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

// TestSameAsKubernetes draws policies and requests of few enough words that most
// rules nearly match, and asks both. STRONGKEEP_DECISIONS says how many; the seed
// is printed with the first difference.
func TestSameAsKubernetes(t *testing.T) {
	decisions := 1_000_000
	if s := os.Getenv("STRONGKEEP_DECISIONS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			t.Fatalf("STRONGKEEP_DECISIONS=%q: a number of decisions is wanted", s)
		}
		decisions = n
	}
	const perPolicy = 500
	allowed, asked := 0, decisions
	for seed := uint64(1); decisions > 0; seed++ {
		d := draw{rand.New(rand.NewPCG(seed, 6))}
		objects := d.objects()
		ours, theirs := access.New(objects), kubernetes(objects)
		for range min(perPolicy, decisions) {
			who, request := d.who(), d.request()
			_, got := ours.Allows(who, request)
			verdict, _, _ := theirs.Authorize(context.Background(), attributes(who, request))
			want := verdict == authorizer.DecisionAllow
			if got != want {
				t.Fatalf("seed %d: %+v asks for %+v: we say %v, Kubernetes %v\n%+v", seed, who, request, got, want, objects)
			}
			if got {
				allowed++
			}
			decisions--
		}
	}
	t.Logf("%d of %d requests were allowed", allowed, asked)
	if allowed < asked/20 {
		t.Error("hardly anything was allowed: the test shows too little")
	}
}

// kubernetes is Kubernetes' authorizer over o.
func kubernetes(o access.Objects) *rbac.RBACAuthorizer {
	roles, bindings := pointers(o.Roles), pointers(o.RoleBindings)
	clusterRoles, clusterBindings := pointers(o.ClusterRoles), pointers(o.ClusterRoleBindings)
	_, held := validation.NewTestRuleResolver(roles, bindings, clusterRoles, clusterBindings)
	return rbac.New(held, held, held, held)
}

func pointers[T any](list []T) []*T {
	var out []*T
	for i := range list {
		out = append(out, &list[i])
	}
	return out
}

func attributes(who access.Identity, r access.Request) authorizer.Attributes {
	return authorizer.AttributesRecord{
		User: &user.DefaultInfo{Name: who.Name, Groups: who.Groups},
		Verb: r.Verb, APIGroup: r.Group, Resource: r.Resource, Subresource: r.Subresource,
		Namespace: r.Namespace, Name: r.Name, Path: r.Path, ResourceRequest: r.Path == "",
	}
}

// draw makes random things, the same for the same seed.
type draw struct{ *rand.Rand }

func one[T any](d draw, of ...T) T { return of[d.IntN(len(of))] }

// some draws up to n of words, with repetition.
func some(d draw, n int, words ...string) []string {
	var out []string
	for range d.IntN(n + 1) {
		out = append(out, one(d, words...))
	}
	return out
}

var (
	namespaces = []string{"a", "b", "kube-system"}
	names      = []string{"x", "y", "x:y", "*"}
	verbs      = []string{"get", "list", "create", "get,list"}
	groups     = []string{"", "apps"}
	resources  = []string{"secrets", "pods", "pods/exec", "secrets/*", "pods/*", "*/exec", "*/x", "*", "*"}
	paths      = []string{"/metrics", "/healthz", "/healthz/etcd", "/healthz/*", "/*", "*", "/api**"}
)

func (d draw) objects() access.Objects {
	var o access.Objects
	for _, ns := range namespaces {
		for _, name := range names[:2] {
			o.Roles = append(o.Roles, rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Rules: d.rules(false)})
		}
	}
	for _, name := range names[:3] {
		o.ClusterRoles = append(o.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: d.rules(true)})
	}
	for i := range 8 {
		o.RoleBindings = append(o.RoleBindings, rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: one(d, namespaces...), Name: fmt.Sprint("b", i)}, RoleRef: d.roleRef("Role", "ClusterRole", "Wrong"), Subjects: d.subjects(),
		})
	}
	for i := range 4 {
		o.ClusterRoleBindings = append(o.ClusterRoleBindings, rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c", i)}, RoleRef: d.roleRef("ClusterRole", "ClusterRole", "Role"), Subjects: d.subjects(),
		})
	}
	return o
}

func (d draw) roleRef(kinds ...string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: one(d, kinds...), Name: one(d, names...)}
}

func (d draw) rules(cluster bool) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for range 1 + d.IntN(3) {
		r := rbacv1.PolicyRule{Verbs: some(d, 3, append([]string{"*", "*"}, verbs...)...)}
		if cluster && d.IntN(4) == 0 {
			r.NonResourceURLs = some(d, 2, paths...)
		} else {
			r.APIGroups = some(d, 3, append([]string{"*", ""}, groups...)...)
			r.Resources = some(d, 3, resources...)
			r.ResourceNames = some(d, 1, names...)
		}
		out = append(out, r)
	}
	return out
}

func (d draw) subjects() []rbacv1.Subject {
	var out []rbacv1.Subject
	for range 1 + d.IntN(3) {
		s := rbacv1.Subject{Kind: one(d, "User", "Group", "ServiceAccount", "Robot"), Name: one(d, names...)}
		switch s.Kind {
		case "User":
			s.Name = one(d, s.Name, "system:serviceaccount:a:x", "system:serviceaccount:b:x:y")
		case "Group":
			s.Name = one(d, s.Name, access.Authenticated, access.ServiceAccounts, access.ServiceAccounts+":a")
		case "ServiceAccount":
			s.Namespace = one(d, "", "a", "b")
		}
		out = append(out, s)
	}
	return out
}

func (d draw) who() access.Identity {
	switch d.IntN(4) {
	case 0:
		return access.User(one(d, names...)).Identity()
	case 1:
		return access.Group(one(d, names...)).Identity()
	case 2:
		return access.Identity{Name: one(d, "system:serviceaccount:a:x", "system:serviceaccount:b:x:y", "system:serviceaccount::x", "system:serviceaccount:a"), Groups: some(d, 2, access.Authenticated, "x")}
	}
	return access.ServiceAccount(one(d, namespaces...), one(d, names[:2]...)).Identity()
}

func (d draw) request() access.Request {
	if d.IntN(6) == 0 {
		return access.Request{Verb: one(d, verbs...), Path: one(d, "/metrics", "/healthz/etcd", "/healthz", "/apis", "/")}
	}
	r := access.Request{Verb: one(d, verbs...), Group: one(d, groups...), Resource: one(d, "secrets", "pods"), Subresource: one(d, "", "", "", "exec", "x")}
	r.Namespace = one(d, append([]string{""}, namespaces...)...)
	r.Name = one(d, append([]string{""}, names...)...)
	return r
}

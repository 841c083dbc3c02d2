package least_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/least"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

var (
	from = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	to   = from.Add(12 * 24 * time.Hour)
)

const robot = "system:serviceaccount:shop:robot"

// objects bind the rules to robot, and to a group, by a RoleBinding in shop.
func objects(rules ...rbacv1.PolicyRule) access.Objects {
	return access.Objects{
		Roles: []rbacv1.Role{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}, Rules: rules}},
		RoleBindings: []rbacv1.RoleBinding{{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "app"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "robot"}, {Kind: "Group", Name: "ops"}},
		}},
	}
}

func rule(verbs, group, resources, names string) rbacv1.PolicyRule {
	r := rbacv1.PolicyRule{Verbs: strings.Split(verbs, ","), APIGroups: []string{group}, Resources: strings.Split(resources, ",")}
	if names != "" {
		r.ResourceNames = strings.Split(names, ",")
	}
	return r
}

// act is "user verb group resource[/sub] namespace name".
func act(text string) snapshot.Act {
	f := strings.Split(text, " ")
	resource, sub, _ := strings.Cut(f[3], "/")
	return snapshot.Act{User: f[0], Verb: f[1], Group: f[2], Resource: resource, Subresource: sub, Namespace: f[4], Name: f[5], Count: 2}
}

func of(t *testing.T, o access.Objects, acts ...snapshot.Act) *least.Answer {
	t.Helper()
	a, err := least.Of(access.New(o), "shop", "app", &snapshot.Activity{From: from, To: to, Acts: acts})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func say(rules []rbacv1.PolicyRule) string {
	var out []string
	for _, r := range rules {
		out = append(out, strings.TrimSpace(fmt.Sprint(strings.Join(r.Verbs, ","), " ", strings.Join(r.APIGroups, ","), " ", strings.Join(r.Resources, ",")+strings.Join(r.NonResourceURLs, ","), " ", strings.Join(r.ResourceNames, ","))))
	}
	return strings.Join(out, "; ")
}

// More names than a rule has are named all the same; a verb that was asked of all is wide.
func TestNamed(t *testing.T) {
	var acts []snapshot.Act
	for i := range 25 {
		acts = append(acts, act(fmt.Sprintf("%s get  secrets shop s%02d", robot, i)))
	}
	acts = append(acts, act(robot+" watch  secrets shop *"), act(robot+" create  secrets shop "), act(robot+" get  configmaps shop other"), act("jane get  secrets shop hers"))
	a := of(t, objects(rule("*", "*", "*", "")), acts...)
	names, wide := a.Named("", "secrets", []string{"get", "list", "watch"})
	if len(names) != 25 || names[0] != "s00" || names[24] != "s24" || strings.Join(wide, ",") != "watch" {
		t.Errorf("%v, of all: %v", names, wide)
	}
	if got := say(a.Rules); !strings.Contains(got, "get  secrets;") && !strings.Contains(got, "get,watch  secrets") {
		t.Errorf("rules are for people: %s", got)
	}
}

func TestOf(t *testing.T) {
	wide := objects(rule("*", "*", "*", ""))
	for name, c := range map[string]struct {
		objects access.Objects
		acts    []string
		want    string
	}{
		"nothing used":                   {wide, nil, ""},
		"verbs of one resource":          {wide, []string{robot + " get  secrets shop db", robot + " update  secrets shop db"}, "get,update  secrets db"},
		"a list is of all":               {wide, []string{robot + " list  secrets shop "}, "list  secrets"},
		"a list of one name":             {wide, []string{robot + " list  secrets shop db"}, "list  secrets db"},
		"names and none":                 {wide, []string{robot + " get  secrets shop db", robot + " get  secrets shop mq", robot + " list  secrets shop "}, "list  secrets; get  secrets db,mq"},
		"a creation has no name":         {wide, []string{robot + " create  secrets shop ", robot + " delete  secrets shop db"}, "create  secrets; delete  secrets db"},
		"a subresource":                  {wide, []string{robot + " create  serviceaccounts/token shop robot", robot + " create  pods/exec shop web-1"}, "create  pods/exec; create  serviceaccounts/token robot"},
		"pods have no lasting names":     {wide, []string{robot + " get  pods shop web-1"}, "get  pods"},
		"too many names":                 {wide, many(21), "get  secrets"},
		"names that were not kept":       {wide, []string{robot + " get  secrets shop *"}, "get  secrets"},
		"resources of the same verbs":    {wide, []string{robot + " list  secrets shop ", robot + " list  configmaps shop ", robot + " list apps deployments shop "}, "list  configmaps,secrets; list apps deployments"},
		"another namespace":              {wide, []string{robot + " get  secrets other db"}, ""},
		"another user":                   {wide, []string{"system:serviceaccount:other:robot get  secrets shop db", "robot get  secrets shop db"}, ""},
		"a pod that the role names":      {objects(rule("get", "", "pods", "web-0")), []string{robot + " get  pods shop web-0"}, "get  pods web-0"},
		"what the role does not allow":   {objects(rule("get", "", "secrets", "db")), []string{robot + " get  secrets shop db", robot + " get  secrets shop mq", robot + " list  secrets shop "}, "get  secrets db"},
		"one of too many, of named ones": {objects(rule("get", "", "secrets", "db")), []string{robot + " get  secrets shop *"}, "get  secrets db"},
	} {
		var acts []snapshot.Act
		for _, text := range c.acts {
			acts = append(acts, act(text))
		}
		if got := say(of(t, c.objects, acts...).Rules); got != c.want {
			t.Errorf("%s: %q, not %q", name, got, c.want)
		}
	}
}

func many(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s get  secrets shop s%d", robot, i))
	}
	return out
}

// A group's members use it; denied requests do not; who did nothing is named.
func TestSubjects(t *testing.T) {
	member := act("jane get  secrets shop db")
	member.Groups = []string{"ops", "system:authenticated"}
	denied := act(robot + " delete  secrets shop db")
	denied.Count, denied.Denied = 0, 3
	a := of(t, objects(rule("*", "*", "*", "")), member, denied)
	if say(a.Rules) != "get  secrets db" || a.Requests != 2 || len(a.Subjects) != 2 || len(a.Idle) != 1 || a.Idle[0] != access.ServiceAccount("shop", "robot") {
		t.Errorf("%s: %+v", say(a.Rules), a)
	}
	if text := strings.Join(a.Caution(7), "\n"); !strings.Contains(text, "12 days") || !strings.Contains(text, "7 lines") || !strings.Contains(text, "ServiceAccount/shop/robot") {
		t.Errorf("warnings:\n%s", text)
	}
	both := act(robot + " get  secrets shop db") // by the ServiceAccount, and by its group
	both.Groups = []string{"ops"}
	if a := of(t, objects(rule("*", "*", "*", "")), both); len(a.Idle) != 0 || a.Requests != 2 {
		t.Errorf("who is in a group too: %v, %d requests", a.Idle, a.Requests)
	}
	if _, err := least.Of(access.New(access.Objects{}), "shop", "app", &snapshot.Activity{}); !errs.Is(err, errs.NotExist) {
		t.Errorf("without a role: %v", err)
	}
}

// A ClusterRole that is bound in the whole cluster and used in one namespace.
func TestClusterRole(t *testing.T) {
	p := access.New(access.Objects{
		ClusterRoles: []rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{rule("get,list", "", "secrets", ""), {Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics*", "/healthz"}}}}},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{{ObjectMeta: metav1.ObjectMeta{Name: "robots"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "reader"},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "shop", Name: "robot"}}}},
	})
	one := act(robot + " get  secrets other db")
	a, err := least.Of(p, "", "reader", &snapshot.Activity{From: from, To: to, Acts: []snapshot.Act{one}})
	if err != nil || say(a.Rules) != "get  secrets db" || !strings.Contains(strings.Join(a.Caution(0), "\n"), "used in other only") {
		t.Errorf("%s, %v, %v", say(a.Rules), a.Caution(0), err)
	}
	path := snapshot.Act{User: robot, Verb: "get", Path: "/metrics/cadvisor", Count: 1}
	a, err = least.Of(p, "", "reader", &snapshot.Activity{Acts: []snapshot.Act{one, path}})
	if err != nil || say(a.Rules) != "get  secrets db; get  /metrics/cadvisor" {
		t.Errorf("%s, %v", say(a.Rules), err)
	}
}

// Of random roles and requests: everything that was used is still allowed, and
// nothing is that was not before.
func TestNothingIsAddedOrLost(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	for range 2000 {
		var rules []rbacv1.PolicyRule
		for range 1 + rnd.IntN(3) {
			rules = append(rules, rule(pick("*", "get", "get,list", "create,delete"), pick("", "*", "apps"), pick("*", "secrets", "secrets,configmaps", "pods/exec", "*/token"), pick("", "", "db", "db,mq")))
		}
		var acts []snapshot.Act
		for range rnd.IntN(8) {
			a := act(strings.Join([]string{robot, pick("get", "list", "create", "delete", "watch"), pick("", "apps"), pick("secrets", "configmaps", "pods/exec", "serviceaccounts/token"), pick("shop", "shop", "other"), pick("", "db", "mq", "x")}, " "))
			if a.Verb == "create" && a.Subresource == "" {
				a.Name = "" // as logs have it
			}
			acts = append(acts, a)
		}
		before := access.New(objects(rules...))
		answer := of(t, objects(rules...), acts...)
		after := access.New(objects(answer.Rules...))
		who := access.ServiceAccount("shop", "robot").Identity()
		for _, a := range acts {
			r := access.Request{Verb: a.Verb, Group: a.Group, Resource: a.Resource, Subresource: a.Subresource, Namespace: a.Namespace, Name: a.Name}
			_, was := before.Allows(who, r)
			if _, is := after.Allows(who, r); is != was {
				t.Fatalf("%+v: was allowed %v, is %v\n%s\n%s", r, was, is, say(rules), say(answer.Rules))
			}
		}
		for _, verb := range []string{"get", "list", "create", "delete", "watch", "patch"} {
			for _, resource := range []string{"secrets", "configmaps", "pods"} {
				for _, name := range []string{"", "db", "other"} {
					r := access.Request{Verb: verb, Resource: resource, Namespace: "shop", Name: name}
					_, was := before.Allows(who, r)
					if _, is := after.Allows(who, r); is && !was {
						t.Fatalf("%+v is allowed now\n%s\n%s", r, say(rules), say(answer.Rules))
					}
				}
			}
		}
	}
}

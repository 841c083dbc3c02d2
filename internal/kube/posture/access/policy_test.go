package access_test

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
)

func rule(verbs, groups, resources []string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: groups, Resources: resources, ResourceNames: names}
}

func secrets(verb, namespace, name string) access.Request {
	return access.Request{Verb: verb, Resource: "secrets", Namespace: namespace, Name: name}
}

var core = []string{""}

// The rows are the rules that other tools get wrong, besides the plain ones.
func TestMatches(t *testing.T) {
	exec := access.Request{Verb: "create", Resource: "pods", Subresource: "exec", Namespace: "a", Name: "web"}
	for name, c := range map[string]struct {
		rule    rbacv1.PolicyRule
		request access.Request
		want    bool
	}{
		"a plain rule":                             {rule([]string{"get"}, core, []string{"secrets"}), secrets("get", "a", "db"), true},
		"another verb":                             {rule([]string{"get"}, core, []string{"secrets"}), secrets("list", "a", ""), false},
		"every verb":                               {rule([]string{"*"}, core, []string{"secrets"}), secrets("watch", "a", ""), true},
		"a verb that is a list of verbs is none":   {rule([]string{"get,list"}, core, []string{"secrets"}), secrets("get", "a", "db"), false},
		"the core group is not every group":        {rule([]string{"get"}, []string{"apps"}, []string{"secrets"}), secrets("get", "a", "db"), false},
		"every group":                              {rule([]string{"get"}, []string{"*"}, []string{"secrets"}), secrets("get", "a", "db"), true},
		"no group":                                 {rule([]string{"get"}, nil, []string{"secrets"}), secrets("get", "a", "db"), false},
		"secrets/* names nothing":                  {rule([]string{"get"}, core, []string{"secrets/*"}), secrets("get", "a", "db"), false},
		"pods/* names no subresource":              {rule([]string{"create"}, core, []string{"pods/*"}), exec, false},
		"*/exec names it":                          {rule([]string{"create"}, core, []string{"*/exec"}), exec, true},
		"pods/exec names it":                       {rule([]string{"create"}, core, []string{"pods/exec"}), exec, true},
		"pods does not name a subresource":         {rule([]string{"create"}, core, []string{"pods"}), exec, false},
		"* names subresources too":                 {rule([]string{"create"}, core, []string{"*"}), exec, true},
		"*/secrets names no resource":              {rule([]string{"get"}, core, []string{"*/secrets"}), secrets("get", "a", "db"), false},
		"a name":                                   {rule([]string{"get"}, core, []string{"secrets"}, "db"), secrets("get", "a", "db"), true},
		"another name":                             {rule([]string{"get"}, core, []string{"secrets"}, "db"), secrets("get", "a", "api"), false},
		"a name does not list":                     {rule([]string{"list"}, core, []string{"secrets"}, "db"), secrets("list", "a", ""), false},
		"a name lists by fieldSelector":            {rule([]string{"list"}, core, []string{"secrets"}, "db"), secrets("list", "a", "db"), true},
		"a star is not a name":                     {rule([]string{"get"}, core, []string{"secrets"}, "*"), secrets("get", "a", "db"), false},
		"a rule for resources allows no path":      {rule([]string{"get"}, []string{"*"}, []string{"*"}), access.Request{Verb: "get", Path: "/metrics"}, false},
		"a path":                                   {rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/metrics"}}, access.Request{Verb: "get", Path: "/metrics"}, true},
		"a beginning of a path":                    {rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/healthz/*"}}, access.Request{Verb: "get", Path: "/healthz/etcd"}, true},
		"a rule for paths allows no resource":      {rbacv1.PolicyRule{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}, secrets("get", "a", "db"), false},
		"a subresource of another resource":        {rule([]string{"create"}, core, []string{"services/exec"}), exec, false},
		"a subresource that ends in the same word": {rule([]string{"create"}, core, []string{"*/notexec"}), exec, false},
		"a resource of the same beginning":         {rule([]string{"get"}, core, []string{"secretstores"}), secrets("get", "a", "db"), false},
	} {
		if got := access.Matches(&c.rule, &c.request); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func role(namespace, name string, rules ...rbacv1.PolicyRule) rbacv1.Role {
	return rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Rules: rules}
}

func clusterRole(name string, labels map[string]string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Rules: rules}
}

func bind(namespace, name, kind, to string, subjects ...rbacv1.Subject) rbacv1.RoleBinding {
	return rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: to}, Subjects: subjects}
}

func bindAll(name, to string, subjects ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: to}, Subjects: subjects}
}

func robot(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
}

func group(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: name} }
func user(name string) rbacv1.Subject  { return rbacv1.Subject{Kind: "User", Name: name} }

var readSecrets = rule([]string{"get", "list"}, core, []string{"secrets"})

func TestAllows(t *testing.T) {
	p := access.New(access.Objects{
		Roles:        []rbacv1.Role{role("a", "reader", readSecrets), role("b", "reader", rule([]string{"get"}, core, []string{"configmaps"}))},
		ClusterRoles: []rbacv1.ClusterRole{clusterRole("reader", nil, readSecrets), clusterRole("nothing", nil)},
		RoleBindings: []rbacv1.RoleBinding{
			bind("a", "by-role", "Role", "reader", robot("", "here"), robot("b", "there"), user("system:serviceaccount:c:spelled")),
			bind("b", "to-cluster-role", "ClusterRole", "reader", group("system:serviceaccounts:a")),
			bind("c", "role-of-elsewhere", "Role", "reader", user("carol")),
			bind("a", "latent", "Role", "missing", user("lena")),
		},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{
			bindAll("everywhere", "reader", robot("ops", "backup"), robot("", "nobody")),
			bindAll("authenticated-nothing", "nothing", group("system:authenticated")),
		},
	})
	for name, c := range map[string]struct {
		who     access.Subject
		request access.Request
		by      string
	}{
		"a Role in its namespace":                           {access.ServiceAccount("a", "here"), secrets("get", "a", "db"), "by-role"},
		"a subject without a namespace is of the binding's": {access.ServiceAccount("b", "here"), secrets("get", "a", "db"), ""},
		"a subject of another namespace":                    {access.ServiceAccount("b", "there"), secrets("get", "a", "db"), "by-role"},
		"but only in the binding's":                         {access.ServiceAccount("b", "there"), secrets("get", "b", "db"), ""},
		"a ServiceAccount spelled as a user":                {access.ServiceAccount("c", "spelled"), secrets("get", "a", "db"), "by-role"},
		"a ClusterRole in one namespace, by group":          {access.ServiceAccount("a", "any"), secrets("list", "b", ""), "to-cluster-role"},
		"not in the whole cluster":                          {access.ServiceAccount("a", "any"), secrets("list", "", ""), ""},
		"a Role is looked up in the binding's namespace":    {access.User("carol"), secrets("get", "c", "db"), ""},
		"a role that does not exist grants nothing":         {access.User("lena"), secrets("get", "a", "db"), ""},
		"a ClusterRoleBinding, anywhere":                    {access.ServiceAccount("ops", "backup"), secrets("get", "z", "db"), "everywhere"},
		"and in the whole cluster":                          {access.ServiceAccount("ops", "backup"), secrets("list", "", ""), "everywhere"},
		"somebody else":                                     {access.User("eve"), secrets("get", "a", "db"), ""},
	} {
		g, ok := p.Allows(c.who.Identity(), c.request)
		if ok != (c.by != "") || ok && g.Binding.Name != c.by {
			t.Errorf("%s: %v by %+v, want %q", name, ok, g.Binding, c.by)
		}
	}
	if latent := p.Latent(); len(latent) != 2 {
		t.Errorf("latent bindings: %d, want carol's and lena's", len(latent))
	}
}

func TestGrantsNameEverybodyOnce(t *testing.T) {
	p := access.New(access.Objects{
		ClusterRoles: []rbacv1.ClusterRole{clusterRole("reader", nil, rule([]string{"watch"}, core, []string{"pods"}), readSecrets)},
		RoleBindings: []rbacv1.RoleBinding{bind("a", "twice", "ClusterRole", "reader", user("ann"), user("ann"), robot("", "x"), user("system:serviceaccount:a:x"))},
	})
	grants := p.Grants(secrets("get", "a", "db"))
	if len(grants) != 1 || grants[0].Rule != 1 {
		t.Fatalf("grants: %+v", grants)
	}
	want := []access.Subject{access.User("ann"), access.ServiceAccount("a", "x")}
	if !slices.Equal(grants[0].Binding.Subjects, want) {
		t.Errorf("subjects: %v, want %v", grants[0].Binding.Subjects, want)
	}
}

// Aggregation by labels and by expressions, through another aggregated role, and
// in a circle.
func TestAggregation(t *testing.T) {
	aggregated := func(name string, labels map[string]string, selectors ...metav1.LabelSelector) rbacv1.ClusterRole {
		r := clusterRole(name, labels)
		r.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: selectors}
		return r
	}
	byLabel := metav1.LabelSelector{MatchLabels: map[string]string{"to": "admin"}}
	byExpression := metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "part", Operator: metav1.LabelSelectorOpIn, Values: []string{"x", "y"}}}}
	o := access.Objects{
		ClusterRoles: []rbacv1.ClusterRole{
			aggregated("admin", nil, byLabel),
			aggregated("edit", map[string]string{"to": "admin", "part": "y"}, byExpression),
			clusterRole("secrets", map[string]string{"part": "x"}, readSecrets),
			clusterRole("unrelated", map[string]string{"part": "z"}, rule([]string{"*"}, []string{"*"}, []string{"*"})),
			aggregated("wrong", map[string]string{"to": "admin"}, metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "k", Operator: "Wat"}}}),
			aggregated("circle", map[string]string{"part": "x"}, byExpression),
		},
		ClusterRoleBindings: []rbacv1.ClusterRoleBinding{bindAll("ann", "admin", user("ann"))},
		Aggregate:           true,
	}
	p := access.New(o)
	if _, ok := p.Allows(access.User("ann").Identity(), secrets("get", "a", "db")); !ok {
		t.Error("rules that come by two aggregations are not there")
	}
	if _, ok := p.Allows(access.User("ann").Identity(), secrets("delete", "a", "db")); ok {
		t.Error("rules that nothing selects are there")
	}
	o.Aggregate = false
	if _, ok := access.New(o).Allows(access.User("ann").Identity(), secrets("get", "a", "db")); ok {
		t.Error("what a live cluster says of an aggregated role is overruled")
	}
}

// A dump of a cluster has the rules of aggregated roles filled in, and maybe not the roles
// that they come from: they count, each once.
func TestAggregationOfADump(t *testing.T) {
	admin := clusterRole("admin", nil, readSecrets)
	admin.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"to": "admin"}}}}
	o := access.Objects{ClusterRoles: []rbacv1.ClusterRole{admin}, ClusterRoleBindings: []rbacv1.ClusterRoleBinding{bindAll("ann", "admin", user("ann"))}, Aggregate: true}
	if _, ok := access.New(o).Allows(access.User("ann").Identity(), secrets("get", "a", "db")); !ok {
		t.Error("rules that were filled in are thrown away")
	}
	o.ClusterRoles = append(o.ClusterRoles, clusterRole("part", map[string]string{"to": "admin"}, readSecrets))
	if rules := access.New(o).Role("", "admin").Rules; len(rules) != 1 {
		t.Errorf("the role has %d rules", len(rules))
	}
}

// The mark alone makes nothing Kubernetes' own, neither a role nor a binding.
func TestOwn(t *testing.T) {
	marked := map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}
	for name, want := range map[string]bool{"admin": true, "system:node": true, "readers": false} {
		if r := (access.Role{Name: name, Labels: marked}); r.Own() != want {
			t.Errorf("ClusterRole %s: %v", name, !want)
		}
		if r := (access.Role{Name: name}); r.Own() {
			t.Errorf("ClusterRole %s without the mark", name)
		}
	}
	role := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "cluster-admin", Labels: marked}}
	for who, want := range map[string]bool{access.Masters: true, "eve": false} {
		p := access.New(access.Objects{ClusterRoles: []rbacv1.ClusterRole{role}, ClusterRoleBindings: []rbacv1.ClusterRoleBinding{{
			ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: role.Name}, Subjects: []rbacv1.Subject{{Kind: "Group", Name: who}, {Kind: "User", Name: "eve"}},
		}}})
		if got := p.Bindings()[0].Own(); got != want {
			t.Errorf("bound to group %s: %v", who, got)
		}
	}
}

func TestAllowedBy(t *testing.T) {
	rules := []rbacv1.PolicyRule{
		{Verbs: []string{"get", "list"}, APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"db"}},
		{Verbs: []string{"*"}, APIGroups: []string{"apps"}, Resources: []string{"*"}},
	}
	db := access.Request{Resource: "secrets", Name: "db"}
	for name, c := range map[string]struct {
		r     access.Request
		verbs []string
		want  bool
	}{
		"one of its verbs":     {db, []string{"patch", "list"}, true},
		"none":                 {db, []string{"patch", "watch"}, false},
		"no verb":              {db, nil, false},
		"another name":         {access.Request{Resource: "secrets", Name: "key"}, []string{"get"}, false},
		"any verb":             {access.Request{Group: "apps", Resource: "deployments"}, []string{"delete"}, true},
		"not the request's":    {access.Request{Verb: "get", Resource: "secrets", Name: "db"}, []string{"delete"}, false},
		"of another API group": {access.Request{Group: "batch", Resource: "jobs"}, []string{"get"}, false},
	} {
		if got := access.AllowedBy(rules, c.r, c.verbs...); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	asked := []string{"watch", "get"}
	if got := access.Granted(&rules[0], asked); !slices.Equal(got, []string{"get"}) {
		t.Errorf("of %v it gives %v", asked, got)
	}
	if got := access.Granted(&rules[1], asked); !slices.Equal(got, asked) {
		t.Errorf("of %v it gives %v", asked, got)
	}
}

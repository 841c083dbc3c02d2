package path_test

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// What all ServiceAccounts get at, everybody does who acts as any of them.
func TestMembersOfAllAccounts(t *testing.T) {
	for name, c := range map[string]struct{ namespace, rules, want string }{
		"commands in any pod":          {"ci", "create core pods/exec", "ExecPods Read"},
		"commands in none":             {"ci", "create core pods/exec other", ""},
		"pods":                         {"empty", "create core pods", "CreatePods Read"},
		"tokens":                       {"empty", "create core serviceaccounts/token", "CreateTokens Read"},
		"a token Secret":               {"empty", "create,get core secrets", "CreateSecrets Read"},
		"impersonating one":            {"", "impersonate core serviceaccounts", "ImpersonateServiceAccount Read"},
		"the kubelet's API":            {"", "get core nodes/proxy n1", "NodesProxy Read"},
		"the kubelet's API, elsewhere": {"", "get core nodes/proxy n2", ""},
		"binding, beside no pod":       {"empty", "bind rbac.authorization.k8s.io clusterroles|create rbac.authorization.k8s.io rolebindings", "Bind Read"},
		"reading pods":                 {"ci", "get core pods", ""},
	} {
		w := &world{pods: []path.Pod{{Name: path.Name{Namespace: "ci", Name: "runner"}, Account: "runner", Node: "n1"}}}
		w.grant(access.Group(access.ServiceAccounts), "shop", "get core secrets db")
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// By impersonate:associated-node the ServiceAccount of a pod acts as the node that the
// pod runs on: shop/db is mounted on n1.
func TestAssociatedNode(t *testing.T) {
	const as, on = "impersonate:associated-node authentication.k8s.io nodes", "|impersonate-on:associated-node:get core secrets"
	agent := access.ServiceAccount("ops", "agent")
	for name, c := range map[string]struct {
		who               access.Subject
		node, rules, want string
	}{
		"both halves":             {agent, "n1", as + on, "BorrowAssociatedNode Node"},
		"as the API server asks":  {agent, "n1", as + " *" + on, "BorrowAssociatedNode Node"},
		"of a node by its name":   {agent, "n1", as + " n1" + on, ""},
		"its group":               {access.Group(access.ServiceAccounts + ":ops"), "n1", as + on, "BorrowAssociatedNode Node"},
		"on another node":         {agent, "n2", as + on, ""},
		"one half":                {agent, "n1", as, ""},
		"for another verb":        {agent, "n1", as + "|impersonate-on:associated-node:patch core secrets", ""},
		"in the other mode":       {agent, "n1", as + "|impersonate-on:arbitrary-node:get core secrets", ""},
		"a user runs on no node":  {access.User("agent"), "n1", as + on, ""},
		"an account without pods": {access.ServiceAccount("ops", "idle"), "n1", as + on, ""},
	} {
		w := &world{pods: []path.Pod{
			{Name: path.Name{Namespace: "shop", Name: "web-1"}, Account: "web", Node: "n1", Secrets: []string{"db"}},
			{Name: path.Name{Namespace: "ops", Name: "agent-1"}, Account: "agent", Node: c.node},
		}}
		w.grant(c.who, "", strings.Split(c.rules, "|")...)
		if got := how(w, agent); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// The API server takes who impersonates a node for one only in the nodes' group.
func TestImpersonateNode(t *testing.T) {
	const user = "impersonate core users system:node:n1"
	for name, c := range map[string]struct {
		rules, want string
		bound       bool
	}{
		"and its group":          {user + "|impersonate core groups system:nodes", "ImpersonateUser Node", false},
		"without the group":      {user, "", false},
		"and another group":      {user + "|impersonate core groups ops", "", false},
		"a node that is bound":   {user, "ImpersonateUser Read", true},
		"binding both":           {"bind rbac.authorization.k8s.io clusterroles both|create rbac.authorization.k8s.io clusterrolebindings", "Bind Node", false},
		"binding the user alone": {"bind rbac.authorization.k8s.io clusterroles alone|create rbac.authorization.k8s.io clusterrolebindings", "", false},
	} {
		w := &world{pods: []path.Pod{{Name: path.Name{Namespace: "shop", Name: "web-1"}, Account: "web", Node: "n1", Secrets: []string{"db"}}}}
		if c.bound {
			w.grant(access.User("system:node:n1"), "shop", "get core secrets")
		}
		w.clusterRole("both", user, "impersonate core groups system:nodes")
		w.clusterRole("alone", user)
		w.grant(eve, "", strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func (w *world) clusterRole(name string, rules ...string) {
	r := rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, rule := range rules {
		r.Rules = append(r.Rules, parse(rule))
	}
	w.objects.ClusterRoles = append(w.objects.ClusterRoles, r)
}

// On EKS a ConfigMap says who is in which group, system:masters among them.
func TestMapUsers(t *testing.T) {
	for name, c := range map[string]struct {
		namespace, rules string
		mapped, maps     bool
		want             string
	}{
		"update":                        {"kube-system", "update core configmaps aws-auth", true, true, "MapUsers Superuser"},
		"patch everywhere":              {"", "patch core configmaps", true, true, "MapUsers Superuser"},
		"another ConfigMap":             {"kube-system", "update core configmaps coredns", true, true, ""},
		"another namespace":             {"shop", "update core configmaps aws-auth", true, true, ""},
		"a cluster that is none of EKS": {"kube-system", "update core configmaps aws-auth", false, false, ""},
		"create, of what is there":      {"kube-system", "create core configmaps", true, true, ""},
		"create, if that is not known":  {"kube-system", "create core configmaps", true, false, "MapUsers Superuser"},
		"create, after delete":          {"kube-system", "create,delete core configmaps", true, true, "MapUsers Superuser"},
		"binding a role that may":       {"kube-system", "bind rbac.authorization.k8s.io clusterroles mapper|create rbac.authorization.k8s.io rolebindings", true, true, "Bind Superuser"},
		"the same of another cluster":   {"kube-system", "bind rbac.authorization.k8s.io clusterroles mapper|create rbac.authorization.k8s.io rolebindings", false, false, ""},
	} {
		w := &world{mapped: c.mapped, maps: c.maps}
		w.clusterRole("mapper", "update core configmaps")
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A role that may be bound may be worth something by what else it lets one bind, and by
// what only a binding of the whole cluster gives.
func TestBindFurther(t *testing.T) {
	const bind, write = "bind rbac.authorization.k8s.io clusterroles ", "|create rbac.authorization.k8s.io rolebindings"
	const all = "|create rbac.authorization.k8s.io clusterrolebindings"
	for name, c := range map[string]struct {
		gives            []string
		namespace, rules string
		want             string
	}{
		"a role that binds the reader":            {[]string{bind + "reader"}, "shop", bind + "it" + write, "Bind"},
		"a role that binds any":                   {[]string{"bind rbac.authorization.k8s.io clusterroles"}, "shop", bind + "it" + write, "Bind"},
		"one that binds one that does":            {[]string{bind + "between"}, "shop", bind + "it" + write, "Bind"},
		"one that binds nothing of worth":         {[]string{bind + "harmless"}, "shop", bind + "it" + write, ""},
		"a circle":                                {[]string{bind + "it"}, "shop", bind + "it" + write, ""},
		"the same, without writing bindings":      {[]string{bind + "reader"}, "shop", bind + "it", ""},
		"a binding of a role that binds":          {[]string{bind + "reader"}, "shop", bind + "it|update rbac.authorization.k8s.io rolebindings bound", ""},
		"of one that writes bindings too":         {[]string{bind + "reader", "create rbac.authorization.k8s.io rolebindings"}, "shop", bind + "it|update rbac.authorization.k8s.io rolebindings bound", "Bind"},
		"pods of a name":                          {[]string{"create,patch core pods mine"}, "shop", bind + "it" + write, "Bind"},
		"pods of a name that is taken":            {[]string{"create,patch core pods other"}, "shop", bind + "it" + write, ""},
		"a token Secret, of who reads":            {[]string{"create,get core secrets own"}, "web", bind + "it" + write, ""},
		"a token Secret, made and read":           {[]string{"create,get core secrets"}, "web", bind + "it" + write, "Bind Read"},
		"an issuer":                               {[]string{"create cert-manager.io issuers"}, "shop", bind + "it" + write, "Bind"},
		"an issuer, elsewhere":                    {[]string{"create cert-manager.io issuers"}, "ops", bind + "it" + write, ""},
		"a store of the cluster":                  {[]string{"create external-secrets.io clustersecretstores"}, "", bind + "it" + all, "Bind"},
		"which no RoleBinding gives":              {[]string{"create external-secrets.io clustersecretstores"}, "shop", bind + "it" + write, ""},
		"the kubelet's API":                       {[]string{"get core nodes/proxy"}, "", bind + "it" + all, "Bind"},
		"which no RoleBinding gives either":       {[]string{"get core nodes/proxy"}, "", bind + "it" + write, ""},
		"the kubelet's API, for a namespace":      {[]string{"get core nodes/proxy"}, "shop", bind + "it" + write, ""},
		"a role that binds it":                    {[]string{bind + "kubelet"}, "", bind + "it" + all, "Bind"},
		"being anybody":                           {[]string{"impersonate core users"}, "", bind + "it" + all, "Bind Read"},
		"a group alone":                           {[]string{"impersonate core groups"}, "", bind + "it" + all, ""},
		"a group, as somebody":                    {[]string{"impersonate core groups", "impersonate core users nobody"}, "", bind + "it" + all, "Bind Superuser"},
		"certificates":                            {[]string{"update certificates.k8s.io certificatesigningrequests/approval", "approve certificates.k8s.io signers", "create certificates.k8s.io certificatesigningrequests"}, "", bind + "it" + all, "Bind Read"},
		"certificates that nobody signs":          {[]string{"update certificates.k8s.io certificatesigningrequests/approval", "create certificates.k8s.io certificatesigningrequests"}, "", bind + "it" + all, ""},
		"whom an operator acts for":               {[]string{"create argoproj.io applications"}, "argocd", bind + "it" + write, "Bind Read"},
		"whom it does not, there":                 {[]string{"create argoproj.io applications"}, "ops", bind + "it" + write, ""},
		"whom one acts for anywhere":              {[]string{"create kustomize.toolkit.fluxcd.io kustomizations"}, "ops", bind + "it" + write, "Bind Read"},
		"policies":                                {[]string{"create kyverno.io clusterpolicies"}, "", bind + "it" + all, "Bind Read"},
		"pods, where nothing confines them":       {[]string{"create core pods"}, "free", bind + "it" + write, "BreakOut Node"},
		"a role that binds that, there":           {[]string{bind + "makers"}, "free", bind + "it" + write, "BreakOut Node"},
		"pods, where they are confined":           {[]string{"create core pods"}, "ops", bind + "it" + write, ""},
		"pods there, and the labels that confine": {[]string{"create core pods"}, "", bind + "it" + write + "|patch core namespaces ops", "Bind"},
	} {
		w := &world{
			pods: []path.Pod{
				{Name: path.Name{Namespace: "shop", Name: "web-1"}, Account: "web", Node: "n1", Secrets: []string{"db"}},
				{Name: path.Name{Namespace: "shop", Name: "other"}, Account: "other"},
			},
			namespaces: []string{"shop", "ops", "free"}, open: []string{"free"},
			serves: map[string]bool{"cert-manager.io/issuers": true, "external-secrets.io/secretstores": true, "argoproj.io/applications": true, "kustomize.toolkit.fluxcd.io/kustomizations": true, "kyverno.io/clusterpolicies": true},
		}
		w.grant(access.User("ann"), "shop", "get core secrets db")
		for ns, account := range map[string]string{"web": "reader", "argocd": "argocd-application-controller", "flux-system": "kustomize-controller", "kyverno": "kyverno"} {
			w.grant(access.ServiceAccount(ns, account), "shop", "get core secrets db")
		}
		w.clusterRole("it", c.gives...)
		w.clusterRole("reader", "get core secrets")
		w.clusterRole("between", bind+"reader")
		w.clusterRole("harmless", "get core pods", bind+"it")
		w.clusterRole("kubelet", "create core nodes/proxy")
		w.clusterRole("makers", "create apps deployments")
		w.objects.RoleBindings = append(w.objects.RoleBindings, rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "bound"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "it"}})
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

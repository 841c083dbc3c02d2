package path_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// world is a cluster in a few lines: grants name a subject, a namespace ("" for
// all), and rules as "verbs groups resources names", each a comma-separated list.
type world struct {
	objects access.Objects
	pods    []path.Pod
	serves  map[string]bool
	exists  map[path.Name]bool
	copies  []path.Copy
	offers  []path.Offer

	namespaces, open []string
	projects         []path.Project

	mapped, maps bool
	holding      [][2]string
}

func parse(rule string) rbacv1.PolicyRule {
	f := append(strings.Fields(rule), "", "", "", "")
	list := func(s string) []string {
		if s == "" {
			return nil
		}
		return strings.Split(strings.ReplaceAll(s, "core", ""), ",")
	}
	return rbacv1.PolicyRule{Verbs: list(f[0]), APIGroups: list(f[1]), Resources: list(f[2]), ResourceNames: list(f[3])}
}

func (w *world) grant(s access.Subject, namespace string, rules ...string) {
	name := fmt.Sprint("g", len(w.objects.ClusterRoleBindings)+len(w.objects.RoleBindings))
	var parsed []rbacv1.PolicyRule
	for _, r := range rules {
		parsed = append(parsed, parse(r))
	}
	subject := rbacv1.Subject{Kind: s.Kind, Namespace: s.Namespace, Name: s.Name}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: name}
	if namespace == "" {
		w.objects.ClusterRoles = append(w.objects.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: meta, Rules: parsed})
		w.objects.ClusterRoleBindings = append(w.objects.ClusterRoleBindings, rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name}, Subjects: []rbacv1.Subject{subject}})
		return
	}
	w.objects.Roles = append(w.objects.Roles, rbacv1.Role{ObjectMeta: meta, Rules: parsed})
	w.objects.RoleBindings = append(w.objects.RoleBindings, rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: name}, Subjects: []rbacv1.Subject{subject}})
}

func (w *world) finder() *path.Finder {
	of := func(n path.Name) bool { return n == db }
	return path.New(path.Config{
		Policy: access.New(w.objects), Pods: w.pods, Serves: func(group, resource string) bool { return w.serves[group+"/"+resource] },
		Exists: func(n path.Name) bool { return w.exists[n] }, Namespaces: w.namespaces, Open: w.open, Projects: w.projects, Mapped: w.mapped, Maps: w.maps, Holding: w.holding,
		Copies: func(n path.Name) []path.Copy {
			if of(n) {
				return w.copies
			}
			return nil
		},
		Offers: func(n path.Name) []path.Offer {
			if of(n) {
				return w.offers
			}
			return nil
		},
	})
}

var (
	eve   = access.User("eve")
	robot = access.ServiceAccount("shop", "web")
	db    = path.Name{Namespace: "shop", Name: "db"}
)

// how is eve's chain to shop/db: kinds, joined; "" if there is none.
func how(w *world, who access.Subject) string {
	for _, r := range w.finder().Readers(db) {
		if r.Subject == who {
			var kinds []string
			for _, s := range r.Steps {
				kinds = append(kinds, string(s.Kind))
			}
			return strings.Join(kinds, " ")
		}
	}
	return ""
}

// Each row gives eve, a user, one set of rights, in a cluster in which the
// ServiceAccount shop/web may read the Secret shop/db, which the pod web-1 mounts
// on node n1.
func TestPaths(t *testing.T) {
	const approve = "update certificates.k8s.io certificatesigningrequests/approval|approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client"
	for name, c := range map[string]struct {
		namespace, rules string // rules are separated by |
		want             string
	}{
		"get":                                   {"shop", "get core secrets", "Read"},
		"get by name":                           {"shop", "get core secrets db", "Read"},
		"get of another name":                   {"shop", "get core secrets api", ""},
		"get in another namespace":              {"web", "get core secrets", ""},
		"get everywhere":                        {"", "get core secrets", "Read"},
		"list":                                  {"shop", "list core secrets", "Read"},
		"list by name, through a fieldSelector": {"shop", "list core secrets db", "Read"},
		"watch":                                 {"shop", "watch core secrets", "Read"},
		"patch answers with the object":         {"shop", "patch core secrets db", "Read"},
		"a dry run of delete does":              {"shop", "delete core secrets", "Read"},
		"and of deletecollection":               {"shop", "deletecollection core secrets", "Read"},
		"deletecollection has no names":         {"shop", "deletecollection core secrets db", ""},
		"update shows what one sends":           {"shop", "update core secrets", ""},
		"create alone":                          {"shop", "create core secrets", ""},
		"secrets/*":                             {"shop", "get core secrets/*", ""},
		"create pods":                           {"shop", "create core pods", "CreatePods"},
		"create pods by name is nothing":        {"shop", "create core pods web-1", ""},
		"create pods elsewhere":                 {"web", "create core pods", ""},
		"create deployments":                    {"shop", "create apps deployments", "CreateWorkloads"},
		"patch one deployment":                  {"shop", "patch apps deployments web", "CreateWorkloads"},
		"create deployments of an old group":    {"shop", "create extensions deployments", ""},
		"update cronjobs":                       {"shop", "update batch cronjobs", "CreateWorkloads"},
		"a kind that is not served":             {"shop", "create tekton.dev taskruns", ""},
		"a kind that is":                        {"shop", "create argoproj.io rollouts", "CreateWorkloads"},
		"exec":                                  {"shop", "create core pods/exec", "ExecPods"},
		"exec by a websocket":                   {"shop", "get core pods/exec", "ExecPods"},
		"exec into that pod":                    {"shop", "create core pods/exec web-1", "ExecPods"},
		"exec into a pod that does not have it": {"shop", "create core pods/exec other", ""},
		"exec by */exec":                        {"shop", "create core */exec", "ExecPods"},
		"exec by pods/* is nothing":             {"shop", "create core pods/*", ""},
		"attach":                                {"shop", "create core pods/attach", "ExecPods"},
		"another image":                         {"shop", "patch core pods", "ChangePods"},
		"an ephemeral container":                {"shop", "update core pods/ephemeralcontainers", "DebugPods"},
		"logs and ports give none":              {"shop", "get core pods/log,pods/portforward", ""},
		"tokens of the one who reads":           {"shop", "create core serviceaccounts/token web", "CreateTokens Read"},
		"tokens of somebody else":               {"shop", "create core serviceaccounts/token other", ""},
		"a token as a Secret, and reading it":   {"shop", "create core secrets|get core secrets mine", "CreateSecrets Read"},
		"impersonating the one who reads":       {"", "impersonate core serviceaccounts web", "ImpersonateServiceAccount Read"},
		"impersonating a superuser":             {"", "impersonate core users|impersonate core groups system:masters", "ImpersonateGroup Superuser"},
		"a group is not impersonated alone":     {"", "impersonate core groups system:masters", ""},
		"borrowing, both halves":                {"shop", "impersonate:serviceaccount authentication.k8s.io serviceaccounts web|impersonate-on:serviceaccount:get core secrets", "BorrowServiceAccount Read"},
		"borrowing for another verb":            {"shop", "impersonate:serviceaccount authentication.k8s.io serviceaccounts web|impersonate-on:serviceaccount:list core secrets", ""},
		"borrowing without the other half":      {"shop", "impersonate:serviceaccount authentication.k8s.io serviceaccounts web", ""},
		"borrowing the node, both halves":       {"", "impersonate:arbitrary-node authentication.k8s.io nodes n1|impersonate-on:arbitrary-node:get core secrets", "BorrowNode Node"},
		"borrowing another node":                {"", "impersonate:arbitrary-node authentication.k8s.io nodes n2|impersonate-on:arbitrary-node:get core secrets", ""},
		"borrowing the node for other verbs":    {"", "impersonate:arbitrary-node authentication.k8s.io nodes n1|impersonate-on:arbitrary-node:patch core secrets", ""},
		"bind, and bindings":                    {"shop", "bind rbac.authorization.k8s.io clusterroles|create rbac.authorization.k8s.io rolebindings", "Bind"},
		"bind a role that reads nothing":        {"shop", "bind rbac.authorization.k8s.io clusterroles harmless|create rbac.authorization.k8s.io rolebindings", ""},
		"bind without bindings":                 {"shop", "bind rbac.authorization.k8s.io clusterroles", ""},
		"bindings without bind":                 {"shop", "create rbac.authorization.k8s.io rolebindings", ""},
		"escalate in a role that one has":       {"shop", "escalate,update rbac.authorization.k8s.io roles", "Escalate"},
		"escalate without writing":              {"shop", "escalate rbac.authorization.k8s.io roles", ""},
		"escalate in a role that one has not":   {"shop", "escalate,update rbac.authorization.k8s.io roles other", ""},
		"the kubelet's API":                     {"", "create core nodes/proxy", "NodesProxy"},
		"the kubelet's API by a websocket":      {"", "get core nodes/proxy n1", "NodesProxy"},
		"the kubelet's API of another node":     {"", "get core nodes/proxy n2", ""},
		"nodes/proxy in a namespace is nothing": {"shop", "get core nodes/proxy", ""},
		"certificates in any name":              {"", approve + "|create certificates.k8s.io certificatesigningrequests", "ApproveCSRs Read"},
		"certificates of another's request":     {"", approve, ""},
		"a webhook sees what is written":        {"", "create admissionregistration.k8s.io validatingwebhookconfigurations", "WriteWebhooks"},
		"a store of one's own":                  {"shop", "create external-secrets.io secretstores", "WriteStores"},
		"pushing it to a store":                 {"shop", "create external-secrets.io pushsecrets", "PushSecrets"},
		"everything":                            {"", "* * *", "Read"},
		"config maps":                           {"", "* core configmaps", ""},
		"a pod of a name, by apply":             {"shop", "create,patch core pods mine", "ApplyPods"},
		"the two halves in two rules":           {"shop", "create core pods mine|patch core pods", "ApplyPods"},
		"apply without creation":                {"shop", "patch core pods mine", ""},
		"creation without apply":                {"shop", "create core pods mine|patch core pods yours", ""},
		"apply to a pod that is there":          {"shop", "create,patch core pods other", ""},
		"apply to one that one can delete":      {"shop", "create,patch,delete core pods other", "ApplyPods"},
		"a token Secret of a name, by apply":    {"shop", "create,patch core secrets mine", "ApplySecrets Read"},
		"apply to a Secret that is there":       {"shop", "create,patch core secrets api", ""},
		"a server that logs in with it":         {"shop", "create cert-manager.io issuers", "DeputySends"},
		"a server for another namespace":        {"web", "create cert-manager.io issuers", ""},
		"an operator that is not there":         {"shop", "create source.toolkit.fluxcd.io gitrepositories", ""},
		"a cluster's issuer, from its own":      {"", "create cert-manager.io clusterissuers", ""},
		"labels of namespaces alone":            {"", "patch core namespaces", ""},
		"ExternalSecrets of no store of it":     {"", "create external-secrets.io externalsecrets|get core secrets mine", ""},
	} {
		w := &world{
			pods:   []path.Pod{{Name: path.Name{Namespace: "shop", Name: "web-1"}, Account: "web", Node: "n1", Secrets: []string{"db"}}, {Name: path.Name{Namespace: "shop", Name: "other"}, Account: "other", Node: "n2"}},
			serves: map[string]bool{"external-secrets.io/secretstores": true, "argoproj.io/rollouts": true, "cert-manager.io/issuers": true, "cert-manager.io/clusterissuers": true},
			exists: map[path.Name]bool{{Namespace: "shop", Name: "api"}: true},
		}
		w.grant(robot, "shop", "get core secrets db")
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What all ServiceAccounts of a namespace read, everybody gets at who acts as one of
// those that pods run as there.
func TestMembersOfANamespace(t *testing.T) {
	for name, c := range map[string]struct {
		namespace, rules string
		want             string
	}{
		"commands in a pod":            {"ci", "create core pods/exec", "ExecPods Read"},
		"commands in that pod":         {"ci", "create core pods/exec runner", "ExecPods Read"},
		"commands in none":             {"ci", "create core pods/exec other", ""},
		"commands elsewhere":           {"web", "create core pods/exec", ""},
		"another image":                {"ci", "patch core pods", "ChangePods Read"},
		"a container beside":           {"ci", "patch core pods/ephemeralcontainers", "DebugPods Read"},
		"the kubelet's API":            {"", "get core nodes/proxy n1", "NodesProxy Read"},
		"the kubelet's API, elsewhere": {"", "get core nodes/proxy n2", ""},
		"whom an operator acts for":    {"ci", "create argoproj.io applications", "DeputyActs Read"},
		"borrowing":                    {"", "impersonate:serviceaccount authentication.k8s.io serviceaccounts|impersonate-on:serviceaccount:get core secrets", "BorrowServiceAccount Read"},
		"binding what gets into it":    {"ci", "bind rbac.authorization.k8s.io clusterroles|create rbac.authorization.k8s.io rolebindings", "Bind Read"},
	} {
		w := &world{
			serves: map[string]bool{"argoproj.io/applications": true},
			pods:   []path.Pod{{Name: path.Name{Namespace: "ci", Name: "runner"}, Account: "argocd-application-controller", Node: "n1"}, {Name: path.Name{Namespace: "web", Name: "idle"}, Account: "default", Node: "n2"}},
		}
		w.grant(access.Group("system:serviceaccounts:ci"), "shop", "get core secrets db")
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What a role that may be bound gives need not be get on the Secret, and bindings may be
// those of given names. The Role named after a binding is bound by it, to nobody.
func TestBind(t *testing.T) {
	const bind = "bind rbac.authorization.k8s.io "
	const any = "|create rbac.authorization.k8s.io rolebindings"
	for name, c := range map[string]struct {
		gives, namespace, rules string
		want                    string
	}{
		"list":                                  {"list core secrets", "shop", bind + "roles it" + any, "Bind"},
		"watch":                                 {"watch core secrets db", "shop", bind + "roles it" + any, "Bind"},
		"patch, of all Roles":                   {"patch core secrets", "shop", bind + "roles" + any, "Bind"},
		"a dry run of deletecollection":         {"deletecollection core secrets", "shop", bind + "roles it" + any, "Bind"},
		"update":                                {"update core secrets", "shop", bind + "roles it" + any, ""},
		"another Secret":                        {"list core secrets api", "shop", bind + "roles it" + any, ""},
		"pods":                                  {"create core pods", "shop", bind + "roles it" + any, "Bind"},
		"one Deployment":                        {"patch apps deployments web", "shop", bind + "roles it" + any, "Bind"},
		"commands in the pod that has it":       {"create core pods/exec web-1", "shop", bind + "roles it" + any, "Bind"},
		"commands in another":                   {"create core pods/exec other", "shop", bind + "roles it" + any, ""},
		"tokens of who reads":                   {"create core serviceaccounts/token web", "shop", bind + "roles it" + any, "Bind Read"},
		"tokens of somebody else":               {"create core serviceaccounts/token other", "shop", bind + "roles it" + any, ""},
		"all ClusterRoles, beside a reader":     {"get core pods", "web", bind + "clusterroles" + any, "Bind Read"},
		"all ClusterRoles, beside nobody":       {"get core pods", "ops", bind + "clusterroles" + any, ""},
		"update of a binding that grants it":    {"list core secrets", "shop", bind + "roles it|update rbac.authorization.k8s.io rolebindings it", "Bind"},
		"update of one that grants another":     {"list core secrets", "shop", bind + "roles it|update rbac.authorization.k8s.io rolebindings harmless", ""},
		"update of one that is not there":       {"list core secrets", "shop", bind + "roles it|update rbac.authorization.k8s.io rolebindings mine", ""},
		"apply of one that is not there":        {"list core secrets", "shop", bind + "roles it|create,patch rbac.authorization.k8s.io rolebindings mine", "Bind"},
		"create by name is nothing by itself":   {"list core secrets", "shop", bind + "roles it|create rbac.authorization.k8s.io rolebindings mine", ""},
		"a binding of the cluster, by its name": {"list core secrets", "", bind + "clusterroles all|patch rbac.authorization.k8s.io clusterrolebindings all", "Bind"},
	} {
		w := &world{pods: []path.Pod{{Name: path.Name{Namespace: "shop", Name: "web-1"}, Account: "web", Secrets: []string{"db"}}, {Name: path.Name{Namespace: "shop", Name: "other"}, Account: "other"}}}
		w.grant(robot, "shop", "get core secrets db")
		w.grant(access.ServiceAccount("web", "reader"), "shop", "get core secrets db")
		for role, rule := range map[string]string{"it": c.gives, "harmless": "get core pods"} {
			meta := metav1.ObjectMeta{Namespace: "shop", Name: role}
			w.objects.Roles = append(w.objects.Roles, rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{parse(rule)}})
			w.objects.RoleBindings = append(w.objects.RoleBindings, rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: role}})
		}
		meta := metav1.ObjectMeta{Name: "all"}
		w.objects.ClusterRoles = append(w.objects.ClusterRoles, rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{parse(c.gives)}})
		w.objects.ClusterRoleBindings = append(w.objects.ClusterRoleBindings, rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "all"}})
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Chains of several detours, and the shortest of two.
func TestChains(t *testing.T) {
	w := &world{pods: []path.Pod{{Name: path.Name{Namespace: "ops", Name: "runner"}, Account: "deployer"}}}
	w.grant(robot, "shop", "get core secrets db")
	w.grant(access.ServiceAccount("ops", "deployer"), "shop", "create core serviceaccounts/token")
	w.grant(eve, "ops", "create core pods/exec")
	if got, want := how(w, eve), "ExecPods CreateTokens Read"; got != want {
		t.Errorf("by two others: %q, want %q", got, want)
	}
	w.grant(access.Group("ops-team"), "ops", "create apps deployments")
	if got, want := how(w, access.Group("ops-team")), "CreateWorkloads CreateTokens Read"; got != want {
		t.Errorf("a group: %q, want %q", got, want)
	}
	w.grant(eve, "", "list core secrets")
	if got, want := how(w, eve), "Read"; got != want {
		t.Errorf("the shortest: %q, want %q", got, want)
	}
}

// A circle of people who can impersonate one another ends.
func TestCircle(t *testing.T) {
	w := &world{}
	w.grant(access.User("a"), "", "impersonate core users b")
	w.grant(access.User("b"), "", "impersonate core users a,c")
	w.grant(access.User("c"), "shop", "get core secrets")
	if got, want := how(w, access.User("a")), "ImpersonateUser ImpersonateUser Read"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestBuiltin(t *testing.T) {
	w := &world{}
	w.grant(access.User("system:kube-controller-manager"), "", "get core secrets")
	w.grant(eve, "", "get core secrets")
	w.ship(0, "system:kube-controller-manager")
	var builtin []access.Subject
	for _, r := range w.finder().Readers(db) {
		if r.Builtin() {
			builtin = append(builtin, r.Subject)
		}
	}
	if want := []access.Subject{access.User("system:kube-controller-manager"), access.Group("system:masters")}; !slices.Equal(builtin, want) {
		t.Errorf("built in: %v, want %v", builtin, want)
	}
}

// ship makes the i'th ClusterRole and its binding look as if Kubernetes had shipped
// them by that name.
func (w *world) ship(i int, name string) {
	labels := map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}
	role, binding := &w.objects.ClusterRoles[i], &w.objects.ClusterRoleBindings[i]
	role.Name, role.Labels, binding.Name, binding.Labels, binding.RoleRef.Name = name, labels, name, labels, name
}

// Backdoors that carry Kubernetes' label are not its own: the API server keeps what
// was added to its objects, and anybody who may write RBAC may write the label.
func TestBackdoorIsNotBuiltin(t *testing.T) {
	for name, plant := range map[string]func(w *world) access.Subject{
		"a binding of one's own to a shipped role": func(w *world) access.Subject {
			w.grant(eve, "", "get core secrets")
			w.objects.ClusterRoles[0].Labels = map[string]string{"kubernetes.io/bootstrapping": "rbac-defaults"}
			return eve
		},
		"a subject added to a shipped binding": func(w *world) access.Subject {
			w.grant(access.Group("system:masters"), "", "* * *")
			w.ship(0, "cluster-admin")
			w.objects.ClusterRoleBindings[0].Subjects = append(w.objects.ClusterRoleBindings[0].Subjects, rbacv1.Subject{Kind: "User", Name: eve.Name})
			return eve
		},
		"a role and a binding with the label": func(w *world) access.Subject {
			w.grant(eve, "", "get core secrets")
			w.ship(0, "system:controller:nobody-ships-this")
			return eve
		},
		"a rule added to a shipped role that everybody has": func(w *world) access.Subject {
			w.grant(access.Group(access.Authenticated), "", "get core secrets")
			w.ship(0, "system:basic-user")
			return access.Group(access.Authenticated)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{}
			who := plant(w)
			found := false
			for _, r := range w.finder().Readers(db) {
				found = found || r.Subject == who
				if r.Subject == who && r.Builtin() {
					t.Errorf("%v is called built in", who)
				}
			}
			if !found {
				t.Errorf("%v is no reader", who)
			}
		})
	}
}

// Operators that act for whoever writes their objects, each with what its own
// ServiceAccount may.
func TestDeputies(t *testing.T) {
	flux, argo := access.ServiceAccount("flux-system", "kustomize-controller"), access.ServiceAccount("argocd", "argocd-application-controller")
	for name, c := range map[string]struct {
		namespace, rules string
		want             string
	}{
		"Flux, from anywhere":              {"web", "create kustomize.toolkit.fluxcd.io kustomizations", "DeputyActs Read"},
		"Flux, beside the Secret":          {"shop", "patch kustomize.toolkit.fluxcd.io kustomizations", "DeputySends"},
		"Argo CD, in its namespace":        {"argocd", "create argoproj.io applications", "DeputyActs Read"},
		"Argo CD, in another":              {"web", "create argoproj.io applications", ""},
		"Argo CD, everywhere":              {"", "update argoproj.io applications", "DeputyActs Read"},
		"a kind that the cluster lacks":    {"velero", "create velero.io restores", ""},
		"Kyverno, which may read nothing":  {"", "create kyverno.io clusterpolicies", ""},
		"reading the objects of operators": {"argocd", "get argoproj.io applications", ""},
	} {
		w := &world{serves: map[string]bool{"kustomize.toolkit.fluxcd.io/kustomizations": true, "argoproj.io/applications": true, "kyverno.io/clusterpolicies": true}}
		w.grant(flux, "", "get core secrets")
		w.grant(argo, "shop", "get core secrets db")
		w.grant(access.ServiceAccount("kyverno", "kyverno-background-controller"), "", "get core configmaps")
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A ClusterIssuer is served from the namespace of cert-manager.
func TestHome(t *testing.T) {
	w := &world{serves: map[string]bool{"cert-manager.io/clusterissuers": true}, pods: []path.Pod{{Name: path.Name{Namespace: "shop", Name: "cm-1"}, Account: "cert-manager"}}}
	w.grant(eve, "", "create cert-manager.io clusterissuers")
	if got := how(w, eve); got != "DeputySends" {
		t.Errorf("%q, want DeputySends", got)
	}
}

// Stores and replicators hand a value to namespaces that they serve, to whoever
// gets at what they make there.
func TestOffers(t *testing.T) {
	for name, c := range map[string]struct {
		namespace, rules string
		want             string
	}{
		"ExternalSecrets, and what they make":     {"web", "create external-secrets.io externalsecrets|get core secrets mine", "FetchSecrets"},
		"ExternalSecrets, and pods":               {"web", "patch external-secrets.io externalsecrets one|create core pods", "FetchSecrets"},
		"ExternalSecrets alone":                   {"web", "create external-secrets.io externalsecrets", ""},
		"in a namespace that is not served":       {"ops", "create external-secrets.io externalsecrets|get core secrets", ""},
		"a Secret that a replicator fills":        {"web", "create,get core secrets", "MirrorSecrets"},
		"a Secret that nobody fills":              {"ops", "create,get core secrets", ""},
		"one that can be read, and not be filled": {"web", "get core secrets", ""},
	} {
		w := &world{serves: map[string]bool{"external-secrets.io/secretstores": true}}
		to := func(ns string) bool { return ns == "web" }
		w.offers = []path.Offer{{Kind: path.FetchSecrets, On: "ClusterSecretStore vault", To: to}, {Kind: path.MirrorSecrets, On: "annotation", To: to}}
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	// By one binding for the whole cluster, and one for what it makes.
	w := &world{serves: map[string]bool{"external-secrets.io/secretstores": true}, offers: []path.Offer{{Kind: path.FetchSecrets, To: func(ns string) bool { return ns == "web" }}}}
	w.grant(eve, "", "create external-secrets.io clusterexternalsecrets")
	w.grant(eve, "web", "list core secrets")
	if got := how(w, eve); got != "FetchSecrets" {
		t.Errorf("for the whole cluster: %q, want FetchSecrets", got)
	}
}

// Whoever reads a copy reads the value.
func TestCopies(t *testing.T) {
	copies := []path.Copy{
		{Resource: "configmaps", Kind: "ConfigMap", Name: path.Name{Namespace: "web", Name: "app"}},
		{Resource: "secrets", Kind: "Secret", Name: path.Name{Namespace: "ops", Name: "db"}},
		{Group: "apps", Resource: "deployments", Kind: "Deployment", Name: path.Name{Namespace: "jobs", Name: "worker"}},
		{Resource: "pods", Kind: "Pod", Name: path.Name{Namespace: "jobs", Name: "worker-1"}},
	}
	for name, c := range map[string]struct {
		namespace, rules string
		want             string
	}{
		"a ConfigMap":                         {"web", "get core configmaps", "ReadCopy"},
		"another ConfigMap":                   {"web", "get core configmaps other", ""},
		"ConfigMaps of another namespace":     {"ops", "get core configmaps", ""},
		"a Secret":                            {"ops", "get core secrets", "ReadCopy"},
		"pods beside the Secret":              {"ops", "create core pods", "CreatePods"},
		"pods beside the ConfigMap":           {"web", "create core pods", "CreatePods"},
		"a literal of a Deployment":           {"jobs", "get apps deployments", "ReadCopy"},
		"a literal of an old group":           {"jobs", "get extensions deployments", ""},
		"a literal of a pod":                  {"jobs", "list core pods", "ReadCopy"},
		"the pod that has it":                 {"jobs", "create core pods/exec", "ExecPods"},
		"the pod that mounts the ConfigMap":   {"web", "create core pods/exec web-1", "ExecPods"},
		"a token of whom reads a copy":        {"web", "create core serviceaccounts/token reader", "CreateTokens ReadCopy"},
		"all pods":                            {"", "get core pods", "ReadCopy"},
		"the Secret itself before its copies": {"", "get core *", "Read"},
	} {
		w := &world{copies: copies, pods: []path.Pod{
			{Name: path.Name{Namespace: "jobs", Name: "worker-1"}, Account: "default"},
			{Name: path.Name{Namespace: "web", Name: "web-1"}, Account: "default", ConfigMaps: []string{"app"}},
		}}
		w.grant(access.ServiceAccount("web", "reader"), "web", "get core configmaps app")
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Whoever reads a custom resource that holds a copy reads the value: exactly that resource,
// in its group.
func TestCustomCopies(t *testing.T) {
	const bind = "|create rbac.authorization.k8s.io clusterrolebindings|bind rbac.authorization.k8s.io clusterroles"
	for name, c := range map[string]struct{ namespace, rules, want string }{
		"the resource":                        {"web", "get helm.toolkit.fluxcd.io helmreleases", "ReadCopy"},
		"by its name":                         {"web", "watch helm.toolkit.fluxcd.io helmreleases app", "ReadCopy"},
		"another name":                        {"web", "get helm.toolkit.fluxcd.io helmreleases other", ""},
		"another namespace":                   {"ops", "get helm.toolkit.fluxcd.io helmreleases", ""},
		"another group":                       {"web", "get helm.cattle.io helmreleases", ""},
		"another resource":                    {"web", "get helm.toolkit.fluxcd.io helmcharts", ""},
		"a dry run that deletes":              {"web", "deletecollection helm.toolkit.fluxcd.io helmreleases", "ReadCopy"},
		"writing without an answer":           {"web", "create helm.toolkit.fluxcd.io helmreleases", ""},
		"everything of the group, everywhere": {"", "* helm.toolkit.fluxcd.io *", "ReadCopy"},
		"one in no namespace":                 {"", "list argoproj.io clusterworkflowtemplates", "ReadCopy"},
		"that, by a RoleBinding":              {"web", "list argoproj.io clusterworkflowtemplates", ""},
		"that, by binding the right":          {"", "get apps nothing" + bind, "Bind"},
		"secrets of another group":            {"web", "get example.com secrets", "ReadCopy"},
		"pods beside those":                   {"web", "create core pods", ""},
		"a resource that holds nothing":       {"web", "get example.com widgets", ""},
	} {
		w := &world{
			copies: []path.Copy{
				{Group: "helm.toolkit.fluxcd.io", Resource: "helmreleases", Kind: "HelmRelease", Name: path.Name{Namespace: "web", Name: "app"}},
				{Group: "argoproj.io", Resource: "clusterworkflowtemplates", Kind: "ClusterWorkflowTemplate", Name: path.Name{Name: "build"}},
				{Group: "example.com", Resource: "secrets", Kind: "Secret", Name: path.Name{Namespace: "web", Name: "odd"}},
			},
			holding: [][2]string{{"helm.toolkit.fluxcd.io", "helmreleases"}, {"argoproj.io", "clusterworkflowtemplates"}, {"example.com", "secrets"}},
		}
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestLifters(t *testing.T) {
	w := &world{}
	w.grant(eve, "shop", "patch core namespaces shop")
	w.grant(access.User("all"), "", "update core namespaces")
	w.grant(access.User("another"), "", "update core namespaces web")
	w.grant(access.User("reader"), "", "get core namespaces")
	if got, want := w.finder().Lifters("shop"), []access.Subject{access.User("all"), eve}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

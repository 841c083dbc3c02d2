package path_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// Each row gives eve rights in a cluster in which shop/web-1 mounts shop/db on node
// n1, the privileged pod kube-system/cni runs on n1 too, and web/idle on n2; Pod
// Security confines the pods of shop and of web, and not those of kube-system and free.
func TestBreakOut(t *testing.T) {
	for name, c := range map[string]struct {
		namespace, rules string
		want             string
	}{
		"pods, where they are not confined":         {"free", "create core pods", "BreakOut Node"},
		"workloads there":                           {"free", "patch apps daemonsets one", "BreakOut Node"},
		"pods of a name there":                      {"free", "create,patch core pods mine", "BreakOut Node"},
		"pods of a name that is taken":              {"free", "create,patch core pods taken", ""},
		"pods of a name that can be freed":          {"free", "create,patch,delete core pods taken", "BreakOut Node"},
		"pods, where they are confined":             {"web", "create core pods", ""},
		"pods, and the labels that confine them":    {"web", "create core pods|patch core namespaces web", "BreakOut Node"},
		"pods, and labels of another namespace":     {"web", "create core pods|patch core namespaces shop", ""},
		"pods, of a namespace that is not known":    {"unread", "create core pods", ""},
		"pods everywhere":                           {"", "create core pods", "CreatePods"},
		"commands in a privileged pod":              {"kube-system", "create core pods/exec cni", "BreakOut Node"},
		"commands in a pod that is none":            {"web", "create core pods/exec", ""},
		"another image for a privileged pod":        {"kube-system", "patch core pods", "BreakOut Node"},
		"a container beside a pod on the node":      {"kube-system", "patch core pods/ephemeralcontainers", "BreakOut Node"},
		"a container beside a pod that is confined": {"web", "patch core pods/ephemeralcontainers", ""},
		"the same, and labels":                      {"web", "patch core pods/ephemeralcontainers|update core namespaces", ""},
		"tokens of whom makes pods there":           {"free", "create core serviceaccounts/token builder", "CreateTokens BreakOut Node"},
		"the shorter way, where there are two":      {"shop", "create core pods", "CreatePods"},
		"writing the right into a role, there":      {"free", "escalate,update rbac.authorization.k8s.io roles", "BreakOut Node"},
		"the same, where pods are confined":         {"web", "escalate,update rbac.authorization.k8s.io roles", ""},
		"reading pods is nothing":                   {"free", "get core pods", ""},
	} {
		w := &world{
			pods: []path.Pod{
				{Name: path.Name{Namespace: "shop", Name: "web-1"}, Account: "web", Node: "n1", Secrets: []string{"db"}},
				{Name: path.Name{Namespace: "kube-system", Name: "cni"}, Account: "cni", Node: "n1", Privileged: true},
				{Name: path.Name{Namespace: "web", Name: "idle"}, Account: "default", Node: "n2"},
				{Name: path.Name{Namespace: "free", Name: "taken"}, Account: "default", Node: "n2"},
			},
			namespaces: []string{"shop", "web", "kube-system", "free"}, open: []string{"kube-system", "free"},
		}
		w.grant(access.ServiceAccount("free", "builder"), "free", "create core pods")
		w.grant(eve, c.namespace, strings.Split(c.rules, "|")...)
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Who gets onto a node acts as the ServiceAccounts of its pods, also of those that
// mount nothing; and not as those of pods elsewhere.
func TestBreakOutToAccounts(t *testing.T) {
	for node, want := range map[string]string{"n1": "BreakOut Node Read", "n2": ""} {
		w := &world{
			pods: []path.Pod{
				{Name: path.Name{Namespace: "ops", Name: "agent"}, Account: "agent", Node: node},
				{Name: path.Name{Namespace: "web", Name: "debug"}, Account: "default", Node: "n1", Privileged: true},
			},
			namespaces: []string{"web"},
		}
		w.grant(access.ServiceAccount("ops", "agent"), "shop", "get core secrets db")
		w.grant(eve, "web", "create core pods/exec")
		if got := how(w, eve); got != want {
			t.Errorf("the agent on %s: %q, want %q", node, got, want)
		}
	}
}

// A node is Kubernetes' own, who breaks out to it is not.
func TestBreakOutIsNotBuiltin(t *testing.T) {
	w := &world{
		pods:       []path.Pod{{Name: path.Name{Namespace: "shop", Name: "web-1"}, Account: "web", Node: "n1"}},
		namespaces: []string{"free"}, open: []string{"free"},
	}
	w.grant(robot, "shop", "get core secrets db")
	w.grant(eve, "free", "create core pods")
	builtin := map[access.Subject]bool{}
	for _, r := range w.finder().Readers(db) {
		builtin[r.Subject] = r.Builtin()
	}
	if own, ok := builtin[access.User("system:node:n1")]; !ok || !own {
		t.Errorf("the node: %v", builtin)
	}
	if own, ok := builtin[eve]; !ok || own {
		t.Errorf("who breaks out: %v", builtin)
	}
}

// AppProjects limit to which namespaces Argo CD writes, and for whom.
func TestProjects(t *testing.T) {
	only := func(names ...string) func(string) bool {
		return func(ns string) bool { return strings.Contains(" "+strings.Join(names, " ")+" ", " "+ns+" ") }
	}
	for name, c := range map[string]struct {
		namespace string
		projects  []path.Project
		want      string
	}{
		"none is known":                        {"argocd", nil, "DeputyActs Read"},
		"of another Argo CD":                   {"argocd", []path.Project{{Namespace: "ops", From: only(), To: only("web")}}, "DeputyActs Read"},
		"to the Secret's namespace":            {"argocd", []path.Project{{Namespace: "argocd", From: only(), To: only("shop")}}, "DeputyActs Read"},
		"to others":                            {"argocd", []path.Project{{Namespace: "argocd", From: only(), To: only("web")}}, ""},
		"one of two":                           {"argocd", []path.Project{{Namespace: "argocd", From: only(), To: only("web")}, {Namespace: "argocd", From: only(), To: only("shop")}}, "DeputyActs Read"},
		"for Applications of another":          {"web", []path.Project{{Namespace: "argocd", From: only("web"), To: only("shop")}}, "DeputyActs Read"},
		"not for those of another":             {"web", []path.Project{{Namespace: "argocd", From: only("ops"), To: only("shop")}}, ""},
		"for another, by a project to nowhere": {"web", []path.Project{{Namespace: "argocd", From: only("web"), To: only()}, {Namespace: "argocd", From: only(), To: only("shop")}}, ""},
		"for Applications of all":              {"", []path.Project{{Namespace: "argocd", From: only(), To: only("web")}}, ""},
	} {
		w := &world{serves: map[string]bool{"argoproj.io/applications": true}, projects: c.projects}
		w.grant(access.ServiceAccount("argocd", "argocd-application-controller"), "", "get core secrets")
		w.grant(eve, c.namespace, "create argoproj.io applications")
		if got := how(w, eve); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A controller of Flux that is told so acts as a ServiceAccount of the object's
// namespace, whichever the object names, and no longer as its own.
func TestLoweredDeputies(t *testing.T) {
	for name, c := range map[string]struct {
		namespace string
		lowered   bool
		reads     access.Subject
		want      string
	}{
		"its own, from anywhere":       {"web", false, access.ServiceAccount("flux-system", "kustomize-controller"), "DeputyActs Read"},
		"its own no longer":            {"web", true, access.ServiceAccount("flux-system", "kustomize-controller"), ""},
		"one beside the object":        {"web", true, access.ServiceAccount("web", "deployer"), "DeputyActs Read"},
		"one of another namespace":     {"web", true, access.ServiceAccount("ops", "deployer"), ""},
		"one beside it, not told to":   {"web", false, access.ServiceAccount("web", "deployer"), ""},
		"objects of the whole cluster": {"", true, access.ServiceAccount("ops", "deployer"), "DeputyActs Read"},
	} {
		w := &world{
			serves: map[string]bool{"kustomize.toolkit.fluxcd.io/kustomizations": true},
			pods:   []path.Pod{{Name: path.Name{Namespace: "flux-system", Name: "kc-1"}, Account: "kustomize-controller", Lowered: c.lowered}},
		}
		w.grant(c.reads, "shop", "get core secrets db")
		w.grant(eve, c.namespace, "create kustomize.toolkit.fluxcd.io kustomizations")
		want := c.want
		if c.namespace == "" {
			want = "DeputySends" // shorter: its values go into what is applied
		}
		if got := how(w, eve); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// Everything that makes pods of a template is a way to the Secrets beside it.
func TestWorkloadKinds(t *testing.T) {
	for kind, want := range map[string]string{
		"core replicationcontrollers": "CreateWorkloads", "core podtemplates": "CreateWorkloads",
		"apps deployments": "CreateWorkloads", "apps daemonsets": "CreateWorkloads", "apps statefulsets": "CreateWorkloads", "apps replicasets": "CreateWorkloads",
		"batch jobs": "CreateWorkloads", "batch cronjobs": "CreateWorkloads",
		"argoproj.io rollouts": "CreateWorkloads", "argoproj.io workflows": "CreateWorkloads", "tekton.dev taskruns": "CreateWorkloads", "serving.knative.dev services": "CreateWorkloads",
		"core services": "", "apps controllerrevisions": "", "autoscaling horizontalpodautoscalers": "",
	} {
		for _, verb := range []string{"create", "update", "patch"} {
			w := &world{serves: map[string]bool{"argoproj.io/rollouts": true, "argoproj.io/workflows": true, "tekton.dev/taskruns": true, "serving.knative.dev/services": true}}
			w.grant(eve, "shop", verb+" "+kind)
			if got := how(w, eve); got != want {
				t.Errorf("%s %s: %q, want %q", verb, kind, got, want)
			}
		}
	}
}

// What sees or changes what is written from now on is said so, and is none of those who
// read what is there.
func TestLater(t *testing.T) {
	for rules, want := range map[string]string{
		"patch admissionregistration.k8s.io mutatingwebhookconfigurations":    "WriteWebhooks",
		"update admissionregistration.k8s.io validatingwebhookconfigurations": "WriteWebhooks",
		"create admissionregistration.k8s.io mutatingadmissionpolicies":       "WritePolicies",
		"create apiregistration.k8s.io apiservices":                           "WriteAPIServices",
		"get apiregistration.k8s.io apiservices":                              "",
	} {
		w := &world{}
		w.grant(eve, "", rules)
		if got := how(w, eve); got != want {
			t.Errorf("%s: %q, want %q", rules, got, want)
		}
		for _, r := range w.finder().Readers(db) {
			if r.Subject == eve && !r.Later() {
				t.Errorf("%s reads what is there", rules)
			}
		}
		w = &world{}
		w.grant(eve, "shop", rules)
		if got := how(w, eve); got != "" {
			t.Errorf("%s, in a namespace: %q", rules, got)
		}
	}
}

package rbac

import (
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

func TestNarrowness(t *testing.T) {
	for _, o := range []Options{{}, {ConfigMaps: true}, {ClusterStores: true, Push: true, Spread: true}, {Namespaces: []string{"a"}, ClusterStores: true, Push: true, Spread: true}, {Rotation: true}, {Rotation: true, Reload: true, Namespaces: []string{"a"}}, {ClusterStores: true, Reload: true}, {ClusterStores: true, LeaderElection: true}, {Checks: true, ClusterStores: true}, {Namespaces: []string{"a", "b"}, CredentialNamespaces: []string{"c"}, ClusterStores: true}} {
		for _, r := range Roles(o) {
			if r.Namespace == "" && len(o.Namespaces) > 0 {
				for _, rule := range r.Rules {
					if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "serviceaccounts/token") {
						t.Errorf("%+v: cluster-wide %v", o, rule.Resources)
					}
				}
			}
			for _, rule := range r.Rules {
				if r.Namespace == o.withDefaults().Namespace && len(rule.ResourceNames) == 0 && !slices.Equal(rule.Verbs, []string{"create"}) {
					t.Errorf("%+v: rule %+v of the own namespace names no object", o, rule)
				}
				if rule.Why == "" || slices.Contains(rule.Verbs, rbacv1.VerbAll) || slices.Contains(rule.Resources, rbacv1.ResourceAll) || slices.Contains(rule.APIGroups, rbacv1.APIGroupAll) {
					t.Errorf("%+v: rule %+v has no reason or a wildcard", o, rule)
				}
			}
		}
	}
	if n := len(Objects(Options{Namespaces: []string{"a", "b"}, CredentialNamespaces: []string{"c"}, ClusterStores: true})); n != 10 {
		t.Errorf("%d objects, want five roles and five bindings", n)
	}
}

// The right to write ConfigMaps is there only when it is asked for.
func TestConfigMapsAreOptional(t *testing.T) {
	writes := func(o Options) bool {
		for _, r := range Roles(o) {
			for _, rule := range r.Rules {
				if slices.Contains(rule.Resources, "configmaps") && slices.ContainsFunc(rule.Verbs, func(v string) bool { return v == "create" || v == "patch" || v == "delete" }) {
					return true
				}
			}
		}
		return false
	}
	all := Options{ClusterStores: true, Push: true, Spread: true, Reload: true, LeaderElection: true, Rotation: true, Drills: true, RehearsalPods: true}
	if writes(all) {
		t.Error("it is there without being asked for")
	}
	all.ConfigMaps = true
	if !writes(all) || !writes(Options{ConfigMaps: true, Namespaces: []string{"a"}}) {
		t.Error("it is not there")
	}
}

// What lets an operator of another cluster in lets it change no Secret and run
// nothing, and has no wildcard.
func TestRemoteNarrowness(t *testing.T) {
	for _, rule := range Remote().Rules {
		if rule.Why == "" || slices.Contains(rule.Verbs, rbacv1.VerbAll) || slices.Contains(rule.Verbs, "watch") || len(rule.Verbs) == 0 {
			t.Errorf("%+v", rule)
		}
		for _, resource := range rule.Resources {
			reads := !slices.ContainsFunc(rule.Verbs, func(v string) bool { return v != "get" && v != "list" })
			if !reads && slices.Contains([]string{"secrets", "configmaps", "serviceaccounts", "serviceaccounts/token", "pods/exec"}, resource) {
				t.Errorf("%+v", rule)
			}
		}
	}
}

func TestCommittedManifestsAreCurrent(t *testing.T) {
	remote, err := RemoteYAML()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../../../../deploy/cluster/remote.yaml"); err != nil || !strings.HasSuffix(string(got), string(remote)) {
		t.Errorf("deploy/cluster/remote.yaml is not what the generator makes (%v): run hack/generate.sh", err)
	}
	checks, err := ChecksYAML()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../../../../deploy/operator/rbac-checks.yaml"); err != nil || !strings.HasSuffix(string(got), string(checks)) {
		t.Errorf("deploy/operator/rbac-checks.yaml is not what the generator makes (%v): run hack/generate.sh", err)
	}
	for name, o := range map[string]Options{
		"rbac-cluster.yaml":   {ClusterStores: true, Push: true, Spread: true, Rotation: true, Reload: true, LeaderElection: true},
		"rbac-namespace.yaml": {Namespaces: []string{"my-app"}, Push: true, Rotation: true, Reload: true, LeaderElection: true},
	} {
		want, err := YAML(o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../../../../deploy/operator/" + name)
		if err != nil || !strings.HasSuffix(string(got), string(want)) {
			t.Errorf("deploy/operator/%s is not what the generator makes (%v): run hack/generate.sh", name, err)
		}
	}
}

// What keeps the checks current reads and never watches, writes nothing but reports and its own
// history, each rule has its reason above it, and without the option nothing of it is there.
func TestChecksNarrowness(t *testing.T) {
	o := Options{ClusterStores: true, Checks: true}.withDefaults()
	for _, r := range checks(o) {
		for _, rule := range r.Rules {
			reports := slices.Contains(rule.Resources, "reports") || slices.Contains(rule.Resources, "policyreports")
			own := r.Namespace == o.Namespace && slices.Equal(rule.Resources, []string{"configmaps"})
			if !reports && !own && !slices.Equal(rule.Verbs, []string{"list"}) && !slices.Equal(rule.NonResourceURLs, []string{"/metrics"}) {
				t.Errorf("%+v", rule)
			}
		}
	}
	text, err := YAML(o)
	if err != nil {
		t.Fatal(err)
	}
	before := ""
	for line := range strings.Lines(string(text)) {
		if (strings.HasPrefix(line, "- apiGroups:") || strings.HasPrefix(line, "- nonResourceURLs:")) && !strings.HasPrefix(before, "# to ") && !strings.HasPrefix(before, "# for ") {
			t.Errorf("no reason above %s", line)
		}
		if line == "- nonResourceURLs:\n" && !strings.Contains(before, "counters") {
			t.Errorf("another rule's reason: %s", before)
		}
		before = line
	}
	for _, without := range []Options{{ClusterStores: true}, {Checks: true, Namespaces: []string{"a"}}} {
		for _, r := range Roles(without) {
			if strings.HasSuffix(r.Name, "-checks") {
				t.Errorf("%+v has %s", without, r.Name)
			}
		}
	}
}

// With names no rule reaches a Secret, or a token of a ServiceAccount, without one; where there is no
// name there is no rule.
func TestNamedRoles(t *testing.T) {
	o := Options{
		Namespaces: []string{"a", "b"}, CredentialNamespaces: []string{"c"}, ClusterStores: true, Push: true,
		Named: map[string]Names{"a": {Read: []string{"token", "both"}, Write: []string{"both", "own"}, Accounts: []string{"reader"}}, "c": {Read: []string{"shared"}}},
	}
	got := map[string]string{}
	for _, r := range Roles(o) {
		for _, rule := range r.Rules {
			if slices.Contains(rule.Resources, "secrets") || slices.Contains(rule.Resources, "serviceaccounts") || slices.Contains(rule.Resources, "serviceaccounts/token") {
				if len(rule.ResourceNames) == 0 && r.Namespace != o.withDefaults().Namespace {
					t.Errorf("%s in %q: %v of any %v", r.Name, r.Namespace, rule.Verbs, rule.Resources)
				}
				for _, verb := range rule.Verbs {
					got[r.Namespace+" "+verb+" "+rule.Resources[0]] = strings.Join(rule.ResourceNames, " ")
				}
			}
		}
	}
	for what, names := range map[string]string{
		"a get secrets": "both own token", "a list secrets": "both own token", "a watch secrets": "both own token",
		"a patch secrets": "both own", "a create secrets": "both own", "a delete secrets": "both own",
		"a create serviceaccounts/token": "reader", "a get serviceaccounts": "reader",
		"b get secrets": "", "b create secrets": "", "b create serviceaccounts/token": "",
		"c get secrets": "shared", "c patch secrets": "", "c create serviceaccounts/token": "",
	} {
		if got[what] != names {
			t.Errorf("%s: %q, want %q", what, got[what], names)
		}
	}
}

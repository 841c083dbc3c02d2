package rbac

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record/custom"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/policyreport"
)

// checks returns the roles of what keeps the checks current. They stand by themselves: what
// the other roles allow is not needed, and taking them away ends the checks and nothing else.
func checks(o Options) []Role {
	name := o.Name + "-checks"
	return []Role{{name, o.Namespace, remembering()}, {Name: name, Rules: slices.Concat(looking(), reporting())}}
}

// looking returns what a look at the whole cluster needs: lists, and nothing that is
// watched or written.
func looking() []Rule {
	rules := []Rule{
		rule("to see which Secrets there are, who wrote them, and when: only metadata is asked for, unless --checks-content is set, which RBAC cannot tell from the whole", "", "secrets", "list"),
		rule("to look for copies of credentials, and for what other tools keep there; without --checks-content their values are dropped unseen", "", "configmaps", "list"),
		lists("to see who uses which Secret, as which ServiceAccount, and in which way", "", "pods", "serviceaccounts", "replicationcontrollers", "namespaces"),
		rule("to see by one node's labels which cloud runs the API server: only metadata is asked for", "", "nodes", "list"),
		lists("to see what makes pods, and what their templates were before", "apps", "deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions"),
		lists("to see what makes pods", "batch", "jobs", "cronjobs"),
		lists("to know who may do what", rbacv1.GroupName, "roles", "rolebindings", "clusterroles", "clusterrolebindings"),
		{"to see by its counters how the API server stores Secrets", rbacv1.PolicyRule{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}}},
		rule("to see whether stored Secrets were encrypted anew", "storagemigration.k8s.io", "storageversionmigrations", "list"),
		rule("to see what makes pods, where Argo Rollouts is installed", "argoproj.io", "rollouts", "list"),
		rule("to see which Gateways may use another namespace's Secrets", "gateway.networking.k8s.io", "referencegrants", "list"),
	}
	groups := map[string][]string{}
	for i := range custom.Kinds {
		k := &custom.Kinds[i]
		groups[k.Group] = append(groups[k.Group], k.Resource)
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		resources := groups[group]
		slices.Sort(resources)
		rules = append(rules, lists("to see what names, makes or guards Secrets, where there are such", group, slices.Compact(resources)...))
	}
	return rules
}

func lists(why, group string, resources ...string) Rule {
	return Rule{why, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"list"}}}
}

// reporting returns what the reports need, in whichever of their APIs the cluster has.
func reporting() []Rule {
	var out []Rule
	for _, f := range policyreport.Families() {
		out = append(out, Rule{"to write what was found, and to delete what is mended: RBAC cannot limit this to its own reports", rbacv1.PolicyRule{
			APIGroups: []string{f.Group}, Resources: []string{f.Local.Resource, f.Global.Resource}, Verbs: []string{"list", "create", "update", "delete"},
		}})
	}
	return out
}

// remembering returns what the history needs in the operator's own namespace.
func remembering() []Rule {
	kept := rule("to remember what was found and when it went", "", "configmaps", "get", "update")
	kept.ResourceNames = []string{history.Name}
	return []Rule{kept, rule("to make that ConfigMap at the first look: creation cannot be limited to a name", "", "configmaps", "create")}
}

// ChecksYAML renders the roles of what keeps the checks current, alone: for an operator
// that has its other roles.
func ChecksYAML() ([]byte, error) {
	o := Options{}.withDefaults()
	roles := checks(o)
	return render(roles, objectsOf(roles, o))
}

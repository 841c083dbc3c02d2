package custom

import (
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// projects has o, if it is an AppProject.
func projects(o *unstructured.Unstructured) []snapshot.Project {
	if kind := o.GroupVersionKind(); kind.Group != "argoproj.io" || kind.Kind != "AppProject" {
		return nil
	}
	out := snapshot.Project{Meta: meta(o), From: texts(o.Object, "spec.sourceNamespaces")}
	at(o.Object, "spec.destinations[]", func(_ string, v any) {
		if to := textAt(v, "namespace"); here(textAt(v, "server"), textAt(v, "name")) {
			out.To = append(out.To, to)
		}
	})
	const rbac = "rbac.authorization.k8s.io"
	spec, _ := o.Object["spec"].(map[string]any)
	out.Anywhere = listed(spec, "clusterResourceWhitelist", rbac, "ClusterRoleBinding") && !listed(spec, "clusterResourceBlacklist", rbac, "ClusterRoleBinding")
	_, limited := spec["namespaceResourceWhitelist"]
	out.Harmless = !slices.ContainsFunc(giving, func(k [2]string) bool {
		return (!limited || listed(spec, "namespaceResourceWhitelist", k[0], k[1])) && !listed(spec, "namespaceResourceBlacklist", k[0], k[1])
	})
	return []snapshot.Project{out}
}

// here reports whether a destination is the cluster that Argo CD runs in, or may be.
func here(server, name string) bool {
	return server == "" && name == "" || like(server, "https://kubernetes.default.svc") || like(name, "in-cluster")
}

// giving are the kinds, by group, that give whoever writes them Secrets of the namespace.
var giving = [][2]string{
	{"", "Pod"}, {"", "ReplicationController"}, {"", "PodTemplate"}, {"apps", "Deployment"}, {"apps", "StatefulSet"}, {"apps", "DaemonSet"}, {"apps", "ReplicaSet"},
	{"batch", "Job"}, {"batch", "CronJob"}, {"rbac.authorization.k8s.io", "RoleBinding"}, {"rbac.authorization.k8s.io", "Role"}, {"argoproj.io", "Rollout"}, {"argoproj.io", "Workflow"},
}

// listed reports whether a list of an AppProject has a kind.
func listed(spec map[string]any, list, group, kind string) bool {
	found := false
	at(spec, list+"[]", func(_ string, v any) {
		found = found || like(textAt(v, "group"), group) && like(textAt(v, "kind"), kind)
	})
	return found
}

// like reports whether text is like a pattern with * and ?. A "!" before a pattern is
// its opposite.
func like(pattern, text string) bool {
	if not, ok := strings.CutPrefix(pattern, "!"); ok {
		return !like(not, text)
	}
	return regexp.MustCompile("^(?s:" + wild.Replace(regexp.QuoteMeta(pattern)) + ")$").MatchString(text)
}

// wild makes an expression of a pattern whose signs were quoted.
var wild = strings.NewReplacer(`\*`, ".*", `\?`, ".")

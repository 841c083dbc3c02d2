package policyreport

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Family is one of the APIs that have reports. Their results have one shape.
type Family struct {
	schema.GroupVersion
	// Local is what lies in a namespace, Global what does not.
	Local, Global Kind
	// sourced says that a report itself has a source.
	sourced bool
}

// Kind is a kind and its resource.
type Kind struct{ Kind, Resource string }

// Families are those known, the newer first.
func Families() []Family {
	return []Family{
		{schema.GroupVersion{Group: "openreports.io", Version: "v1alpha1"}, Kind{"Report", "reports"}, Kind{"ClusterReport", "clusterreports"}, true},
		{schema.GroupVersion{Group: "wgpolicyk8s.io", Version: "v1alpha2"}, Kind{"PolicyReport", "policyreports"}, Kind{"ClusterPolicyReport", "clusterpolicyreports"}, false},
	}
}

// Served reports whether a cluster has both kinds of f. served are its resources, as
// snapshot.Snapshot has them.
func (f Family) Served(served map[string]bool) bool {
	return served[f.Group+"/"+f.Local.Resource] && served[f.Group+"/"+f.Global.Resource]
}

// Resources are those of f.
func (f Family) Resources() []schema.GroupVersionResource {
	return []schema.GroupVersionResource{f.WithResource(f.Local.Resource), f.WithResource(f.Global.Resource)}
}

// Labels are on every report that is Strongkeep's, and on no other: what lacks them is
// not touched.
func Labels() map[string]string {
	return map[string]string{"app.kubernetes.io/managed-by": "strongkeep", "strongkeep.io/report": "checks"}
}

// Selector selects them.
const Selector = "app.kubernetes.io/managed-by=strongkeep,strongkeep.io/report=checks"

// Name is that of the first report of a namespace, and of the cluster; those that
// follow end with "-2", "-3".
const Name = "strongkeep-checks"

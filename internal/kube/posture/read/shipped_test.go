package read_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
)

// What a real API server puts into its cluster is in the table of what is shipped,
// and nothing that a test adds is.
func TestShipped(t *testing.T) {
	const label = "kubernetes.io/bootstrapping"
	s := live(t, server.REST, read.Options{})
	own := 0
	for _, b := range access.New(s.RBAC).Bindings() {
		for _, who := range b.Subjects {
			shipped, _ := b.Shipped(who)
			if shipped != (b.Labels[label] != "") {
				t.Errorf("%s %s/%s gives %s to %s: shipped %v, label %q", b.Kind(), b.Namespace, b.Name, b.RoleRef.Name, who, shipped, b.Labels[label])
			}
			if shipped {
				own++
			}
		}
	}
	if own < 50 {
		t.Errorf("%d subjects of shipped bindings: fewer than an API server has", own)
	}
}

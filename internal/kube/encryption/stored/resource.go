package stored

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// DefaultPrefix is where API servers keep everything (--etcd-prefix).
const DefaultPrefix = "/registry"

// special are the resources that do not lie under their own name
// (k8s.io/kubernetes/pkg/kubeapiserver/default_storage_factory_builder.go).
var special = map[string]string{
	"replicationcontrollers": "controllers", "endpoints": "services/endpoints", "nodes": "minions",
	"services": "services/specs", "ingresses": "ingress",
}

// folders are where the values of a resource lie: RESOURCE/ for what Kubernetes has
// itself, GROUP/RESOURCE/ for custom resources and some of its own.
func folders(prefix string, of schema.GroupResource) []string {
	under := func(path string) string { return strings.TrimSuffix(prefix, "/") + "/" + path + "/" }
	var own []string
	if of.Group == "" || !strings.Contains(of.Group, ".") || strings.HasSuffix(of.Group, ".k8s.io") {
		name := of.Resource
		if other, ok := special[name]; ok {
			name = other
		}
		own = append(own, under(name))
	}
	if of.Group != "" {
		own = append(own, under(of.Group+"/"+of.Resource))
	}
	return own
}

// parseResource takes RESOURCE or RESOURCE.GROUP.
func parseResource(text string) (schema.GroupResource, error) {
	r := schema.ParseGroupResource(text)
	if r.Resource == "" || strings.ContainsAny(text, "*/ ") || text != strings.ToLower(text) {
		return r, errs.Newf(errs.Invalid, "resource %q: name each resource as RESOURCE or RESOURCE.GROUP in lower case, such as secrets or certificates.cert-manager.io", text)
	}
	return r, nil
}

// Object is one that is stored.
type Object struct {
	Resource string `json:"resource"`
	Name     string `json:"name"` // NAMESPACE/NAME, or NAME
}

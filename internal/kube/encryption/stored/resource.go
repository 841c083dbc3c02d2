package stored

import (
	"slices"
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

// everything is the wildcard of all that API servers encrypt.
const everything = "*.*"

// never are the folders of what API servers never encrypt, whatever their configuration
// says: addresses and ports that they allot.
var never = []string{"ranges", "masterleases", "peerserverleases"}

// wild returns the folder that a wildcard covers, "" if text is none. Kubernetes' own
// groups have no folder, but for that of all: those have to be named one by one.
func wild(prefix, text string) (folder string, err error) {
	group, ok := strings.CutPrefix(text, "*.")
	root := strings.TrimSuffix(prefix, "/") + "/"
	switch {
	case !ok:
		return "", nil
	case text == everything:
		return root, nil
	case !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") || strings.ContainsAny(group, "*/ ") || group != strings.ToLower(group):
		return "", errs.Newf(errs.Invalid, "resource %q: etcd does not say what belongs to a group of Kubernetes' own: name each resource, or *.* for everything, or *.GROUP for a group of custom resources", text)
	}
	return root + group + "/", nil
}

// storedAt tells what lies at a key below the prefix: the resource, and the object's name.
// Of Kubernetes' own resources the group is not known. It is not ok for what is never
// encrypted.
func storedAt(key string) (resource, object string, ok bool) {
	first, rest, _ := strings.Cut(key, "/")
	if slices.Contains(never, first) {
		return "", "", false
	}
	if strings.Contains(first, ".") { // a group
		second, rest, _ := strings.Cut(rest, "/")
		return second + "." + first, rest, true
	}
	for name, path := range special {
		if below, ok := strings.CutPrefix(key, path+"/"); ok {
			return name, below, true
		}
	}
	return first, rest, true
}

// Object is one that is stored.
type Object struct {
	Resource string `json:"resource"`
	Name     string `json:"name"` // NAMESPACE/NAME, or NAME
}

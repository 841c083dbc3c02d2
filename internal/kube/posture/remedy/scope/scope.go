package scope

import (
	"context"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
)

// scopes are the resources of a cluster, and whether they lie in namespaces. failed are the
// groups of which something did not answer: no RESTMapper tells them from those that the
// cluster does not have.
type scopes struct {
	namespaced map[schema.GroupResource]bool
	failed     map[string]error
}

// Namespaced asks the cluster once, when what it returns is first called: whether a resource
// lies in namespaces. known is false if the cluster serves none; an error says that it cannot
// tell now.
func Namespaced(ctx context.Context, config *rest.Config) func(group, resource string) (yes, known bool, err error) {
	read := sync.OnceValues(func() (*scopes, error) { return readScopes(ctx, config) })
	return func(group, resource string) (bool, bool, error) {
		all, err := read()
		if err != nil {
			return false, false, err
		}
		yes, known := all.namespaced[schema.GroupResource{Group: group, Resource: resource}]
		if !known && all.failed[group] != nil {
			return false, false, all.failed[group]
		}
		return yes, known, nil
	}
}

func readScopes(ctx context.Context, config *rest.Config) (*scopes, error) {
	c, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	out := &scopes{namespaced: map[schema.GroupResource]bool{}, failed: map[string]error{}}
	_, lists, err := c.ServerGroupsAndResourcesWithContext(ctx)
	failed, partly := discovery.GroupDiscoveryFailedErrorGroups(err)
	if err != nil && !partly {
		return nil, err
	}
	for version, err := range failed {
		out.failed[version.Group] = err
	}
	for _, l := range lists {
		version, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range l.APIResources {
			if !strings.Contains(r.Name, "/") {
				out.namespaced[schema.GroupResource{Group: version.Group, Resource: r.Name}] = r.Namespaced
			}
		}
	}
	return out, nil
}

// Package permits notes which permissions an operator uses, for tests that the
// roles of package rbac have these and no more.
//
// Start reading at Recording.
package permits

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
)

// Recording notes the permission that each request needs, and each refusal.
// Permissions read "verb group/resource[/subresource]".
type Recording struct {
	mu      sync.Mutex
	counts  map[string]int
	refused []string
}

// New returns an empty Recording.
func New() *Recording { return &Recording{counts: map[string]int{}} }

// Wrap returns cfg with its requests noted by r.
func (r *Recording) Wrap(cfg *rest.Config) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return noting{next, r} })
	return cfg
}

// noting is the transport of one client; a configuration may make several.
type noting struct {
	next http.RoundTripper
	*Recording
}

// RoundTrip implements http.RoundTripper.
func (r noting) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := r.next.RoundTrip(req)
	if err != nil {
		return answer, err
	}
	verb, resource := permission(req)
	if resource == "" {
		return answer, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[verb+" "+resource]++
	if answer.StatusCode == http.StatusCreated && verb == "patch" {
		r.counts["create "+resource]++ // an apply that makes an object needs both
	}
	if answer.StatusCode == http.StatusForbidden {
		r.refused = append(r.refused, req.Method+" "+req.URL.Path)
	}
	return answer, nil
}

// Used are the permissions that were needed.
func (r *Recording) Used() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]bool{}
	for p := range r.counts {
		out[p] = true
	}
	return out
}

// Count is how often one was.
func (r *Recording) Count(permission string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[permission]
}

// Refused are the requests that were: method and path.
func (r *Recording) Refused() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.refused)
}

// Granted returns every permission of o.
func Granted(o rbac.Options) map[string]bool {
	out := map[string]bool{}
	for _, role := range rbac.Roles(o) {
		for _, rule := range role.Rules {
			for _, verb := range rule.Verbs {
				for _, resource := range rule.Resources {
					out[verb+" "+rule.APIGroups[0]+"/"+resource] = true
				}
			}
		}
	}
	return out
}

// Unused are those of granted that used lacks, in order. A server that streams
// lists is asked for a watch only; older ones for both.
func Unused(granted, used map[string]bool) (out []string) {
	for _, p := range slices.Sorted(maps.Keys(granted)) {
		if resource, ok := strings.CutPrefix(p, "list "); ok && used["watch "+resource] {
			continue
		}
		if !used[p] {
			out = append(out, p)
		}
	}
	return out
}

// permission returns the RBAC verb and "group/resource[/subresource]" of a
// request, or "" for discovery.
func permission(req *http.Request) (verb, resource string) {
	parts := strings.Split(strings.Trim(req.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return "", ""
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	resource = group + "/" + parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	switch {
	case req.URL.Query().Get("watch") == "true":
		return "watch", resource
	case req.Method == http.MethodGet && len(parts) == 1:
		return "list", resource
	}
	return map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPatch: "patch", http.MethodPut: "update", http.MethodDelete: "delete",
	}[req.Method], resource
}

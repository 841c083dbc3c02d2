package snapshot

import (
	"slices"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// Snapshot is what was seen of one cluster, or of files. Whoever has one does not
// change it.
type Snapshot struct {
	// Source says what was read, for people: "https://10.0.0.1:6443", "rbac.yaml".
	Source string
	Taken  time.Time
	// Live is false for what was read from files: then what is missing may be
	// somewhere else, and what runs is not known.
	Live bool
	// Coverage says what was read, by resource.
	Coverage Coverage
	RBAC     access.Objects
	// Pods that run or are to run; of files also those that a workload would make.
	Pods []path.Pod
	// Secrets are the names of those that exist, in order.
	Secrets []path.Name
	// Served are the resources of the cluster, as "group/resource".
	Served map[string]bool
}

// Coverage says how far each resource was read, by its name, such as "secrets". A
// resource that is not there was not asked for.
type Coverage map[string]Gap

// Gap is what could not be read of a resource. The zero Gap is that all was.
type Gap struct {
	// Reason is why, for people; "" if nothing is missing.
	Reason string
	// Namespaces are those that are missing; nil with a Reason: all.
	Namespaces []string
}

// Whole reports whether everything was read of each of resources.
func (c Coverage) Whole(resources ...string) bool { return len(c.Missing(resources...)) == 0 }

// Missing returns, for people, what is missing of resources.
func (c Coverage) Missing(resources ...string) []string {
	var out []string
	for _, r := range resources {
		switch g, asked := c[r]; {
		case !asked:
			out = append(out, r+" were not read")
		case g.Reason == "":
		case g.Namespaces == nil:
			out = append(out, r+" could not be read: "+g.Reason)
		default:
			out = append(out, r+" of "+strings.Join(slices.Sorted(slices.Values(g.Namespaces)), ", ")+" could not be read: "+g.Reason)
		}
	}
	return out
}

// Finder returns who gets at the Secrets of s.
func (s *Snapshot) Finder() *path.Finder {
	return path.New(path.Config{Policy: access.New(s.RBAC), Pods: s.Pods, Serves: func(group, resource string) bool { return s.Served[group+"/"+resource] }})
}

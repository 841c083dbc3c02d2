package snapshot

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
)

// Snapshot is what was seen of one cluster, or of files. Whoever has one does not
// change it. Its slices are in the order of namespace and name.
type Snapshot struct {
	// Source says what was read, for people: "https://10.0.0.1:6443", "rbac.yaml".
	Source string    `json:"source"`
	Taken  time.Time `json:"taken"`
	// Live is false for what was read from files: then what is missing may be
	// somewhere else, and what runs is not known.
	Live bool `json:"live,omitempty"`
	// Key names the key of all fingerprints; "" if none were made. Fingerprints of
	// snapshots with other keys are not compared.
	Key string `json:"key,omitempty"`
	// Coverage says what was read, by resource.
	Coverage Coverage `json:"coverage"`
	// Wrong are the places of what could not be read, with the reason.
	Wrong []string       `json:"wrong,omitempty"`
	RBAC  access.Objects `json:"rbac"`
	// Served are the resources of the cluster, as "group/resource".
	Served map[string]bool `json:"served,omitempty"`

	Namespaces []Namespace `json:"namespaces,omitempty"`
	Secrets    []Secret    `json:"secrets,omitempty"`
	ConfigMaps []ConfigMap `json:"configMaps,omitempty"`
	Accounts   []Account   `json:"accounts,omitempty"`
	Workloads  []Workload  `json:"workloads,omitempty"`
	// Revisions are templates that are not in force any more and hold values which their
	// workloads do not: old ReplicaSets, ControllerRevisions, Jobs of a CronJob, and pods
	// that have ended. Of their templates there are the values alone.
	Revisions []Workload `json:"revisions,omitempty"`
	// Pods that run or are to run. Of files also those that a workload would make.
	Pods []Pod `json:"pods,omitempty"`
	// Uses of Secrets by what is no pod.
	Uses     []Use     `json:"uses,omitempty"`
	Sources  []Source  `json:"sources,omitempty"`
	Stores   []Store   `json:"stores,omitempty"`
	Projects []Project `json:"projects,omitempty"`
	// Objects are custom resources, and what else is listed, that hold values themselves.
	Objects    []Object    `json:"objects,omitempty"`
	Admissions []Admission `json:"admissions,omitempty"`
	Control    Control     `json:"control,omitzero"`

	Repos    []Repo    `json:"repos,omitempty"`
	Activity *Activity `json:"activity,omitempty"`
}

// Coverage says how far each resource was read, by its name, such as "secrets". A
// resource that is not there was not asked for. Beside resources of the API:
// "secrets/values" (fingerprints were made), "resources" (what is served),
// "encryption", "audit-policy", "metrics" (of the API server), "repos", "activity";
// and for several together "workloads" (deployments, statefulsets, daemonsets,
// replicasets, replicationcontrollers, jobs, cronjobs, rollouts), "uses" (what else
// may name Secrets), "sources", "stores" and "admissions": what fills those fields.
type Coverage map[string]Gap

// Gap is what could not be read of a resource. The zero Gap is that all was.
type Gap struct {
	// Reason is why, for people; "" if nothing is missing.
	Reason string `json:"reason,omitempty"`
	// Namespaces are those that are missing; nil with a Reason: all.
	Namespaces []string `json:"namespaces,omitempty"`
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

// Finder returns who gets at the Secrets of s, by themselves. Copies are package
// trace's: Paths with them.
func (s *Snapshot) Finder() *path.Finder { return path.New(s.Paths()) }

// Paths is s as package path sees it.
func (s *Snapshot) Paths() path.Config {
	pods := make([]path.Pod, len(s.Pods))
	for i := range s.Pods {
		pods[i] = s.Pods[i].path()
	}
	all, open := s.open()
	maps := slices.ContainsFunc(s.ConfigMaps, func(m ConfigMap) bool { return m.Namespace == "kube-system" && m.Name == "aws-auth" })
	return path.Config{
		Mapped: maps || s.Control.Managed == "eks", Maps: maps,
		Policy: access.New(s.RBAC), Pods: pods, Serves: func(group, resource string) bool { return s.Served[group+"/"+resource] },
		Exists: s.exists(), Offers: s.offers(), Namespaces: all, Open: open, Projects: s.projects(), Holding: s.holding(),
	}
}

// holding are the resources of the objects that hold values themselves, each once.
func (s *Snapshot) holding() [][2]string {
	var out [][2]string
	for i := range s.Objects {
		o := &s.Objects[i]
		if r := [2]string{o.Group, o.Resource}; o.Resource != "" && !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// podSecurity is the label by which Pod Security confines the pods of a namespace.
const podSecurity = "pod-security.kubernetes.io/enforce"

// open are the names of the namespaces, and of those into which Pod Security lets pods
// that are not confined: without the label, as the API server does unless it is told
// otherwise, or with the level privileged. A level that there is not confines most.
func (s *Snapshot) open() (all, open []string) {
	for i := range s.Namespaces {
		n := &s.Namespaces[i]
		all = append(all, n.Name)
		if level, confined := n.Labels[podSecurity]; !confined || level == "privileged" {
			open = append(open, n.Name)
		}
	}
	return all, open
}

// exists knows the Secrets of s, from when it is first asked.
func (s *Snapshot) exists() func(path.Name) bool {
	known := sync.OnceValue(func() map[path.Name]bool {
		out := make(map[path.Name]bool, len(s.Secrets))
		for i := range s.Secrets {
			out[path.Name{Namespace: s.Secrets[i].Namespace, Name: s.Secrets[i].Name}] = true
		}
		return out
	})
	return func(n path.Name) bool { return known()[n] }
}

func (p *Pod) path() path.Pod {
	out := path.Pod{Name: path.Name{Namespace: p.Namespace, Name: p.Name}, Account: p.Account, Node: p.Node, Privileged: p.Privileged, Lowered: p.Lowered != ""}
	out.Secrets, out.ConfigMaps = names(p.Template.Secrets), names(p.Template.ConfigMaps)
	return out
}

// names are the objects of uses, each once.
func names(uses []consumer.Use) []string {
	if len(uses) == 0 {
		return nil
	}
	out := make([]string, 0, len(uses))
	for i := range uses {
		if name := uses[i].Secret; !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// Names returns the names of the Secrets, in order.
func (s *Snapshot) Names() []path.Name {
	out := make([]path.Name, len(s.Secrets))
	for i := range s.Secrets {
		out[i] = path.Name{Namespace: s.Secrets[i].Namespace, Name: s.Secrets[i].Name}
	}
	return out
}

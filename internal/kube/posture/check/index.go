package check

import (
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Index finds things of a snapshot by name. It is made once.
type Index struct {
	Secrets  map[path.Name]*snapshot.Secret
	Accounts map[path.Name]*snapshot.Account
	// Pods and Workloads that use a Secret, and Uses by what else does.
	Pods      map[path.Name][]*snapshot.Pod
	Workloads map[path.Name][]*snapshot.Workload
	Uses      map[path.Name][]*snapshot.Use
	// Origins says where the content of objects comes from, and what makes them.
	Origins *origin.Index
}

// NewIndex makes an Index of s.
func NewIndex(s *snapshot.Snapshot) *Index {
	x := &Index{
		Secrets: make(map[path.Name]*snapshot.Secret, len(s.Secrets)), Accounts: make(map[path.Name]*snapshot.Account, len(s.Accounts)),
		Pods: map[path.Name][]*snapshot.Pod{}, Workloads: map[path.Name][]*snapshot.Workload{}, Uses: map[path.Name][]*snapshot.Use{}, Origins: origin.New(s),
	}
	for i := range s.Secrets {
		x.Secrets[path.Name{Namespace: s.Secrets[i].Namespace, Name: s.Secrets[i].Name}] = &s.Secrets[i]
	}
	for i := range s.Accounts {
		x.Accounts[path.Name{Namespace: s.Accounts[i].Namespace, Name: s.Accounts[i].Name}] = &s.Accounts[i]
	}
	for i := range s.Pods {
		p := &s.Pods[i]
		for _, name := range used(p.Namespace, &p.Template) {
			x.Pods[name] = append(x.Pods[name], p)
		}
	}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		for _, name := range used(w.Namespace, &w.Template) {
			x.Workloads[name] = append(x.Workloads[name], w)
		}
	}
	for i := range s.Uses {
		if name, ok := secretOf(s.Uses[i].To); ok {
			x.Uses[name] = append(x.Uses[name], &s.Uses[i])
		}
	}
	return x
}

func secretOf(r snapshot.Ref) (path.Name, bool) {
	return path.Name{Namespace: r.Namespace, Name: r.Name}, r.Kind == "Secret" && r.Group == ""
}

// used are the Secrets of a template, each once.
func used(namespace string, t *snapshot.Template) []path.Name {
	seen := map[path.Name]bool{}
	var out []path.Name
	for i := range t.Secrets {
		name := path.Name{Namespace: namespace, Name: t.Secrets[i].Secret}
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

package trace

import (
	"slices"
	"sync"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/origin"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// world is a snapshot with its indexes.
type world struct {
	Cluster
	pods      map[snapshot.Ref][]use // by the Secret or ConfigMap
	workloads map[snapshot.Ref][]use
	run       map[snapshot.Ref][]*snapshot.Pod // by workload
	uses      map[snapshot.Ref][]*snapshot.Use
	takers    map[snapshot.Ref][]*snapshot.Source
	spaces    map[string]*snapshot.Namespace
	account   map[path.Name]bool
	origins   *origin.Index

	once   sync.Once
	finder *path.Finder
}

// use is one way in which a pod or a workload uses a Secret or ConfigMap.
type use struct {
	pod *snapshot.Pod
	by  *snapshot.Workload
	use *consumer.Use
}

func newWorld(c Cluster) *world {
	w := &world{
		Cluster: c, pods: map[snapshot.Ref][]use{}, workloads: map[snapshot.Ref][]use{}, run: map[snapshot.Ref][]*snapshot.Pod{}, uses: map[snapshot.Ref][]*snapshot.Use{},
		takers: map[snapshot.Ref][]*snapshot.Source{}, spaces: map[string]*snapshot.Namespace{}, account: map[path.Name]bool{}, origins: origin.New(c.Snapshot),
	}
	for i := range w.Pods {
		p := &w.Pods[i]
		w.run[p.Workload] = append(w.run[p.Workload], p)
		templates(p.Namespace, &p.Template, func(to snapshot.Ref, u *consumer.Use) { w.pods[to] = append(w.pods[to], use{pod: p, use: u}) })
	}
	for i := range w.Workloads {
		o := &w.Workloads[i]
		templates(o.Namespace, &o.Template, func(to snapshot.Ref, u *consumer.Use) { w.workloads[to] = append(w.workloads[to], use{by: o, use: u}) })
	}
	for i := range w.Uses {
		w.uses[w.Uses[i].To] = append(w.uses[w.Uses[i].To], &w.Uses[i])
	}
	w.index()
	return w
}

func templates(namespace string, t *snapshot.Template, f func(snapshot.Ref, *consumer.Use)) {
	for i := range t.Secrets {
		f(snapshot.Ref{Kind: "Secret", Namespace: namespace, Name: t.Secrets[i].Secret}, &t.Secrets[i])
	}
	for i := range t.ConfigMaps {
		f(snapshot.Ref{Kind: "ConfigMap", Namespace: namespace, Name: t.ConfigMaps[i].Secret}, &t.ConfigMaps[i])
	}
}

func (w *world) index() {
	for i := range w.Sources {
		s := &w.Sources[i]
		for _, r := range s.Reads {
			w.takers[r] = append(w.takers[r], s)
		}
	}
	for i := range w.Stores {
		s := &w.Stores[i]
		for j := range s.Uses {
			u := &s.Uses[j]
			if known := w.uses[u.To]; !slices.ContainsFunc(known, func(k *snapshot.Use) bool { return k.From == u.From }) {
				w.uses[u.To] = append(known, u)
			}
		}
	}
	w.names()
}

// names notes what is there by name.
func (w *world) names() {
	for i := range w.Namespaces {
		w.spaces[w.Namespaces[i].Name] = &w.Namespaces[i]
	}
	for i := range w.Accounts {
		w.account[path.Name{Namespace: w.Accounts[i].Namespace, Name: w.Accounts[i].Name}] = true
	}
}

func (w *world) mount(s *snapshot.Source) string {
	if st := w.origins.Store(s); st != nil {
		return st.Mount
	}
	return ""
}

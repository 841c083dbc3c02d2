package read

import (
	"cmp"
	"context"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// past is a template that a workload may have had before, until it is known what the
// workload has now.
type past struct {
	snapshot.Workload
	of snapshot.Ref // whose it is, or itself
}

// before notes what a workload holds that another one made, or an earlier state of that
// one. Of its template only the values are of interest: nothing runs by it. A list that
// begins anew notes it again.
func (j *join) before(w snapshot.Workload, of snapshot.Ref) {
	if len(w.Template.Values) == 0 {
		return
	}
	w.Template, w.TemplateAnnotations, w.Replicas = snapshot.Template{Values: w.Template.Values}, nil, 0
	j.past[refOf(&w)] = past{w, of}
}

// revisions keeps of what was noted that which holds values its workload does not.
func (j *join) revisions(s *snapshot.Snapshot) {
	now := make(map[snapshot.Ref][]snapshot.Value, len(s.Workloads))
	for i := range s.Workloads {
		now[refOf(&s.Workloads[i])] = s.Workloads[i].Template.Values
	}
	s.Revisions = nil
	for _, p := range j.past {
		for range maxOwners {
			above, ok := j.owners[p.of]
			if !ok {
				break
			}
			p.of = above
		}
		if !snapshot.Holds(now[p.of], p.Template.Values) {
			s.Revisions = append(s.Revisions, p.Workload)
		}
	}

	slices.SortStableFunc(s.Revisions, func(a, b snapshot.Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
}

// over notes what a pod holds that has run to its end.
func (j *join) over(p *snapshot.Pod) {
	j.before(snapshot.Workload{Meta: p.Meta, Kind: "Pod", Template: snapshot.Template{Values: p.Values}}, p.Workload)
}

// stored are the templates of StatefulSets and DaemonSets as they were.
func (l *live) stored() func(context.Context) error {
	return builtin(l, l.client.AppsV1().RESTClient(), kind[appsv1.ControllerRevision, snapshot.Workload]{
		resource: "controllerrevisions", record: all(l.maker.Revision),
		keep: func(_ *snapshot.Snapshot, all []snapshot.Workload) {
			for i := range all {
				l.join.before(all[i], controller(&all[i].Meta, refOf(&all[i])))
			}
		},
	})
}

// controller is the one of m; own if it has none.
func controller(m *snapshot.Meta, own snapshot.Ref) snapshot.Ref {
	for i := range m.Owners {
		if m.Owners[i].Controller {
			return m.Owners[i].Ref
		}
	}
	return own
}

// pods reads those that run, and of those that have ended what they hold.
func (l *live) pods() func(context.Context) error {
	return builtin(l, l.client.CoreV1().RESTClient(), kind[corev1.Pod, snapshot.Pod]{
		resource: "pods", keep: func(s *snapshot.Snapshot, all []snapshot.Pod) { s.Pods = all },
		record: some(func(p *corev1.Pod) (snapshot.Pod, bool) {
			out := l.maker.Pod(p)
			if ended(p) {
				l.keep(func(*snapshot.Snapshot) { l.join.over(&out) })
				return snapshot.Pod{}, false
			}
			l.server(p)
			return out, true
		}),
	})
}

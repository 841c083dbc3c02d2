package read

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
	"github.com/strongkeep/strongkeep/internal/kube/posture/record/custom"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// join is what several objects say together, until all are read.
type join struct {
	// owners are the controllers of objects that are not in the snapshot themselves, such
	// as a ReplicaSet's Deployment.
	owners map[snapshot.Ref]snapshot.Ref
	// past are templates that are not in force any more, by what has them.
	past map[snapshot.Ref]past
	// enforced are the ValidatingAdmissionPolicies that a binding puts in force, and
	// whether one does everywhere.
	enforced map[string]bool
	// grants are the ReferenceGrants; granted says that all of them were read.
	grants  []*unstructured.Unstructured
	granted bool
}

func newJoin() join {
	return join{owners: map[snapshot.Ref]snapshot.Ref{}, past: map[snapshot.Ref]past{}, enforced: map[string]bool{}}
}

// made notes a workload that another one made.
func (j *join) made(w *snapshot.Workload, by snapshot.Ref) {
	j.owners[refOf(w)] = by
	j.before(*w, by)
}

// add adds what an object says to s.
func (j *join) add(s *snapshot.Snapshot, f *custom.Found) {
	s.Uses, s.Sources, s.Stores = append(s.Uses, f.Uses...), append(s.Sources, f.Sources...), append(s.Stores, f.Stores...)
	s.Projects, s.Objects = append(s.Projects, f.Projects...), append(s.Objects, f.Objects...)
	s.Admissions, s.Control.Migrations = append(s.Admissions, f.Admissions...), append(s.Control.Migrations, f.Migrations...)
	if f.Enforces != "" {
		j.enforced[f.Enforces] = j.enforced[f.Enforces] || f.Everywhere
	}
}

// finish puts everything in order, and says of pods whose they are.
func (j *join) finish(s *snapshot.Snapshot) {
	j.workloads(s)
	j.revisions(s)
	for i := range s.Accounts {
		s.Uses = append(s.Uses, record.AccountUses(&s.Accounts[i])...)
	}
	for i := range s.Secrets {
		s.Uses = append(s.Uses, custom.Read(&s.Secrets[i].Meta)...)
		s.Sources = append(s.Sources, custom.Copies("Secret", &s.Secrets[i].Meta)...)
	}
	for i := range s.ConfigMaps {
		s.Sources = append(s.Sources, custom.Copies("ConfigMap", &s.ConfigMaps[i].Meta)...)
	}
	for i := range s.Admissions {
		if a := &s.Admissions[i]; a.Kind == "ValidatingAdmissionPolicy" {
			everywhere, enforced := j.enforced[a.Name]
			a.Enforced, a.Hands = enforced, a.Hands && everywhere
		}
	}
	if j.granted {
		s.Uses = custom.Grants(s.Uses, j.grants)
	}
	sorted(s)
	releases(s)
}

// releases notes the namespaces with releases of Helm that were not looked into whole.
func releases(s *snapshot.Snapshot) {
	note := func(resource string, r *snapshot.Release, namespace string) {
		gap := s.Coverage[resource]
		if r == nil || !r.Unread || gap.Reason != "" && gap.Namespaces == nil {
			return
		}
		const reason = "a release of Helm is too large to be looked into"
		switch {
		case gap.Reason == "":
			gap.Reason = reason
		case !strings.Contains(gap.Reason, reason):
			gap.Reason += "; " + reason
		}
		if !slices.Contains(gap.Namespaces, namespace) {
			gap.Namespaces = append(slices.Clone(gap.Namespaces), namespace)
		}
		s.Coverage[resource] = gap
	}
	for i := range s.Secrets {
		note("secrets/values", s.Secrets[i].Release, s.Secrets[i].Namespace)
	}
	for i := range s.ConfigMaps {
		note("configmaps", s.ConfigMaps[i].Release, s.ConfigMaps[i].Namespace)
	}
}

// workloads says of pods whose they are. What a pod uses as its workload's template says
// is held once for all of them: nobody changes a snapshot.
func (j *join) workloads(s *snapshot.Snapshot) {
	known, templates := make(map[snapshot.Ref]bool, len(s.Workloads)), make(map[snapshot.Ref]*snapshot.Template, len(s.Workloads))
	for i := range s.Workloads {
		ref := refOf(&s.Workloads[i])
		known[ref], templates[ref] = true, &s.Workloads[i].Template
	}
	for i := range s.Pods {
		p := &s.Pods[i]
		highest(p, j.owners, known)
		if t := templates[p.Workload]; t != nil {
			p.Template.Secrets, p.Template.ConfigMaps = shared(p.Template.Secrets, t.Secrets), shared(p.Template.ConfigMaps, t.ConfigMaps)
		}
	}
}

// shared returns others if they are the same as uses.
func shared(uses, others []consumer.Use) []consumer.Use {
	if len(uses) > 0 && reflect.DeepEqual(uses, others) {
		return others
	}
	return uses
}

// sorted sorts all that has an order.
func sorted(s *snapshot.Snapshot) {
	order(s.Namespaces, func(o *snapshot.Namespace) *snapshot.Meta { return &o.Meta })
	order(s.Secrets, func(o *snapshot.Secret) *snapshot.Meta { return &o.Meta })
	order(s.ConfigMaps, func(o *snapshot.ConfigMap) *snapshot.Meta { return &o.Meta })
	order(s.Accounts, func(o *snapshot.Account) *snapshot.Meta { return &o.Meta })
	order(s.Workloads, func(o *snapshot.Workload) *snapshot.Meta { return &o.Meta })
	order(s.Pods, func(o *snapshot.Pod) *snapshot.Meta { return &o.Meta })
	order(s.Sources, func(o *snapshot.Source) *snapshot.Meta { return &o.Meta })
	order(s.Stores, func(o *snapshot.Store) *snapshot.Meta { return &o.Meta })
	order(s.Objects, func(o *snapshot.Object) *snapshot.Meta { return &o.Meta })
	order(s.Projects, func(o *snapshot.Project) *snapshot.Meta { return &o.Meta })
	order(s.Admissions, func(o *snapshot.Admission) *snapshot.Meta { return &o.Meta })
	slices.SortStableFunc(s.Uses, func(a, b snapshot.Use) int {
		return cmp.Or(cmp.Compare(a.From.Namespace, b.From.Namespace), cmp.Compare(a.From.Name, b.From.Name), cmp.Compare(a.From.Kind, b.From.Kind), cmp.Compare(a.Field, b.Field))
	})
}

// order sorts by namespace and name. Most lists come in that order: to look whether one
// does costs nothing, and to sort copies every object.
func order[T any](list []T, meta func(*T) *snapshot.Meta) {
	if ordered(list, meta) {
		return
	}
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := meta(&a), meta(&b)
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
}

func ordered[T any](list []T, meta func(*T) *snapshot.Meta) bool {
	for i := 1; i < len(list); i++ {
		x, y := meta(&list[i-1]), meta(&list[i])
		if x.Namespace > y.Namespace || x.Namespace == y.Namespace && x.Name > y.Name {
			return false
		}
	}
	return true
}

func refOf(w *snapshot.Workload) snapshot.Ref {
	return snapshot.Ref{Group: w.Group, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
}

// maxOwners bounds a chain of owners, which might be a circle.
const maxOwners = 8

// highest puts the highest owner that is known in the place of a pod's controller.
func highest(p *snapshot.Pod, owners map[snapshot.Ref]snapshot.Ref, known map[snapshot.Ref]bool) {
	for range maxOwners {
		above, ok := owners[p.Workload]
		if !ok {
			break
		}
		p.Workload = above
	}
	// Without ReplicaSets, their names tell: a Deployment's, and the hash of its template.
	hash := p.Labels["pod-template-hash"]
	if name, ok := strings.CutSuffix(p.Workload.Name, "-"+hash); ok && hash != "" && p.Workload.Kind == "ReplicaSet" {
		if d := (snapshot.Ref{Group: "apps", Kind: "Deployment", Namespace: p.Namespace, Name: name}); known[d] {
			p.Workload = d
		}
	}
}

// owned returns the controller of m, if it is one of kind.
func owned(m *snapshot.Meta, kind string) (snapshot.Ref, bool) {
	for i := range m.Owners {
		if o := &m.Owners[i]; o.Controller && o.Kind == kind {
			return o.Ref, true
		}
	}
	return snapshot.Ref{}, false
}

// passing are the kinds that other workloads make for each of their turns, by who
// makes them: they say nothing that their makers do not, but for what these said before.
var passing = map[string]string{"ReplicaSet": "Deployment", "Job": "CronJob"}

// maker returns who makes a workload that is passing.
func maker(w *snapshot.Workload) (snapshot.Ref, bool) {
	if by, ok := passing[w.Kind]; ok {
		return owned(&w.Meta, by)
	}
	return snapshot.Ref{}, false
}

// workloadKinds are the resources that make pods.
var workloadKinds = []string{"deployments", "statefulsets", "daemonsets", "replicasets", "replicationcontrollers", "jobs", "cronjobs"}

// sum notes what is missing of several resources together.
func sum(c snapshot.Coverage, name string, of ...string) {
	var out snapshot.Gap
	for _, r := range of {
		g := c[r]
		switch {
		case g.Reason == "":
		case out.Reason == "":
			out = snapshot.Gap{Reason: r + ": " + g.Reason, Namespaces: slices.Clone(g.Namespaces)}
		case g.Namespaces == nil || out.Namespaces == nil:
			out = snapshot.Gap{Reason: out.Reason + "; " + r + ": " + g.Reason}
		default:
			out.Namespaces = append(out.Namespaces, g.Namespaces...)
		}
	}
	slices.Sort(out.Namespaces)
	out.Namespaces = slices.Compact(out.Namespaces)
	c[name] = out
}

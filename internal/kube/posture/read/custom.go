package read

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/strongkeep/strongkeep/internal/kube/posture/record/custom"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// customs are the steps for the kinds of the table that the cluster serves, and for
// few besides. Others are not asked for: who looks at everything needs all rights.
func (l *live) customs() steps {
	var out steps
	lines := slices.Concat(l.constraints(), custom.Kinds, l.provisioned)
	lines = append(lines, custom.Kind{Group: "storagemigration.k8s.io", Resource: "storageversionmigrations", Global: true})
	for _, line := range lines {
		if l.serves(line.Group, line.Resource) {
			out = append(out, l.found(line))
		}
	}
	if l.serves("argoproj.io", "rollouts") {
		out = append(out, l.rollouts())
	}
	if l.serves(grantKind.Group, "referencegrants") {
		out = append(out, l.grants())
	}
	return out
}

// deputies are the steps for what says for whom operators act, if the cluster has it:
// stores, who reads and writes them, and AppProjects.
func (l *live) deputies() steps {
	var out steps
	for _, line := range custom.Kinds {
		if (line.Group == "external-secrets.io" || line.Resource == "appprojects") && l.serves(line.Group, line.Resource) {
			out = append(out, l.found(line))
		}
	}
	return out
}

// named is how Coverage calls a resource: by its name, and that of its group if it is
// not Kubernetes' own.
func named(group, resource string) string {
	if group == "" || group == "networking.k8s.io" || group == "storage.k8s.io" || group == "admissionregistration.k8s.io" || group == "storagemigration.k8s.io" {
		return resource
	}
	return resource + "." + group
}

// serves reports whether the cluster has a resource. What it has not is read whole,
// unless its group does not answer.
func (l *live) serves(group, resource string) bool {
	if _, ok := l.versions[group+"/"+resource]; ok {
		return true
	}
	var g snapshot.Gap
	if l.silent[group] {
		g.Reason = "the API group does not answer"
	}
	l.gap(named(group, resource), g)
	return false
}

// constraints are lines for the kinds that Gatekeeper has in this cluster.
func (l *live) constraints() []custom.Kind {
	var out []custom.Kind
	for name := range l.versions {
		if resource, ok := strings.CutPrefix(name, custom.Constraints+"/"); ok {
			out = append(out, custom.Kind{Group: custom.Constraints, Resource: resource, Global: true})
		}
	}
	slices.SortFunc(out, func(a, b custom.Kind) int { return strings.Compare(a.Resource, b.Resource) })
	return out
}

// listCustom lists objects by the dynamic client.
func (l *live) listCustom(group, resource string) func(context.Context, string, metav1.ListOptions) ([]unstructured.Unstructured, string, error) {
	gvr := schema.GroupVersionResource{Group: group, Version: l.versions[group+"/"+resource], Resource: resource}
	return func(ctx context.Context, ns string, o metav1.ListOptions) ([]unstructured.Unstructured, string, error) {
		list, err := l.custom.Resource(gvr).Namespace(ns).List(ctx, o)
		return items(list, err, func() ([]unstructured.Unstructured, string) { return list.Items, list.GetContinue() })
	}
}

// found is the step for a line of the table.
func (l *live) found(line custom.Kind) func(context.Context) error {
	return step(l, kind[unstructured.Unstructured, custom.Found]{
		resource: named(line.Group, line.Resource), global: line.Global, extra: true, list: l.listCustom(line.Group, line.Resource), record: all(func(o *unstructured.Unstructured) custom.Found { return custom.Of(o, &l.maker) }),
		keep: func(s *snapshot.Snapshot, all []custom.Found) {
			for i := range all {
				l.join.add(s, &all[i])
			}
		},
	})
}

func (l *live) rollouts() func(context.Context) error {
	k := makers(l, named("argoproj.io", "rollouts"), func(o *unstructured.Unstructured) metav1.Object { return o })
	k.list = l.listCustom("argoproj.io", "rollouts")
	return step(l, k)
}

func (l *live) grants() func(context.Context) error {
	resource := named(grantKind.Group, "referencegrants")
	return step(l, kind[unstructured.Unstructured, *unstructured.Unstructured]{
		resource: resource, extra: true, list: l.listCustom(grantKind.Group, "referencegrants"),
		record: all(func(o *unstructured.Unstructured) *unstructured.Unstructured {
			o.SetManagedFields(nil)
			return &unstructured.Unstructured{Object: o.Object}
		}),
		keep: func(s *snapshot.Snapshot, all []*unstructured.Unstructured) {
			l.join.grants, l.join.granted = all, s.Coverage[resource].Reason == ""
		},
	})
}

// sums notes how far what fills a field of the snapshot was read.
func (l *live) sums() {
	names := map[string][]string{}
	for i := range custom.Kinds {
		line := &custom.Kinds[i]
		of := names[line.Fills()]
		names[line.Fills()] = append(of, named(line.Group, line.Resource))
	}
	for _, c := range l.constraints() {
		names["admissions"] = append(names["admissions"], named(c.Group, c.Resource))
	}
	for _, c := range l.provisioned {
		names["sources"] = append(names["sources"], named(c.Group, c.Resource))
	}
	names["workloads"] = append(slices.Clone(workloadKinds), named("argoproj.io", "rollouts"))
	names["uses"] = append(names["uses"], names["sources"]...)
	names["uses"] = append(names["uses"], "serviceaccounts")
	for name, of := range names {
		sum(l.out.Coverage, name, of...)
	}
}

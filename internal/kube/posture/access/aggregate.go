package access

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// filled returns the rules of each of o's ClusterRoles. Those of an aggregated
// one are, if it is asked for, its own (a dump of a cluster has them filled in, and
// maybe not the roles that they are of) and the rules of all ClusterRoles that one of
// its selectors matches, and theirs if they are aggregated themselves. A circle is
// walked once. A selector that is not one matches nothing.
func filled(o Objects) [][]rbacv1.PolicyRule {
	out := make([][]rbacv1.PolicyRule, len(o.ClusterRoles))
	a := aggregation{roles: o.ClusterRoles, parts: map[int][]int{}}
	for i := range o.ClusterRoles {
		r := &o.ClusterRoles[i]
		if !o.Aggregate || r.AggregationRule == nil {
			out[i] = r.Rules
			continue
		}
		seen := make([]bool, len(o.ClusterRoles))
		a.gather(i, seen, &out[i])
		out[i] = distinct(out[i])
	}
	return out
}

type aggregation struct {
	roles []rbacv1.ClusterRole
	parts map[int][]int // what an aggregated role is made of, once worked out
}

// distinct are rules, each once.
func distinct(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, r := range rules {
		if !slices.ContainsFunc(out, func(o rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(o, r) }) {
			out = append(out, r)
		}
	}
	return out
}

// gather appends the rules that role i stands for, without what was seen.
func (a *aggregation) gather(i int, seen []bool, out *[]rbacv1.PolicyRule) {
	work := []int{i}
	seen[i] = true
	for len(work) > 0 {
		i, work = work[0], work[1:]
		*out = append(*out, a.roles[i].Rules...)
		if a.roles[i].AggregationRule == nil {
			continue
		}
		for _, j := range a.partsOf(i) {
			if !seen[j] {
				seen[j] = true
				work = append(work, j)
			}
		}
	}
}

// partsOf returns the roles that the selectors of role i match, by name.
func (a *aggregation) partsOf(i int) []int {
	if parts, ok := a.parts[i]; ok {
		return parts
	}
	var selectors []labels.Selector
	for j := range a.roles[i].AggregationRule.ClusterRoleSelectors {
		if s, err := metav1.LabelSelectorAsSelector(&a.roles[i].AggregationRule.ClusterRoleSelectors[j]); err == nil {
			selectors = append(selectors, s)
		}
	}
	parts := []int{}
	for j := range a.roles {
		set := labels.Set(a.roles[j].Labels)
		if j != i && slices.ContainsFunc(selectors, func(s labels.Selector) bool { return s.Matches(set) }) {
			parts = append(parts, j)
		}
	}
	slices.SortFunc(parts, func(x, y int) int {
		if a.roles[x].Name < a.roles[y].Name {
			return -1
		}
		return 1
	})
	a.parts[i] = parts
	return parts
}

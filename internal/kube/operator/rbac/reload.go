package rbac

import "slices"

// reloading returns what is needed in each namespace worked in to restart
// workloads whose Secrets and ConfigMaps change. The rights to read those are
// there already.
func reloading() []Rule {
	restart := []string{"get", "list", "watch", "patch"}
	return []Rule{
		rule("to see which ask to be restarted; to restart by one annotation of the pod template, by server-side apply", "apps", "deployments", restart...),
		rule("the same", "apps", "statefulsets", restart...),
		rule("the same", "apps", "daemonsets", restart...),
		rule("the same, where there are such", "argoproj.io", "rollouts", restart...),
		rule("to see that none runs on old content; to mark them where the template is not to be written, and to tell those that reload by themselves", "", "pods", "list", "patch"),
		rule("to replace pods within their disruption budgets where the template is not to be written", "", "pods/eviction", "create"),
		rule("to ask before a restart that takes old pods away before new ones come", "policy", "poddisruptionbudgets", "list"),
	}
}

// joined returns rules and more, where a rule of more for a resource that rules
// have one for adds to that the verbs that none has.
func joined(rules, more []Rule) []Rule {
	out := slices.Clone(rules)
	for _, r := range more {
		first, missing := -1, slices.Clone(r.Verbs)
		for i, o := range out {
			if len(o.ResourceNames) > 0 || !slices.Equal(o.APIGroups, r.APIGroups) || !slices.Equal(o.Resources, r.Resources) {
				continue
			}
			if first < 0 {
				first = i
			}
			missing = slices.DeleteFunc(missing, func(v string) bool { return slices.Contains(o.Verbs, v) })
		}
		if first < 0 {
			out = append(out, r)
			continue
		}
		out[first].Verbs = slices.Concat(out[first].Verbs, missing)
	}
	return out
}

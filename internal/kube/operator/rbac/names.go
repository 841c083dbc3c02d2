package rbac

import "slices"

// Names are the objects of one namespace that manifests name, each list sorted.
type Names struct {
	// Read are Secrets with credentials, templates, or what is pushed; Write those that
	// ExternalSecrets make.
	Read, Write []string
	// Accounts are ServiceAccounts whose tokens stores and generators ask for.
	Accounts []string
}

// narrowed returns rules with those for Secrets and ServiceAccounts limited to n. A rule
// without a name is left out: to RBAC no names mean all.
func narrowed(rules []Rule, n Names) []Rule {
	var out []Rule
	for _, r := range rules {
		switch {
		case !slices.Equal(r.APIGroups, []string{""}):
			out = append(out, r)
		case slices.Contains(r.Resources, "secrets"), slices.Contains(r.Resources, "serviceaccounts"), slices.Contains(r.Resources, "serviceaccounts/token"):
		default:
			out = append(out, r)
		}
	}
	seen := slices.Concat(n.Read, n.Write)
	slices.Sort(seen)
	for _, r := range []struct {
		rule  Rule
		names []string
	}{
		{rule("to read these Secrets, and to see that one was changed or deleted; each is listed and watched by its name, which is no right to list others", "", "secrets", "get", "list", "watch"), slices.Compact(seen)},
		{rule("to write these Secrets by server-side apply, which names what it creates; and to delete them for deletionPolicy Delete", "", "secrets", "create", "patch", "delete"), n.Write},
		{rule("to log in to a store as a ServiceAccount that a store names", "", "serviceaccounts/token", "create"), n.Accounts},
		{rule("to read which cloud identity that ServiceAccount stands for", "", "serviceaccounts", "get"), n.Accounts},
	} {
		if len(r.names) > 0 {
			r.rule.ResourceNames = r.names
			out = append(out, r.rule)
		}
	}
	return out
}

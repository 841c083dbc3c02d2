package sec14

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/least"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// verbs are those of Secrets that are asked about.
var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// unusedRights has a finding for each binding that grants rights on Secrets of
// which some were not used, and the number of bindings that grant any. What
// Kubernetes ships for its own components is left out.
func unusedRights(in *check.Input) (out []check.Finding, bindings int) {
	acts := secretActs(in)
	by := byUser(acts)
	for _, b := range access.New(in.RBAC).Bindings() {
		if b.Role == nil {
			continue
		}
		if b = foreign(b); len(b.Subjects) == 0 {
			continue
		}
		granted := grants(b.Role)
		if len(granted) == 0 {
			continue
		}
		bindings++
		if f, ok := weigh(in, b, granted, by.of(b)); ok {
			out = append(out, f)
		}
	}
	return out, bindings
}

// foreign is b without the subjects that have it as Kubernetes ships it.
func foreign(b *access.Binding) *access.Binding {
	out := *b
	out.Subjects = slices.DeleteFunc(slices.Clone(b.Subjects), func(who access.Subject) bool {
		own, secrets := b.Shipped(who)
		return own && secrets
	})
	return &out
}

// secretActs are the requests of Secrets that were allowed, and are not too long ago.
func secretActs(in *check.Input) []*snapshot.Act {
	var out []*snapshot.Act
	for i := range in.Activity.Acts {
		a := &in.Activity.Acts[i]
		if a.Resource == "secrets" && a.Group == "" && a.Subresource == "" && a.Count > 0 && in.Now.Sub(a.Last) <= in.Settings.Unused {
			out = append(out, a)
		}
	}
	return out
}

// requests are acts by who made them: by a user's name, and by each of the groups that
// it was in.
type requests map[access.Subject][]*snapshot.Act

// byUser sorts acts, of which there may be as many as Secrets, so that a binding is
// compared with those of its subjects only.
func byUser(acts []*snapshot.Act) requests {
	out := requests{}
	for _, a := range acts {
		user := access.User(a.User).Canonical()
		out[user] = append(out[user], a)
		groups := a.Groups
		if len(groups) == 0 {
			groups = user.Identity().Groups
		}
		for _, g := range groups {
			out[access.Group(g)] = append(out[access.Group(g)], a)
		}
	}
	return out
}

// of are the acts of the subjects of b. One by several of them is there as often.
func (r requests) of(b *access.Binding) []*snapshot.Act {
	if len(b.Subjects) == 1 {
		return r[b.Subjects[0]]
	}
	var out []*snapshot.Act
	for _, s := range b.Subjects {
		out = append(out, r[s]...)
	}
	return out
}

// grants are the verbs on Secrets, of some name or all, that a role has.
func grants(r *access.Role) []string {
	var out []string
	for _, verb := range verbs {
		request := access.Request{Verb: verb, Resource: "secrets"}
		if slices.ContainsFunc(r.Rules, func(rule rbacv1.PolicyRule) bool {
			rule.ResourceNames = nil
			return access.Matches(&rule, &request)
		}) {
			out = append(out, verb)
		}
	}
	return out
}

// weigh compares what a binding grants with what its subjects did.
func weigh(in *check.Input, b *access.Binding, granted []string, acts []*snapshot.Act) (check.Finding, bool) {
	used := map[string]bool{}
	active := map[access.Subject]bool{}
	for _, a := range acts {
		if s, ok := least.Who(b, a); ok && least.Covers(b, a) {
			used[a.Verb], active[s] = true, true
		}
	}
	unused := slices.DeleteFunc(slices.Clone(granted), func(v string) bool { return used[v] })
	f := check.Finding{Object: snapshot.Ref{Group: "rbac.authorization.k8s.io", Kind: b.Kind(), Namespace: b.Namespace, Name: b.Name}, Field: "roleRef"}
	for _, s := range b.Subjects {
		if !active[s] {
			f.Affected = append(f.Affected, s.String())
		}
	}
	f.Count = len(f.Affected)
	role := b.Role.Kind() + " " + name(b.Role)
	span := int(in.Activity.To.Sub(in.Activity.From) / day)
	switch {
	case len(used) == 0:
		f.Rule, f.Severity = "Unused", check.Medium
		f.Message = fmt.Sprintf("It grants %s of Secrets by %s, and none of its subjects used that in %d days", join(granted), role, span)
	case len(unused) > 0 || len(f.Affected) > 0:
		f.Rule, f.Severity = "PartlyUnused", check.Low
		f.Message = fmt.Sprintf("It grants %s of Secrets by %s. Not used in %d days: %s; %d of %d subjects used none", join(granted), role, span, none(join(unused)), f.Count, len(b.Subjects))
	default:
		return f, false
	}
	if in.Activity.To.Sub(in.Activity.From) < in.Settings.Unused {
		f.Severity = check.Info // the log is too short to say so
	}
	f.Fix = check.Fix{Command: check.Command("strongkeep least %s -from-audit=AUDIT.LOG -diff", name(b.Role))}
	f.Affected = f.Affected[:min(200, len(f.Affected))]
	return f, true
}

func none(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

// name is a role's as least takes it.
func name(r *access.Role) string {
	if r.Namespace == "" {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

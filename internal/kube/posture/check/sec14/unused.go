package sec14

import (
	"fmt"
	"slices"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/least"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// weighing is what bindings are weighed by.
type weighing struct {
	*check.Input
	// weak is why what the log does not show may have been done all the same.
	weak []string
	span int // days
	// there are the Secrets of each namespace, and of all for "", that are not younger
	// than the log.
	there map[string][]secret
}

// secret is one, full as NAMESPACE/NAME.
type secret struct{ namespace, full string }

func newWeighing(in *check.Input) *weighing {
	a := in.Activity
	w := &weighing{Input: in, weak: weak(in), span: int(a.To.Sub(a.From) / day), there: map[string][]secret{}}
	for i := range in.Secrets {
		s := &in.Secrets[i]
		if s.Created.After(a.To) {
			continue
		}
		one := secret{s.Namespace, s.Namespace + "/" + s.Name}
		w.there[s.Namespace] = append(w.there[s.Namespace], one)
		w.there[""] = append(w.there[""], one)
	}
	return w
}

// unusedRights has a finding for each binding that grants rights on Secrets of
// which some were not used, and the number of bindings that grant any. What
// Kubernetes ships for its own components is left out.
func (w *weighing) unusedRights() (out []check.Finding, bindings int) {
	by := byUser(secretActs(w.Input))
	for _, b := range access.New(w.RBAC).Bindings() {
		if b.Role == nil {
			continue
		}
		if b = foreign(b); len(b.Subjects) == 0 || len(grants(b.Role)) == 0 {
			continue
		}
		bindings++
		if f, ok := w.weigh(b, by.of(b)); ok {
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

// weigh compares what a binding grants with what its subjects did.
func (w *weighing) weigh(b *access.Binding, acts []*snapshot.Act) (check.Finding, bool) {
	granted := grants(b.Role)
	used := uses{}
	active := map[access.Subject]bool{}
	for _, a := range acts {
		who := least.Who(b, a)
		if len(who) == 0 || !least.Covers(b, a) {
			continue
		}
		used.add(a)
		for _, s := range who {
			active[s] = true
		}
	}
	f := check.Finding{Object: snapshot.Ref{Group: "rbac.authorization.k8s.io", Kind: b.Kind(), Namespace: b.Namespace, Name: b.Name}, Field: "roleRef"}
	for _, s := range b.Subjects {
		if !active[s] {
			f.Affected = append(f.Affected, s.String())
		}
	}
	f.Count = len(f.Affected)
	role := b.Role.Kind() + " " + name(b.Role)
	unused := w.unused(b, granted, used)
	switch {
	case len(used) == 0:
		f.Rule, f.Severity = "Unused", check.Medium
		f.Message = fmt.Sprintf("It grants %s of Secrets by %s, and none of its subjects used that in %d days", join(granted.verbs()), role, w.span)
	case len(unused) > 0 || len(f.Affected) > 0:
		f.Rule, f.Severity = "PartlyUnused", check.Low
		f.Message = fmt.Sprintf("It grants %s of Secrets by %s. Not used in %d days: %s; %d of %d subjects used none", join(granted.verbs()), role, w.span, none(join(unused)), f.Count, len(b.Subjects))
	default:
		return f, false
	}
	if len(w.weak) > 0 {
		f.Severity = check.Info // the log does not show enough to say so
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

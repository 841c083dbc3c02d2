package sec14

import (
	"fmt"
	"slices"

	"github.com/strongkeep/strongkeep/internal/kube/posture/access"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// verbs are those of Secrets that are asked about.
var verbs = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"}

// right is a verb on Secrets.
type right struct {
	verb string
	// all says that it is on all Secrets; else names has those that are named.
	all   bool
	names []string
}

type rights []right

func (r rights) verbs() []string {
	var out []string
	for i := range r {
		out = append(out, r[i].verb)
	}
	return out
}

// grants are the rights on Secrets, of some name or all, that a role has.
func grants(r *access.Role) rights {
	var out rights
	for _, verb := range verbs {
		request := access.Request{Verb: verb, Resource: "secrets"}
		one := right{verb: verb}
		for _, rule := range r.Rules {
			of := rule.ResourceNames
			rule.ResourceNames = nil
			if access.Matches(&rule, &request) {
				one.all = one.all || len(of) == 0
				one.names = append(one.names, of...)
			}
		}
		if one.all || len(one.names) > 0 {
			out = append(out, one)
		}
	}
	return out
}

// used is how a verb was used.
type used struct {
	// in are the namespaces in which it was used, all those in which it was of all Secrets;
	// "" is the whole cluster.
	in, all map[string]bool
	// full are the Secrets that were named, NAMESPACE/NAME; names the same without the
	// namespace.
	full, names map[string]bool
}

type uses map[string]*used // by verb

func (u uses) add(a *snapshot.Act) {
	one := u[a.Verb]
	if one == nil {
		one = &used{in: map[string]bool{}, all: map[string]bool{}, full: map[string]bool{}, names: map[string]bool{}}
		u[a.Verb] = one
	}
	one.in[a.Namespace] = true
	if a.Name == "" || a.Name == "*" { // of all, or of too many to tell apart
		one.all[a.Namespace] = true
		return
	}
	one.full[a.Namespace+"/"+a.Name], one.names[a.Name] = true, true
}

// all reports whether one of verbs was used of all Secrets of a namespace.
func (u uses) all(namespace string, verbs ...string) bool {
	return slices.ContainsFunc(verbs, func(v string) bool { return u[v] != nil && (u[v].all[namespace] || u[v].all[""]) })
}

// unused are the rights that b grants and nobody used, for people.
func (w *weighing) unused(b *access.Binding, granted rights, used uses) []string {
	var out []string
	for _, g := range granted {
		switch u := used[g.verb]; {
		case u == nil:
			out = append(out, g.verb)
		case g.all:
			if n, of := w.left(b, g.verb, used); n > 0 {
				out = append(out, fmt.Sprintf("%s of %d of %d Secrets", g.verb, n, of))
			}
		case len(u.all) == 0:
			for _, name := range g.names { // whichever namespace of b's: it may be gone
				if !u.names[name] {
					out = append(out, g.verb+" of "+name)
				}
			}
		}
	}
	return out
}

// left is how many of the Secrets that there are a right on all of them was not used for.
// Who lists those of a namespace reads each of them; who creates some there cannot be
// given their names before.
func (w *weighing) left(b *access.Binding, verb string, used uses) (n, of int) {
	there, creates := w.there[b.Namespace], used["create"]
	for _, s := range there {
		switch {
		case used[verb].full[s.full], used.all(s.namespace, verb), verb == "get" && used.all(s.namespace, "list", "watch"):
		case creates != nil && creates.in[s.namespace]:
		default:
			n++
		}
	}
	return n, len(there)
}

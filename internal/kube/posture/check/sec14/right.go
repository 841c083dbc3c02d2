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

// used is how a verb was used: of the Secrets that are named, or of all.
type used struct {
	all   bool
	names map[string]bool // NAMESPACE/NAME
}

type uses map[string]*used // by verb

func (u uses) add(a *snapshot.Act) {
	one := u[a.Verb]
	if one == nil {
		one = &used{names: map[string]bool{}}
		u[a.Verb] = one
	}
	if a.Name == "" || a.Name == "*" { // of all, or of too many to tell apart
		one.all = true
		return
	}
	one.names[a.Namespace+"/"+a.Name] = true
}

// all reports whether one of verbs was used of all Secrets.
func (u uses) all(verbs ...string) bool {
	return slices.ContainsFunc(verbs, func(v string) bool { return u[v] != nil && u[v].all })
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
		case !u.all:
			for _, name := range g.names {
				if !slices.ContainsFunc(w.named(b, name), func(full string) bool { return u.names[full] }) {
					out = append(out, g.verb+" of "+name)
				}
			}
		}
	}
	return out
}

// left is how many of the Secrets that there are a right on all of them was not used for.
// Who lists them all reads each; who creates some cannot be given their names before.
func (w *weighing) left(b *access.Binding, verb string, used uses) (n, of int) {
	if used.all(verb) || used["create"] != nil || verb == "get" && used.all("list", "watch") {
		return 0, 0
	}
	there := w.there[b.Namespace]
	for _, full := range there {
		if !used[verb].names[full] {
			n++
		}
	}
	return n, len(there)
}

// named are the Secrets of a name that b may grant.
func (w *weighing) named(b *access.Binding, name string) []string {
	if b.Namespace != "" {
		return []string{b.Namespace + "/" + name}
	}
	var out []string
	for ns := range w.there {
		out = append(out, ns+"/"+name)
	}
	return out
}

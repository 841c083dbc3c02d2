package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// AnnotationBefore says on a store which class it had before it was moved.
const AnnotationBefore = "strongkeep.io/controller-before"

// Verdict is what is thought of one object.
type Verdict string

// The verdicts.
const (
	Fits    Verdict = "fits"    // it works here as it is
	Note    Verdict = "note"    // something to know
	Changes Verdict = "changes" // its Secret would get another content
	Refused Verdict = "refused" // it would not work here
)

// Plan is what a migration would come upon. It holds no value.
type Plan struct {
	Class string `json:"class"`
	// Originals are the operators of the original that run.
	Originals   []Original   `json:"originals,omitempty"`
	Definitions []Definition `json:"definitions,omitempty"`
	Objects     []Object     `json:"objects,omitempty"`
	Moves       []Move       `json:"moves,omitempty"`
	// Cautions are about the cluster as a whole.
	Cautions []string `json:"cautions,omitempty"`
	// Unknown is what could not be asked.
	Unknown []string `json:"unknown,omitempty"`
}

// Original is a Deployment of the original.
type Original struct {
	Name  string `json:"name"`
	Image string `json:"image,omitempty"`
	Class string `json:"class"` // that it answers for, beside none
}

// Definition is a CustomResourceDefinition of the original's groups.
type Definition struct {
	Name   string   `json:"name"`
	Served []string `json:"served"`
	Stored []string `json:"stored,omitempty"`
	Says   []string `json:"says,omitempty"`
}

// Object is one object, and what is thought of it.
type Object struct {
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace,omitempty"`
	Name      string   `json:"name"`
	Verdict   Verdict  `json:"verdict"`
	Says      []string `json:"says,omitempty"`
}

// worse keeps the worst verdict and adds what is to be said.
func (o *Object) worse(v Verdict, format string, values ...any) {
	order := []Verdict{Fits, Note, Changes, Refused}
	if slices.Index(order, v) > slices.Index(order, o.Verdict) {
		o.Verdict = v
	}
	o.Says = append(o.Says, fmt.Sprintf(format, values...))
}

// State says who answers for the stores of a move.
type State string

// The states.
const (
	Theirs State = "original"
	Moved  State = "moved"
	Mixed  State = "partly moved"
)

// Move is what is moved at once: the stores of namespaces that no shared
// ClusterSecretStore ties to others.
type Move struct {
	Namespaces      []string `json:"namespaces"`
	Stores          []string `json:"stores"`
	ExternalSecrets int      `json:"externalSecrets"`
	State           State    `json:"state"`
	// Blocked is why it is not to be moved as it is.
	Blocked []string `json:"blocked,omitempty"`
	// Pushes are PushSecrets that use these stores.
	Pushes []string `json:"pushes,omitempty"`

	stores []v1.Store
	users  []*v1.ExternalSecret
}

// use is that an ExternalSecret, or a namespace, reads stores.
type use struct {
	namespace string
	stores    []v1.StoreKey
}

// groups are the namespaces that must be moved together, each sorted, in the order
// of their first: those that share a ClusterSecretStore.
func groups(uses []use) [][]string {
	parent := map[string]string{}
	var root func(string) string
	root = func(n string) string {
		if parent[n] == "" || parent[n] == n {
			return n
		}
		parent[n] = root(parent[n])
		return parent[n]
	}
	join := func(a, b string) {
		if a, b = root(a), root(b); a != b {
			parent[max(a, b)] = min(a, b)
		}
	}
	first := map[v1.StoreKey]string{}
	for _, u := range uses {
		if parent[u.namespace] == "" {
			parent[u.namespace] = u.namespace
		}
		for _, s := range u.stores {
			if s.Kind != v1.KindClusterSecretStore {
				continue
			}
			if other, seen := first[s]; seen {
				join(other, u.namespace)
			} else {
				first[s] = u.namespace
			}
		}
	}
	sets := map[string][]string{}
	for n := range parent {
		sets[root(n)] = append(sets[root(n)], n)
	}
	out := slices.Collect(maps.Values(sets))
	for _, set := range out {
		slices.Sort(set)
	}
	slices.SortFunc(out, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// stateOf says who answers for stores, by their class.
func stateOf(stores []v1.Store, class string) State {
	ours := 0
	for _, s := range stores {
		switch s.StoreSpec().Controller {
		case class:
			ours++
		case between:
			return Mixed
		}
	}
	switch ours {
	case 0:
		return Theirs
	case len(stores):
		return Moved
	}
	return Mixed
}

// order sorts objects by what is to be seen first, then by place.
func order(list []Object) {
	rank := map[Verdict]int{Refused: 0, Changes: 1, Note: 2, Fits: 3}
	slices.SortStableFunc(list, func(a, b Object) int {
		return cmp.Or(cmp.Compare(rank[a.Verdict], rank[b.Verdict]), strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
}

package turn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/kms"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/stored"
)

// Holding are values of a resource under one key.
type Holding struct {
	Resource string `json:"resource"`
	Provider string `json:"provider"`
	KeyID    string `json:"key_id,omitempty"`
	Version  string `json:"version,omitempty"` // of this key; "" if it is none of its
	Values   int    `json:"values"`
}

// Evidence is what lies in etcd.
type Evidence struct {
	stored.Origin
	Read int `json:"read"` // values, of whatever resource
	// Holdings are those under this key, and of the named resources all.
	Holdings []Holding `json:"holdings"`
	// Left are values that are not as they should be and can be rewritten; of the named
	// resources, or under another version of this key.
	Left int `json:"left"`

	// firm is that from before etcd was read until behind it no API server could write
	// under another version: what was read stays true.
	firm     bool
	current  int
	strange  []Holding // under this key's providers, and nobody can read them
	unnamed  []Holding // under another version, and not of a named resource
	outside  []Holding // under another version, and not below the prefix
	versions map[string]int
}

// weigh counts what a report says, which has to be of all resources; elsewhere is what
// lies outside of the prefix.
func weigh(r *stored.Report, elsewhere map[stored.Under]int, versions []kms.Known, s *Standing, resources []string) *Evidence {
	e := &Evidence{Origin: r.Origin, versions: map[string]int{}}
	ids := map[string]string{}
	for _, v := range versions {
		ids[v.KeyID] = v.ID
	}
	for i := range r.Resources {
		named := slices.ContainsFunc(resources, func(name string) bool { return covers(name, r.Resources[i].Name) })
		e.Read += r.Resources[i].Values
		for _, g := range r.Resources[i].Under {
			h := Holding{Resource: r.Resources[i].Name, Provider: g.Provider, KeyID: g.KeyID, Values: g.Values}
			if g.KeyID != "" {
				h.Version = ids[g.KeyID]
			}
			e.add(h, named, s)
		}
	}
	for u, n := range elsewhere {
		e.Read += n
		if version, ours := ids[u.KeyID]; ours && u.KeyID != s.Target.KeyID {
			e.outside = append(e.outside, Holding{"keys outside", u.Provider(), u.KeyID, version, n})
			e.versions[version] += n
		}
	}
	return e
}

func (e *Evidence) add(h Holding, named bool, s *Standing) {
	_, name, _ := strings.Cut(h.Provider, "/")
	ours := h.Version != ""
	strange := !ours && slices.Contains(s.Providers, name) && (strings.HasPrefix(h.Provider, string(stored.KMSv2)) || strings.HasPrefix(h.Provider, string(stored.Broken)))
	if !ours && !strange && !named {
		return
	}
	e.Holdings = append(e.Holdings, h)
	e.versions[h.Version] += h.Values
	switch {
	case strange:
		e.strange = append(e.strange, h)
	case h.KeyID == s.Target.KeyID:
		e.current += h.Values
	default:
		e.Left += h.Values
		if !named {
			e.unnamed = append(e.unnamed, h)
		}
	}
}

// covers reports whether a resource that people named is one that etcd has, which does not
// say the group of Kubernetes' own.
func covers(named, found string) bool {
	return named == found || !strings.Contains(found, ".") && strings.HasPrefix(named, found+".")
}

// text names holdings, a few of them.
func text(all []Holding) string {
	const few = 5
	var parts []string
	for _, h := range all[:min(len(all), few)] {
		parts = append(parts, fmt.Sprintf("%d of %s under %s %s", h.Values, h.Resource, h.Provider, h.KeyID))
	}
	if more := len(all) - few; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more kinds", more))
	}
	return strings.Join(parts, ", ")
}

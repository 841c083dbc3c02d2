// Package versions says which version of a credential a secret value is of, by whose
// word: annotations are what whoever may write a Secret makes them.
//
// A word that is vouched for, by the key of this cluster's operators, counts
// everywhere. Any other counts in its own namespace only, for which whoever wrote it
// could speak anyway.
//
// Start reading at Values.Of.
package versions

import (
	"sync"

	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/facts"
)

// Memory remembers of which version a value was when it was first vouched for: a
// value that is then said to be of another says nothing, since it does not change
// with the credential. The zero Memory is empty; it is safe for concurrent use.
type Memory struct {
	mu  sync.Mutex
	all map[remembered]string // "" is a value that does not change
}

type remembered struct {
	location string
	value    facts.Sum
}

// most is when all is forgotten.
const most = 1 << 16

func (m *Memory) note(location string, value facts.Sum, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := remembered{location, value}
	if was, ok := m.all[k]; ok && was != version {
		version = ""
	}
	if m.all == nil || len(m.all) >= most {
		m.all = map[remembered]string{}
	}
	m.all[k] = version
}

func (m *Memory) of(location string, value facts.Sum) (version string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	version, known = m.all[remembered{location, value}]
	return version, known
}

// Place is a namespace of a cluster.
type Place struct{ Cluster, Namespace string }

// Values is what one search knows. It is not safe for concurrent use.
type Values struct {
	memory   *Memory
	location string
	claims   map[Place]map[facts.Sum]string // "" where two differ
}

// New returns Values for a search of location.
func New(m *Memory, location string) *Values {
	return &Values{memory: m, location: location, claims: map[Place]map[facts.Sum]string{}}
}

// Vouch notes of which version values are, for everybody.
func (v *Values) Vouch(values []facts.Sum, version string) {
	for _, value := range values {
		v.memory.note(v.location, value, version)
	}
}

// Claim notes of which version somebody says that values are, for a place. A cluster
// without a namespace is all of it.
func (v *Values) Claim(at Place, values []facts.Sum, version string) {
	if v.claims[at] == nil {
		v.claims[at] = map[facts.Sum]string{}
	}
	for _, value := range values {
		if was, ok := v.claims[at][value]; ok && was != version {
			v.claims[at][value] = ""
		} else {
			v.claims[at][value] = version
		}
	}
}

// Of returns the version of a Secret at a place that holds values, "" where nobody
// knows, or not all that is known says the same.
func (v *Values) Of(at Place, values []facts.Sum) string {
	found := ""
	for _, value := range values {
		version := v.one(at, value)
		if version == "" {
			continue
		}
		if found != "" && found != version {
			return ""
		}
		found = version
	}
	return found
}

func (v *Values) one(at Place, value facts.Sum) string {
	if version, known := v.memory.of(v.location, value); known {
		return version
	}
	if version := v.claims[at][value]; version != "" {
		return version
	}
	return v.claims[Place{Cluster: at.Cluster}][value]
}

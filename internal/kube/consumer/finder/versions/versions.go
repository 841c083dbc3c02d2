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
	"cmp"
	"strconv"
	"sync"

	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/facts"
)

// Word is what a Secret says of a value that it holds at a version.
type Word int

// What is said. Of two words on one version the greater counts.
const (
	Unsure    Word = iota // it holds the value at this version, and maybe did before
	Changed               // the value came with this version
	Unchanged             // the value was there before: it does not tell this version
)

// Memory remembers of which version a value is, by what was vouched for. The word of
// the newest version counts: a turn that goes back makes an old value that of a new
// version. A value that is of several versions says nothing. The zero Memory is empty;
// it is safe for concurrent use.
type Memory struct {
	mu  sync.Mutex
	all map[remembered]entry
}

type remembered struct {
	location string
	value    facts.Sum
}

// entry is what is known of a value: the newest version that it is said to be of.
type entry struct {
	version string
	word    Word
	several bool // it is of others too, as far as is known
}

// after returns e after a word on version.
func (e entry) after(version string, word Word) entry {
	order, comparable := compare(version, e.version)
	switch {
	case !comparable: // for good: nobody knows which is newer
		return entry{e.version, Unchanged, true}
	case order == 0 && word > e.word:
		return entry{version, word, word == Unchanged}
	case order > 0:
		return entry{version, word, word != Changed}
	case order < 0 && e.word == Unsure:
		e.several = true
	}
	return e
}

// compare orders versions, which backends count; others are alike or not comparable.
func compare(a, b string) (order int, comparable bool) {
	if a == b {
		return 0, true
	}
	x, errA := strconv.ParseUint(a, 10, 64)
	y, errB := strconv.ParseUint(b, 10, 64)
	return cmp.Compare(x, y), errA == nil && errB == nil
}

// most is when all is forgotten.
const most = 1 << 16

func (m *Memory) note(location string, value facts.Sum, version string, word Word) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := remembered{location, value}
	e, known := m.all[k]
	if known {
		e = e.after(version, word)
	} else {
		e = entry{version, word, word == Unchanged}
	}
	if m.all == nil || len(m.all) >= most {
		m.all = map[remembered]entry{}
	}
	m.all[k] = e
}

// of returns the version of a value, "" for one that tells none.
func (m *Memory) of(location string, value facts.Sum) (version string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, known := m.all[remembered{location, value}]
	if e.several {
		return "", known
	}
	return e.version, known
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

// Vouch notes what is said of values at a version, for everybody.
func (v *Values) Vouch(values []facts.Sum, version string, word Word) {
	for _, value := range values {
		v.memory.note(v.location, value, version, word)
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

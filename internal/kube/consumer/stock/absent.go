package stock

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Absent remembers kinds that an API server does not have, or that may not be read
// there: to ask anew costs it a discovery of all that it has, and a Rotation that
// names such a kind is looked at each second. The zero value remembers nothing.
type Absent struct {
	mu sync.Mutex
	at map[Kind]Absence
}

// Kind is a kind of one cluster.
type Kind struct {
	Cluster string // empty: our own
	Kind    schema.GroupKind
}

// Absence is why it is not to be had, and since when.
type Absence struct {
	since   time.Time
	Refused bool // it is there, and may not be read
}

// AbsentAge is how long that is believed.
const AbsentAge = time.Minute

// Note remembers that a kind is not to be had.
func (a *Absent) Note(k Kind, refused bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = map[Kind]Absence{}
	}
	for other, x := range a.at {
		if age := now.Sub(x.since); age < 0 || age >= AbsentAge {
			delete(a.at, other)
		}
	}
	a.at[k] = Absence{now, refused}
}

// Lately reports whether a kind was not to be had a little while ago.
func (a *Absent) Lately(k Kind, now time.Time) (x Absence, yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x, yes = a.at[k]
	age := now.Sub(x.since)
	return x, yes && age >= 0 && age < AbsentAge
}

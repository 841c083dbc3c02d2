package finder

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// absent remembers kinds that an API server does not have, or that may not be read
// there: to ask anew costs it a discovery of all that it has, and a Rotation that
// names such a kind is looked at each second.
type absent struct {
	mu sync.Mutex
	at map[absentKind]absence
}

type absentKind struct {
	cluster string
	kind    schema.GroupKind
}

type absence struct {
	since   time.Time
	refused bool // it is there, and may not be read
}

// absentAge is how long that is believed.
const absentAge = time.Minute

// note remembers that a kind is not to be had.
func (a *absent) note(k absentKind, refused bool, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at == nil {
		a.at = map[absentKind]absence{}
	}
	for other, x := range a.at {
		if age := now.Sub(x.since); age < 0 || age >= absentAge {
			delete(a.at, other)
		}
	}
	a.at[k] = absence{now, refused}
}

// lately reports whether a kind was not to be had a little while ago.
func (a *absent) lately(k absentKind, now time.Time) (x absence, yes bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x, yes = a.at[k]
	age := now.Sub(x.since)
	return x, yes && age >= 0 && age < absentAge
}

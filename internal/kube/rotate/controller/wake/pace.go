package wake

import (
	"maps"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Pace spaces out the looks that changes of a cluster wake. It is not safe for
// concurrent use.
type Pace struct {
	clock         clock.PassiveClock
	settle, floor time.Duration
	next          map[types.NamespacedName]time.Time // when it was woken for
}

// NewPace returns a Pace: who is woken is looked at after settle, and never twice
// within floor.
func NewPace(c clock.PassiveClock, settle, floor time.Duration) *Pace {
	return &Pace{c, settle, floor, map[types.NamespacedName]time.Time{}}
}

// Wait returns how long to wait with a look at name, which was woken now.
func (p *Pace) Wait(name types.NamespacedName) time.Duration {
	now := p.clock.Now()
	maps.DeleteFunc(p.next, func(_ types.NamespacedName, at time.Time) bool { return now.Sub(at) >= p.floor })
	at, woken := p.next[name]
	switch {
	case woken && at.Sub(now) > p.floor: // the clock was put back
		at = now.Add(p.settle)
	case woken && at.After(now): // that look is still to come
	case woken:
		at = at.Add(p.floor)
	default:
		at = now.Add(p.settle)
	}
	if least := now.Add(p.settle); at.Before(least) && !p.next[name].After(now) {
		at = least
	}
	p.next[name] = at
	return at.Sub(now)
}

package session

import (
	"maps"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// How long a store that throttles or is down is left alone. Short: it is there
// so that a thousand objects do not ask one after the other what one has heard.
const (
	downPause      = time.Second
	throttledPause = 5 * time.Second
	openPauseMax   = 30 * time.Second
)

// tellFor is how long a failure of one namespace counts when another's comes.
const tellFor = time.Minute

// breaker holds calls back while a store is down: those for a key that failed, those of
// the namespace whose call failed, and all once another namespace's has failed too, for
// another key. One namespace could else pause a store for all with a key that makes it
// answer with a failure. session.mu guards it.
type breaker struct {
	clock  clock.PassiveClock
	all    pause
	spaces map[string]pause // by namespace, since a call of anybody worked
	keys   map[string]pause // by what was wanted, likewise
}

// pause is what calls are answered with meanwhile.
type pause struct {
	err        error
	from, till time.Time
	key        string // that the call was for
}

func (p pause) over(now time.Time) bool { return p.err == nil || !now.Before(p.till) }

// held returns what a call for a namespace and a key is answered with; nil: it is to be made.
func (b *breaker) held(by, key string) error {
	now := b.clock.Now()
	for _, p := range []pause{b.all, b.spaces[by], b.keys[key]} {
		if !p.over(now) {
			return p.err
		}
	}
	return nil
}

// note notes how a call for a namespace and a key ended.
func (b *breaker) note(by, key string, err error) {
	wait, everybody := pauseOf(err)
	if wait == 0 {
		b.all, b.spaces, b.keys = pause{}, nil, nil
		return
	}
	now := b.clock.Now()
	old := func(_ string, p pause) bool { return now.Sub(p.from) > tellFor }
	maps.DeleteFunc(b.spaces, old)
	maps.DeleteFunc(b.keys, old)
	for other, had := range b.spaces {
		everybody = everybody || other != by && had.key != key
	}
	if b.spaces == nil {
		b.spaces, b.keys = map[string]pause{}, map[string]pause{}
	}
	p := pause{err, now, now.Add(wait), key}
	b.spaces[by], b.keys[key] = p, p
	if everybody {
		b.all = p
	}
}

// pauseOf returns how long who got err is to leave the store alone, and whether the
// store would answer everybody so, whatever they ask.
func pauseOf(err error) (wait time.Duration, everybody bool) {
	switch {
	case errs.Is(err, errs.Unavailable):
		return downPause, false
	case errs.Is(err, errs.Sealed), errs.Is(err, errs.Unauthenticated): // the latter: no login, for any key
		return downPause, true
	case errs.Is(err, errs.Exhausted):
		return throttledPause, true
	}
	return 0, false
}

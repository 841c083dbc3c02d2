package timing

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
)

// least is the shortest interval: a shorter one would keep a worker and a store busy
// with one object.
const least = time.Second

// Interval returns how often es is refreshed; 0 for not on a timer.
func Interval(es *v1.ExternalSecret) time.Duration {
	switch es.Spec.RefreshPolicy {
	case v1.RefreshCreatedOnce, v1.RefreshOnChange:
		return 0
	}
	if es.Spec.RefreshInterval == nil {
		return time.Hour
	}
	if es.Spec.RefreshInterval.Duration <= 0 {
		return 0
	}
	return max(es.Spec.RefreshInterval.Duration, least)
}

// Share is between 0 and 1, and another one for each object.
func Share(es *v1.ExternalSecret) float64 { return share(string(es.UID)) }

func share(of string) float64 {
	sum := sha256.Sum256([]byte(of))
	return float64(binary.BigEndian.Uint32(sum[:4])) / (1 << 32)
}

// Slot returns when the slot that now is in began. Each interval of the clock is a
// slot, in which an object is refreshed once, at its beginning. Where the slots
// begin depends on what is read first, and from where: objects that want the same
// are refreshed together, with one read for all, and others at other times. The
// interval is that of Interval and not 0.
func Slot(es *v1.ExternalSecret, interval time.Duration, now time.Time) time.Time {
	phase := time.Duration(share(firstRead(es)) * float64(interval))
	return now.Add(-phase).Truncate(interval).Add(phase)
}

// firstRead names what es reads first; es itself when it reads nothing.
func firstRead(es *v1.ExternalSecret) string {
	for _, w := range gather.Wants(&es.Spec) {
		return v1.KeyFor(w.Store, es.Namespace).String() + " " + w.Key
	}
	for _, s := range gather.Searches(&es.Spec) {
		return v1.KeyFor(s.Store, es.Namespace).String() + " " + s.Path + " " + s.Name
	}
	return string(es.UID)
}

// Spread returns the interval of what generators make for one object: up to a tenth
// is taken off, by the UID, so that objects made together are not refreshed together.
func Spread(es *v1.ExternalSecret, interval time.Duration) time.Duration {
	return interval - time.Duration(Share(es)*float64(interval)/10)
}

// skew is by how much the clock of who wrote a status may be ahead.
const skew = time.Minute

// Left returns the time to the next refresh of es by its interval, which is not 0; 0
// when it is due: when none of those that were made, at last, lies in this slot. What
// was refreshed in the future was so by a clock that was ahead, and says nothing.
func Left(es *v1.ExternalSecret, now time.Time, last ...time.Time) time.Duration {
	interval := Interval(es)
	slot := Slot(es, interval, now)
	for _, at := range last {
		if !at.Before(slot) && at.Sub(now) <= skew {
			return slot.Add(interval).Sub(now)
		}
	}
	return 0
}

// Sooner returns the lesser of two times, of which 0 is for never.
func Sooner(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Retry returns how long to wait after a number of failures in a row, at least one.
// What is permanent needs a person.
func Retry(failures int, permanent bool) time.Duration {
	const longest = 5 * time.Minute
	wait := time.Second
	if permanent {
		wait = 30 * time.Second // events bring it back when what is wrong is put right
	}
	return min(wait<<min(failures-1, 12), longest)
}

package copies

import (
	"maps"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder/facts"
)

// How many values that it did not ask for lately one namespace may have compared
// with what other namespaces hold.
const (
	burst  = 256
	refill = time.Minute // for one more
	lately = time.Hour
)

// Guard bounds guesses. It is safe for concurrent use; the zero Guard has seen none.
type Guard struct {
	mu  sync.Mutex
	all map[string]*asker
}

type asker struct {
	left  int // of burst
	since time.Time
	asked map[facts.Sum]time.Time
}

// Allow reports whether namespace may have values compared now, and counts those
// that it did not ask for lately.
func (g *Guard) Allow(namespace string, values Values, now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.all[namespace]
	if a == nil {
		a = &asker{left: burst, since: now, asked: map[facts.Sum]time.Time{}}
		if g.all == nil {
			g.all = map[string]*asker{}
		}
		g.all[namespace] = a
	}
	if passed := now.Sub(a.since) / refill; passed > 0 {
		a.left, a.since = min(burst, a.left+int(min(passed, burst))), a.since.Add(passed*refill)
	} else if passed < 0 { // the clock was put back
		a.since = now
	}
	maps.DeleteFunc(a.asked, func(_ facts.Sum, at time.Time) bool { return now.Sub(at) >= lately })
	fresh := 0
	for sum := range values {
		if _, ok := a.asked[sum]; !ok {
			fresh++
		}
	}
	if fresh > a.left {
		return false
	}
	a.left -= fresh
	for sum := range values {
		if _, ok := a.asked[sum]; !ok {
			a.asked[sum] = now
		}
	}
	return true
}

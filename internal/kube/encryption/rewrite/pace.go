package rewrite

import (
	"slices"
	"time"
)

// Pace says how hard the API servers are worked.
type Pace string

const (
	// Gentle has others wait about twice as long at most.
	Gentle Pace = "gentle"
	// Full makes as many requests at once as it may.
	Full Pace = "full"
)

// Of the gentle pace: objects in a second.
const (
	firstRate = 100.0
	leastRate = 10.0
)

const (
	// slack is how much longer the probe may take than when we did nothing: its median,
	// and its slowest tenth. The slowest hundredth of all answers, which is what others
	// are promised, is not known by the few probes of a second.
	slack = 1.8
	// Nothing is begun for a window, to learn what the probe takes without us, after so
	// many windows that were too slow at the least rate, and after so many in any case:
	// what others do changes.
	patience = 5
	renewal  = 60
)

// pace decides how many objects are begun in a second, by what a probe sees of the API
// server that is nobody's but its own. It grows until the probe gets slow, goes down
// then, and grows slowly.
type pace struct {
	rate    float64
	base    quantiles // of the probe when nothing of ours went on
	met     bool      // the limit was met once
	atLeast int       // windows in a row that were too slow at the least rate
	since   int       // windows since base was learnt
}

// quantiles are of the times that probes took.
type quantiles struct{ half, tenth time.Duration }

// window is what was seen in a while.
type window struct {
	length time.Duration
	probes []time.Duration
	begun  int // objects
	// refused counts answers that say that it is too much: 429, and what ended early.
	refused int
}

func (w *window) quantiles() quantiles {
	if len(w.probes) == 0 {
		return quantiles{w.length, w.length} // none was answered
	}
	slices.Sort(w.probes)
	return quantiles{w.probes[len(w.probes)/2], w.probes[len(w.probes)*9/10]}
}

// next takes a window into account. rest says that nothing is to be begun in the next
// one, which is for learn.
func (p *pace) next(w window) (rest bool) {
	now := w.quantiles()
	switch {
	case w.refused > 0:
		p.slower(0.5)
	case float64(now.half) > slack*float64(p.base.half) || float64(now.tenth) > slack*float64(p.base.tenth):
		p.slower(0.85)
	case float64(w.begun) < 0.7*p.rate*w.length.Seconds():
		p.atLeast = 0 // it is not the rate that holds us back
	case p.met:
		p.rate, p.atLeast = p.rate*1.05, 0
	default:
		p.rate *= 1.5
	}
	p.since++
	return p.atLeast >= patience || p.since >= renewal
}

func (p *pace) slower(by float64) {
	p.met = true
	if p.rate == leastRate {
		p.atLeast++
	}
	p.rate = max(leastRate, p.rate*by)
}

// learn takes a window in which nothing of ours went on.
func (p *pace) learn(w window) { p.base, p.atLeast, p.since = w.quantiles(), 0, 0 }

// Package histogram counts how long things take, in buckets of powers of two.
//
// Start reading at Histogram.
package histogram

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Histogram counts durations. Bucket i counts those below 16µs<<i that no
// smaller bucket counts; the last has no bound.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets [Buckets]uint64
}

// Buckets is how many buckets there are: from 16 µs to over 4 s.
const Buckets = 20

// Bound returns the upper bound of bucket i; the last bucket has none.
func Bound(i int) time.Duration { return 16 * time.Microsecond << i }

func bucket(d time.Duration) int {
	return min(bits.Len64(uint64(max(d, 0)/(16*time.Microsecond))), Buckets-1)
}

// Add counts d.
func (h *Histogram) Add(d time.Duration) {
	h.Count++
	h.Sum += d
	h.Buckets[bucket(d)]++
}

// Shared is a Histogram that many goroutines add to.
type Shared struct {
	count, sum atomic.Uint64
	buckets    [Buckets]atomic.Uint64
}

// Add counts d.
func (h *Shared) Add(d time.Duration) {
	h.count.Add(1)
	h.sum.Add(uint64(max(d, 0)))
	h.buckets[bucket(d)].Add(1)
}

// Snapshot returns what is counted by now.
func (h *Shared) Snapshot() (out Histogram) {
	out.Count, out.Sum = h.count.Load(), time.Duration(h.sum.Load())
	for i := range h.buckets {
		out.Buckets[i] = h.buckets[i].Load()
	}
	return out
}

package audit

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats are one device's counters since it was enabled.
type Stats struct {
	Path        string
	Type        string
	Target      string
	Required    bool
	Failing     bool      // the last group could not be written
	Queued      int       // bytes that wait to be written now
	QueuedLines int       // likewise lines
	Lines       uint64    // written
	Bytes       uint64    // written
	Groups      uint64    // written; each is one write and one sync
	Failures    uint64    // groups that could not be written
	Lost        uint64    // lines refused, because of a failure or a full queue
	Dropped     uint64    // lines a best-effort device never got
	LastError   string    // the last failure's; "" = there was none
	Write       Histogram // how long groups took to write and sync, failed ones too
	Wait        Histogram // how long requests waited
}

// Histogram counts durations. Bucket i counts those below 16µs<<i that no
// smaller bucket counts; the last has no bound.
type Histogram struct {
	Count   uint64
	Sum     time.Duration
	Buckets [HistogramBuckets]uint64
}

// HistogramBuckets is how many buckets there are: from 16 µs to over 4 s.
const HistogramBuckets = 20

// BucketBound returns the upper bound of bucket i; the last bucket has none.
func BucketBound(i int) time.Duration { return 16 * time.Microsecond << i }

func bucket(d time.Duration) int {
	return min(bits.Len64(uint64(max(d, 0)/(16*time.Microsecond))), HistogramBuckets-1)
}

func (h *Histogram) add(d time.Duration) {
	h.Count++
	h.Sum += d
	h.Buckets[bucket(d)]++
}

// histogram is a Histogram many goroutines add to.
type histogram struct {
	count, sum atomic.Uint64
	buckets    [HistogramBuckets]atomic.Uint64
}

func (h *histogram) add(d time.Duration) {
	h.count.Add(1)
	h.sum.Add(uint64(max(d, 0)))
	h.buckets[bucket(d)].Add(1)
}

func (h *histogram) snapshot() (out Histogram) {
	out.Count, out.Sum = h.count.Load(), time.Duration(h.sum.Load())
	for i := range h.buckets {
		out.Buckets[i] = h.buckets[i].Load()
	}
	return out
}

package histogram_test

import (
	"math"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/audit/histogram"
)

func TestBuckets(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-time.Second: 0, 0: 0, 16*time.Microsecond - 1: 0, 16 * time.Microsecond: 1, 32*time.Microsecond - 1: 1,
		histogram.Bound(18) - 1: 18, histogram.Bound(18): 19, math.MaxInt64: 19,
	} {
		var h histogram.Histogram
		var s histogram.Shared
		h.Add(d)
		s.Add(d)
		for what, got := range map[string]histogram.Histogram{"alone": h, "shared": s.Snapshot()} {
			if got.Count != 1 || got.Buckets[want] != 1 {
				t.Errorf("%s: %v is in %v, want bucket %d", what, d, got.Buckets, want)
			}
		}
	}
}

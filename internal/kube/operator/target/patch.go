package target

import (
	"strconv"
	"time"
)

// CacheLag bounds how long a cache may be behind a write of ours. What is older than
// our write for longer has gone back: to what a restored API server had.
const CacheLag = 30 * time.Second

// How soon a cache that is behind is looked at again.
const (
	lookSoon = 20 * time.Millisecond
	lookLate = time.Second
)

// Patch is a write of ours that a cache may not have seen. The zero one is none.
type Patch struct {
	Version string // resourceVersion of the object after it
	At      time.Time
}

// Wait returns how long to wait before another look at an object that the cache has at
// version; 0: it is to be worked on.
func (p Patch) Wait(version string, now time.Time) time.Duration {
	since := now.Sub(p.At)
	if !Older(version, p.Version) || since < 0 || since > CacheLag {
		return 0
	}
	return min(max(since, lookSoon), lookLate)
}

// Older compares resourceVersions, which are decimal numbers that grow
// (KEP-5504); what is not a number is not older than anything.
func Older(a, b string) bool {
	m, errA := strconv.ParseUint(a, 10, 64)
	n, errB := strconv.ParseUint(b, 10, 64)
	return errA == nil && errB == nil && m < n
}

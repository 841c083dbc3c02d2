package quota

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"time"
)

// limiter counts the requests of each client under one rule.
type limiter struct {
	Rule
	limit  int // requests in an interval
	seed   maphash.Seed
	shards [shards]shard
}

const (
	shards     = 16
	maxClients = 4096 // of one shard; those beyond share one window
)

type shard struct {
	mu       sync.Mutex
	windows  map[netip.Addr]*window
	overflow window
	swept    time.Time // when room was last made; not more than once a second
}

// window is what is left to one client until the interval ends.
type window struct {
	left    int
	resets  time.Time
	blocked time.Time // refused until then
}

func newLimiter(r Rule) *limiter {
	l := &limiter{Rule: r, limit: int(math.Ceil(r.Rate)), seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].windows = map[netip.Addr]*window{}
	}
	return l
}

// client is who counts as one: an address, of IPv6 the /64 that one host has.
func client(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

// take takes one request of what the client has left.
func (l *limiter) take(addr netip.Addr, now time.Time) Verdict {
	addr = client(addr)
	s := &l.shards[maphash.Comparable(l.seed, addr)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.windows[addr]
	if w == nil {
		w = s.room(addr, now)
	}
	if !now.Before(w.resets) || w.resets.Sub(now) > l.Interval { // over, or the clock went back
		w.left, w.resets = l.limit, now.Add(l.Interval)
	}
	v := Verdict{Rule: l.Name, Limit: l.limit, Reset: w.resets}
	switch {
	case now.Before(w.blocked) && w.blocked.Sub(now) <= l.Block:
		v.Refused, v.Retry = true, w.blocked.Sub(now)
	case w.left > 0:
		w.left--
	case l.Block > 0:
		w.blocked = now.Add(l.Block)
		v.Refused, v.Retry = true, l.Block
	default:
		v.Refused, v.Retry = true, w.resets.Sub(now)
	}
	v.Remaining = w.left
	return v
}

// room makes a window for a client that has none.
func (s *shard) room(addr netip.Addr, now time.Time) *window {
	if age := now.Sub(s.swept); len(s.windows) >= maxClients && (age >= time.Second || age < 0) {
		s.swept = now
		for a, w := range s.windows {
			if !now.Before(w.resets) && !now.Before(w.blocked) {
				delete(s.windows, a)
			}
		}
	}
	if len(s.windows) >= maxClients {
		return &s.overflow
	}
	w := new(window)
	s.windows[addr] = w
	return w
}

// Verdict is what a rate limit said to a request. The zero Verdict: none holds.
type Verdict struct {
	Refused   bool
	Rule      string // its name
	Limit     int    // requests in an interval; 0 = no limit holds
	Remaining int
	Reset     time.Time     // when Remaining is Limit again
	Retry     time.Duration // of a refused one: when to come again
	Headers   bool          // tell the client, though it was not refused
	Audit     bool          // write a refused one to the audit log
}

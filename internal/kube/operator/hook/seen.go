package hook

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// seen knows the signatures that were taken as long as they are good, so that one that
// was overheard does nothing a second time, and holds stores to their rate. Only who
// has a store's key makes it grow, and at that rate.
type seen struct {
	mu     sync.Mutex
	stores map[v1.StoreKey]*reports
}

type reports struct {
	limit *rate.Limiter
	taken map[string]time.Time
	swept time.Time
}

type verdict int

const (
	fresh verdict = iota
	again
	tooMany
)

func newSeen() *seen { return &seen{stores: map[v1.StoreKey]*reports{}} }

// admit takes a signature that is right.
func (s *seen) admit(store v1.StoreKey, signature string, now time.Time) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.stores[store]
	if r == nil {
		r = &reports{limit: rate.NewLimiter(storePerSecond, storeBurst), taken: map[string]time.Time{}, swept: now}
		s.stores[store] = r
	}
	if now.Sub(r.swept) > window {
		for signature, at := range r.taken {
			if now.Sub(at) > 2*window { // it may have been signed up to a window ahead
				delete(r.taken, signature)
			}
		}
		r.swept = now
	}
	if _, ok := r.taken[signature]; ok {
		return again
	}
	if !r.limit.AllowN(now, 1) {
		return tooMany
	}
	r.taken[signature] = now
	return fresh
}

// forget lets a signature be taken again: nothing came of it.
func (s *seen) forget(store v1.StoreKey, signature string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.stores[store]; r != nil {
		delete(r.taken, signature)
	}
}

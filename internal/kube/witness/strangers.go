package witness

import (
	"crypto/sha256"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Limits of those who are not known yet: of one address, and of all together.
const (
	strangerPerSecond = 5
	strangerBurst     = 20
	maxAddresses      = 1024
	reviewsAtOnce     = 8
)

// strangers bounds what is done for who is not known to be the operator: the API
// server is asked about a token of an address a few times in a second, and about a
// few tokens at once. The operator's token that was admitted last is not bounded
// so: others cannot keep the operator from asking, from whatever address.
type strangers struct {
	reviews chan struct{}

	mu       sync.Mutex
	operator [sha256.Size]byte // of the token admitted last; zero: none
	by       map[netip.Addr]*rate.Limiter
}

// enter says whether token is the operator's, as it was last. The caller calls
// release when it has been reviewed. Kind Exhausted: too many are unknown.
func (s *strangers) enter(token, from string) (known bool, release func(), err error) {
	id := sha256.Sum256([]byte(token))
	s.mu.Lock()
	known = id == s.operator
	allowed := known || s.limiter(from).Allow()
	s.mu.Unlock()
	if known {
		return true, func() {}, nil
	}
	if !allowed {
		return false, nil, errs.New(errs.Exhausted, "too many questions from this address by who is not known: ask again in a second")
	}
	select {
	case s.reviews <- struct{}{}:
		return false, func() { <-s.reviews }, nil
	default:
		return false, nil, errs.New(errs.Exhausted, "too many who are not known ask at once: ask again in a second")
	}
}

// limiter returns that of an address. Where there are too many addresses those
// that ask least are forgotten, which gives them no more than they have; mu is held.
func (s *strangers) limiter(from string) *rate.Limiter {
	var address netip.Addr // the zero one for what cannot be read
	if at, err := netip.ParseAddrPort(from); err == nil {
		address = at.Addr().Unmap()
	}
	if l := s.by[address]; l != nil {
		return l
	}
	if len(s.by) >= maxAddresses {
		for other, l := range s.by {
			if l.Tokens() >= strangerBurst {
				delete(s.by, other)
			}
		}
	}
	if len(s.by) >= maxAddresses { // all of them ask: they share one
		address = netip.Addr{}
		if l := s.by[address]; l != nil {
			return l
		}
	}
	if s.by == nil {
		s.by = map[netip.Addr]*rate.Limiter{}
	}
	l := rate.NewLimiter(strangerPerSecond, strangerBurst)
	s.by[address] = l
	return l
}

// admitted notes that token is the operator's.
func (s *strangers) admitted(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operator = sha256.Sum256([]byte(token))
}

// forget makes token one that is not known, if it is the operator's.
func (s *strangers) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.operator == sha256.Sum256([]byte(token)) {
		s.operator = [sha256.Size]byte{}
	}
}

package hook

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// limits hold each store's reports to their rate. Only who has a store's key makes an
// entry. A report that was overheard, and is sent again within the window, is within
// that rate too: all that it does is a read.
type limits struct {
	mu     sync.Mutex
	stores map[v1.StoreKey]*rate.Limiter
}

// allow reports whether a store may be reported of now.
func (l *limits) allow(store v1.StoreKey, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stores == nil {
		l.stores = map[v1.StoreKey]*rate.Limiter{}
	}
	if l.stores[store] == nil {
		l.stores[store] = rate.NewLimiter(storePerSecond, storeBurst)
	}
	return l.stores[store].AllowN(now, 1)
}

package subscribe

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Notifier runs a store's subscription. session.Pool is one.
type Notifier interface {
	Notify(ctx context.Context, store v1.Store, report func(provider.Change)) error
}

// Wish is what an ExternalSecret wants to hear the changes of: one secret, or with
// a topic that ends with "/" everything below that folder.
type Wish struct {
	Store v1.StoreKey
	Topic string
}

// Due is a report that an ExternalSecret must be refreshed.
type Due struct {
	Object types.NamespacedName
	Why    string
}

// Why a Due is, when it is by the store's word.
const (
	WhyChanged = "the store reports a change"
	WhyMissed  = "changes may have been missed"
)

// Config is what a Hub needs. All fields are required but State and Refused.
type Config struct {
	Notifier Notifier
	Clock    clock.WithTicker
	Log      *slog.Logger
	// State hears whether a store's changes arrive at once.
	State func(store v1.Store, connected bool)
	// Refused hears, once for each state of a store that names a queue, why nothing can
	// be heard from there.
	Refused func(store v1.Store, err error)
}

// Hub is safe for concurrent use. Its Run delivers; until then reports wait.
type Hub struct {
	cfg Config
	due chan Due

	mu      sync.Mutex
	ctx     context.Context // nil before Run and after it
	follows map[v1.StoreKey]*follow
	wishes  map[types.NamespacedName][]Wish
	wanted  map[Wish]objects
	pending map[types.NamespacedName]string // why; at most one entry per object
	wake    chan struct{}                   // one slot: pending is not empty
	loops   sync.WaitGroup
}

// follow is one subscription.
type follow struct {
	store     v1.Store
	cancel    context.CancelFunc
	connected bool
}

// New returns a Hub that follows nothing.
func New(cfg Config) *Hub {
	if cfg.State == nil {
		cfg.State = func(v1.Store, bool) {}
	}
	if cfg.Refused == nil {
		cfg.Refused = func(v1.Store, error) {}
	}
	return &Hub{
		cfg: cfg, due: make(chan Due), follows: map[v1.StoreKey]*follow{},
		wishes: map[types.NamespacedName][]Wish{}, wanted: map[Wish]objects{},
		pending: map[types.NamespacedName]string{}, wake: make(chan struct{}, 1),
	}
}

// Due returns the channel of reports. It is never closed.
func (h *Hub) Due() <-chan Due { return h.due }

// Want replaces the wishes of an object.
func (h *Hub) Want(object types.NamespacedName, wishes []Wish) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(object)
	if len(wishes) == 0 {
		return
	}
	h.wishes[object] = wishes
	for _, w := range wishes {
		h.wanted[w] = h.wanted[w].with(object)
	}
}

// Forget removes the wishes of an object.
func (h *Hub) Forget(object types.NamespacedName) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(object)
	delete(h.pending, object)
}

// drop takes object out of wishes and wanted. h.mu is held.
func (h *Hub) drop(object types.NamespacedName) {
	for _, w := range h.wishes[object] {
		left, empty := h.wanted[w].without(object)
		if h.wanted[w] = left; empty {
			delete(h.wanted, w)
		}
	}
	delete(h.wishes, object)
}

// Follow subscribes to store, or again when its spec changed. It does nothing
// while the same state of it is followed.
func (h *Hub) Follow(store v1.Store) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := v1.KeyOf(store)
	if f := h.follows[key]; f != nil {
		if f.store.GetUID() == store.GetUID() && f.store.GetGeneration() == store.GetGeneration() && changes(f.store) == changes(store) {
			return
		}
		h.unfollow(key)
	}
	f := &follow{store: store.DeepCopyObject().(v1.Store), cancel: func() {}}
	h.follows[key] = f
	if h.ctx != nil {
		h.begin(f)
	}
}

// changes names the queue of a store.
func changes(store v1.Store) string { return store.GetAnnotations()[v1.AnnotationChanges] }

// Unfollow ends the subscription of a store.
func (h *Hub) Unfollow(key v1.StoreKey) {
	h.mu.Lock()
	f := h.follows[key]
	h.unfollow(key)
	h.mu.Unlock()
	if f != nil {
		h.cfg.State(f.store, false)
	}
}

func (h *Hub) unfollow(key v1.StoreKey) {
	if f := h.follows[key]; f != nil {
		f.cancel()
		delete(h.follows, key)
	}
}

// Connected reports whether changes of a store arrive at once.
func (h *Hub) Connected(key v1.StoreKey) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.follows[key]
	return f != nil && f.connected
}

// setConnected is called by f's loop. What a subscription that was ended says
// last is not the state of the store: there is a new one, or no such store.
func (h *Hub) setConnected(f *follow, connected bool) {
	key := v1.KeyOf(f.store)
	h.mu.Lock()
	f.connected = connected
	current := h.follows[key] == f
	h.mu.Unlock()
	if current {
		h.cfg.State(f.store, connected)
	}
}

// begin starts the loop of f. h.mu is held and h.ctx is set.
func (h *Hub) begin(f *follow) {
	var ctx context.Context
	ctx, f.cancel = context.WithCancel(h.ctx)
	h.loops.Go(func() { h.loop(ctx, f) })
}

// Run delivers reports until ctx ends, then ends every subscription and waits.
func (h *Hub) Run(ctx context.Context) error {
	h.mu.Lock()
	h.ctx = ctx
	for _, f := range h.follows {
		h.begin(f)
	}
	h.mu.Unlock()
	for ctx.Err() == nil {
		d, ok := h.next()
		if !ok {
			select {
			case <-ctx.Done():
			case <-h.wake:
			}
			continue
		}
		select {
		case <-ctx.Done():
		case h.due <- d:
		}
	}
	h.mu.Lock()
	h.ctx = nil // nobody begins a loop after this
	h.mu.Unlock()
	h.loops.Wait()
	return nil
}

func (h *Hub) next() (Due, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for object, why := range h.pending {
		delete(h.pending, object)
		return Due{object, why}, true
	}
	return Due{}, false
}

// Refresh asks for an object to be refreshed at once, whatever its interval. It
// does not block; what is asked for several times before it is done is done once.
func (h *Hub) Refresh(object types.NamespacedName) {
	h.mu.Lock()
	h.pending[object] = "it is asked for"
	h.mu.Unlock()
	h.awake()
}

// awake tells Run that something is pending.
func (h *Hub) awake() {
	select {
	case h.wake <- struct{}{}:
	default: // awake already
	}
}

// Report tells those who want it of a change of a store that its Notifier does not tell
// of. It does not block.
func (h *Hub) Report(store v1.StoreKey, c provider.Change) { h.report(store, c) }

// report does not block.
func (h *Hub) report(store v1.StoreKey, c provider.Change) {
	h.mu.Lock()
	if c.Connected {
		for object, wishes := range h.wishes {
			for _, w := range wishes {
				if w.Store == store {
					h.pending[object] = WhyMissed
					break
				}
			}
		}
	}
	if c.Topic != "" {
		h.changed(Wish{store, c.Topic})
	}
	for i, b := range []byte(c.Topic) {
		if b == '/' {
			h.changed(Wish{store, c.Topic[:i+1]})
		}
	}
	any := len(h.pending) > 0
	h.mu.Unlock()
	if any {
		h.awake()
	}
}

// changed tells those who want w. h.mu is held.
func (h *Hub) changed(w Wish) {
	for object := range h.wanted[w].all() {
		h.pending[object] = WhyChanged
	}
}

// How long to wait before subscribing again: doubling from the first to the
// second after a lost connection, and the third when the store says that it
// sends no changes. A connection that held for settled starts the doubling anew.
const (
	retryFirst       = 100 * time.Millisecond
	retryLongest     = 30 * time.Second
	retryUnsupported = 10 * time.Minute
	settled          = time.Minute
)

func (h *Hub) loop(ctx context.Context, f *follow) {
	key := v1.KeyOf(f.store)
	wait, told := retryFirst, false
	for {
		var connected time.Time
		err := h.cfg.Notifier.Notify(ctx, f.store, func(c provider.Change) {
			if c.Connected {
				connected = h.cfg.Clock.Now()
				h.setConnected(f, true)
				h.cfg.Log.Info("changes of the store arrive at once", "store", key.String())
			}
			h.report(key, c)
		})
		h.setConnected(f, false)
		if ctx.Err() != nil {
			return
		}
		pause := wait
		switch {
		case errs.Is(err, errs.Unsupported):
			pause = retryUnsupported
			if !told {
				h.cfg.Log.Info("changes of the store arrive with the refresh interval", "store", key.String(), "reason", err)
				if changes(f.store) != "" {
					h.cfg.Refused(f.store, err)
				}
			}
			told = true
		case !connected.IsZero() && h.cfg.Clock.Since(connected) >= settled:
			wait, pause = retryFirst, retryFirst
			fallthrough
		default:
			h.cfg.Log.Info("the subscription to changes ended; trying again", "store", key.String(), "reason", err, "after", pause)
			wait = min(wait*2, retryLongest)
		}
		timer := h.cfg.Clock.NewTimer(pause/2 + rand.N(pause)) // jitter: not every store and operator at once
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		}
	}
}

package expiry

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const version = 1 // of an index value

// Handler ends what ref stands for. It is a function of tx and may be run
// several times for one ref: after a conflict, after a crash, and for a ref that
// went stale because the thing was renewed or removed. Then it does nothing.
//
// It returns the zero time if ref is done with; otherwise when to be called
// again, which may be ref.Due for "at once". The Expirer removes or moves the
// ref in the same commit. After an error nothing of tx is kept and the ref is
// tried again later, for ever, with growing pauses up to Config.MaxBackoff.
type Handler func(ctx context.Context, tx *store.Txn, ref Ref) (again time.Time, err error)

// Kind is one sort of thing that ends.
type Kind struct {
	Name   string
	Handle Handler
	// Batch is how many refs may share one commit; 0 means 1. A handler that
	// calls something outside the vault wants 1.
	Batch int
	// Parallel is how many batches run at once; 0 means 1.
	Parallel int
}

// Config of an Expirer. The zero value of each field after Kinds has a default.
type Config struct {
	Store store.Store
	Kinds []Kind
	Log   *slog.Logger

	Now        func() time.Time // time.Now
	Poll       time.Duration    // longest sleep between two looks at the index; 1 s
	Window     int              // refs held in memory per kind; 256
	MinBackoff time.Duration    // first pause after an error; 1 s
	MaxBackoff time.Duration    // longest; 10 min
	Held       bool             // do nothing until Hold(false)
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Poll = orDefault(c.Poll, time.Second)
	c.Window = orDefault(c.Window, 256)
	c.MinBackoff = orDefault(c.MinBackoff, time.Second)
	c.MaxBackoff = orDefault(c.MaxBackoff, 10*time.Minute)
	return c
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Expirer handles what is due. Each kind has a loop of its own, so that a
// database that does not answer holds up no token. One Expirer runs per
// cluster, on the elected leader; two at once do no harm, only double work.
type Expirer struct {
	cfg Config

	mu     sync.Mutex
	closed bool
	held   bool
	loops  map[string]*loop // by kind
}

// Start begins to work at once, unless it is held; the caller owns it until
// Close. It reads nothing before it returns.
func Start(cfg Config) *Expirer {
	e := &Expirer{cfg: cfg.withDefaults(), held: cfg.Held, loops: map[string]*loop{}}
	for _, k := range e.cfg.Kinds {
		e.Add(k)
	}
	return e
}

// Add begins to work on one more kind. Adding one that is there does nothing.
func (e *Expirer) Add(k Kind) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.loops[k.Name] != nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &loop{Config: e.cfg, kind: k, stop: stop, done: make(chan struct{}), wake: make(chan struct{}, 1), idle: make(chan struct{}, 1)}
	l.kind.Batch = orDefault(k.Batch, 1)
	l.kind.Parallel = orDefault(k.Parallel, 1)
	l.held = e.held
	e.loops[k.Name] = l
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
}

// Remove ends the work on a kind and waits for it. What is due stays due.
func (e *Expirer) Remove(kind string) {
	e.mu.Lock()
	l := e.loops[kind]
	delete(e.loops, kind)
	e.mu.Unlock()
	if l != nil {
		l.stop()
		<-l.done
	}
}

// Wake has a kind looked at now. It does not wait.
func (e *Expirer) Wake(kind string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.loops[kind]; l != nil {
		l.nudge()
	}
}

// Hold stops all work, or lets it go on. To stop, it ends the context of running handlers, and
// waits: what they have not committed is not counted as a failure, and stays due. Handlers must
// not call it.
func (e *Expirer) Hold(held bool) {
	e.mu.Lock()
	e.held = held
	loops := slices.Collect(maps.Values(e.loops))
	for _, l := range loops {
		l.hold(held)
	}
	e.mu.Unlock()
	for _, l := range loops {
		if held {
			l.idle <- struct{}{} // its window is over
			<-l.idle
		}
		l.nudge()
	}
}

// Close stops all loops, ends the context of running handlers and waits.
func (e *Expirer) Close() error {
	e.mu.Lock()
	e.closed = true
	loops := e.loops
	e.loops = nil
	e.mu.Unlock()
	for _, l := range loops {
		l.stop()
	}
	for _, l := range loops {
		<-l.done
	}
	return nil
}

// loop is the work on one kind.
type loop struct {
	Config
	kind Kind
	stop context.CancelFunc
	done chan struct{}
	wake chan struct{} // capacity 1
	idle chan struct{} // capacity 1: holds a value while a window is worked on

	mu   sync.Mutex
	held bool
	end  context.CancelFunc // of the window under way; nil = there is none
}

func (l *loop) hold(held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = held
	if held && l.end != nil {
		l.end()
	}
}

// open begins a window; false: the loop is held.
func (l *loop) open(ctx context.Context) (context.Context, context.CancelFunc, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held {
		return ctx, nil, false
	}
	ctx, l.end = context.WithCancel(ctx)
	return ctx, l.end, true
}

func (l *loop) nudge() {
	select {
	case l.wake <- struct{}{}:
	default: // woken already
	}
}

func (l *loop) run(ctx context.Context) {
	backoff := l.MinBackoff
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-l.wake:
			timer.Stop()
		}
		held, err := l.once(ctx)
		switch {
		case held:
			continue // Hold wakes it
		case err != nil && ctx.Err() == nil:
			l.Log.Warn("the due index cannot be worked on; will try again", "kind", l.kind.Name, "error", err, "pause", backoff)
			timer.Reset(backoff)
			backoff = min(2*backoff, l.MaxBackoff)
			continue
		default:
			timer.Reset(l.Poll)
		}
		backoff = l.MinBackoff
	}
}

// once is one window, unless the loop is held, or is while it is at it.
func (l *loop) once(ctx context.Context) (held bool, err error) {
	l.idle <- struct{}{}
	defer func() { <-l.idle }()
	inner, stop, ok := l.open(ctx)
	if !ok {
		return true, nil
	}
	defer stop()
	err = l.work(inner)
	return inner.Err() != nil && ctx.Err() == nil, err
}

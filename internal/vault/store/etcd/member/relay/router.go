package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Config of a Router. All are needed.
type Config struct {
	Others []string    // https://HOST:PORT of the other nodes
	TLS    *tls.Config // of a client of theirs
	// Fit reports whether the node at an address is a member of the same cluster, and sees a leader.
	Fit func(ctx context.Context, at string) bool
	// Among reports whether this node is one of the members.
	Among func([]*etcdserverpb.Member) bool
	Log   *slog.Logger
}

// Router is a client whose calls go to one member at a time. Its methods may be called by any
// number of goroutines.
type Router struct {
	cfg    Config
	client *clientv3.Client

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	done sync.WaitGroup
	look chan struct{} // holds one token if the way should be looked at

	mu      sync.Mutex
	now     *way          // nil: there is none
	own     bool          // now is the node's own member
	era     *era          // of writes that begin now, by the own member
	changed chan struct{} // closed when now changes
}

// way is one member's client.
type way struct {
	client *clientv3.Client
	at     string // "" = the node's own, which is not closed here
	left   context.Context
	leave  context.CancelFunc
	calls  int  // under way; under Router.mu
	slow   bool // any other that answers is better; under Router.mu
}

const (
	probeEvery = 500 * time.Millisecond
	probeFor   = time.Second
	searchFor  = 3 * time.Second        // for all that finding a way takes, on a machine that is busy, too
	searchWait = 100 * time.Millisecond // between two searches
	idle       = time.Hour              // by the own member there is nothing to look at
	maxMessage = 16 << 20               // the server's limit counts
)

// New has no way yet. Close must be called.
func New(cfg Config) *Router {
	r := &Router{cfg: cfg, look: make(chan struct{}, 1), changed: make(chan struct{}), era: newEra()}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.client = clientv3.NewCtxClient(r.ctx)
	r.client.KV, r.client.Watcher = kv{router: r}, watcher{router: r}
	return r
}

// Search begins to look for a way by the others, once.
func (r *Router) Search() { r.done.Go(r.keep) }

// Client reads, writes and watches by the way that there is, and waits for one. Nothing else of it works.
// It is of the Router, and must not be closed.
func (r *Router) Client() *clientv3.Client { return r.client }

// Ready returns when there is a way. An error is ctx's.
func (r *Router) Ready(ctx context.Context) error {
	w, err := r.enter(ctx)
	if err == nil {
		r.exit(w)
	}
	return err
}

// Own has all calls from now on go to the node's own member, which has caught up. c, a client of s, stays
// open.
func (r *Router) Own(c *clientv3.Client, s server) {
	r.done.Go(func() { r.elections(s) })
	r.turn(newWay(c, ""))
}

// Aside has calls go by another member, for while the own one answers nothing, until back is called, which
// must be. It reports false, and back is nil, where no other answers. One at a time.
func (r *Router) Aside() (back func(), ok bool) {
	r.mu.Lock()
	own := r.now
	if own == nil || own.at != "" {
		r.mu.Unlock()
		return nil, false
	}
	own.slow = true
	r.mu.Unlock()
	r.search()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now == own {
		own.slow = false
		return nil, false
	}
	r.nudge()
	return func() { r.turn(newWay(own.client, "")) }, true
}

// nudge has keep look at the way.
func (r *Router) nudge() {
	select {
	case r.look <- struct{}{}:
	default:
	}
}

// Way reports whether calls go to the node's own member. If not, at is the address of the one they
// go to; "" = there is none.
func (r *Router) Way() (at string, own bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil {
		at = r.now.at
	}
	return at, r.own
}

// Close cuts calls by other members short, whose writes may have been made.
func (r *Router) Close() {
	r.stop()
	r.done.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil && r.now.at != "" {
		r.now.leave()
		_ = r.now.client.Close() // of a connection only
	}
}

// Do asks by the way there is, and by the next one if that was left meanwhile or does not answer: f must be
// one that can be asked again.
func (r *Router) Do(ctx context.Context, f func(context.Context, *clientv3.Client) error) error {
	for {
		w, err := r.enter(ctx)
		if err != nil {
			return err
		}
		asking, cancel := context.WithCancel(ctx)
		unhook := context.AfterFunc(w.left, cancel)
		err = f(asking, w.client)
		unhook()
		cancel()
		r.exit(w)
		if err == nil || ctx.Err() != nil || !r.away(w, err) {
			return err
		}
	}
}

// away leaves another member that does not answer, and reports whether w was left, now or before.
func (r *Router) away(w *way, err error) bool {
	if w.at != "" && lost(err) {
		r.drop(w, err)
	}
	return w.left.Err() != nil
}

// lost reports whether a member of a network is out of reach, or cannot serve.
func lost(err error) bool {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return known.Code() == codes.Unavailable
	}
	return status.Code(err) == codes.Unavailable
}

// enter waits for a way and counts a call on it. exit must be called.
func (r *Router) enter(ctx context.Context) (*way, error) {
	for {
		r.mu.Lock()
		w, changed := r.now, r.changed
		if w != nil {
			w.calls++
		}
		r.mu.Unlock()
		if w != nil {
			return w, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.ctx.Done():
			return nil, r.ctx.Err()
		}
	}
}

func (r *Router) exit(w *way) {
	r.mu.Lock()
	w.calls--
	unused := w.calls == 0 && w.left.Err() != nil
	r.mu.Unlock()
	if unused {
		w.close()
	}
}

func newWay(c *clientv3.Client, at string) *way {
	w := &way{client: c, at: at}
	w.left, w.leave = context.WithCancel(context.Background())
	return w
}

// close ends the connection to another member.
func (w *way) close() {
	if w.at != "" {
		_ = w.client.Close() // of a connection only
	}
}

// turn has calls go by w. Another member does not come before the own one, nor before one that answers.
func (r *Router) turn(w *way) {
	r.mu.Lock()
	old := r.now
	if w.at != "" && old != nil && !old.slow {
		r.mu.Unlock()
		w.close()
		return
	}
	r.now, r.own = w, w.at == ""
	close(r.changed)
	r.changed = make(chan struct{})
	r.mu.Unlock()
	r.leave(old)
}

// leave ends the watches by a way; calls that are under way go on to their ends.
func (r *Router) leave(w *way) {
	if w == nil {
		return
	}
	r.mu.Lock()
	w.leave()
	unused := w.calls == 0
	r.mu.Unlock()
	if unused {
		w.close()
	}
}

// drop leaves w if it is the way, and has the next one looked for.
func (r *Router) drop(w *way, why error) {
	r.mu.Lock()
	is := r.now == w
	if is {
		r.now = nil
	}
	r.mu.Unlock()
	if !is {
		return
	}
	r.leave(w)
	r.cfg.Log.Info("the member that this node stored through is left", "address", w.at, "reason", why)
	r.nudge()
}

// keep has a way by another member while there is not the own one, until Close.
func (r *Router) keep() {
	for r.ctx.Err() == nil {
		r.mu.Lock()
		w, own := r.now, r.own
		r.mu.Unlock()
		wait := probeEvery
		switch {
		case own:
			wait = idle
		case w == nil:
			r.search()
			wait = searchWait
		default:
			r.check(w)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-r.look:
		case <-r.ctx.Done():
		}
		t.Stop()
	}
}

// check probes another member. One that is gone is left at once, one that is slow as soon as any other answers.
func (r *Router) check(w *way) {
	ctx, cancel := context.WithTimeout(r.ctx, probeFor)
	defer cancel()
	err := probe(ctx, w.client)
	if lost(err) {
		r.drop(w, err)
		return
	}
	r.mu.Lock()
	w.slow = err != nil
	r.mu.Unlock()
	if err != nil {
		r.search()
	}
}

// search tries all others at once; the first at which a majority answers that this node is a member is taken.
func (r *Router) search() {
	var trying sync.WaitGroup
	for _, at := range r.cfg.Others {
		trying.Go(func() { r.try(at) })
	}
	trying.Wait()
}

func (r *Router) try(at string) {
	ctx, cancel := context.WithTimeout(r.ctx, searchFor)
	defer cancel()
	if !r.cfg.Fit(ctx, at) {
		return
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{at}, TLS: r.cfg.TLS.Clone(), DialTimeout: searchFor, MaxCallSendMsgSize: maxMessage, Logger: zap.NewNop(),
		MaxUnaryRetries: 1, // the next try is by another member
	})
	if err != nil {
		r.cfg.Log.Debug("storing through another member", "address", at, "error", err)
		return
	}
	if err := r.counts(ctx, c); err != nil {
		r.cfg.Log.Debug("storing through another member", "address", at, "error", err)
		_ = c.Close() // of a connection only
		return
	}
	r.turn(newWay(c, at))
}

// counts asks a majority whether this node is a member. One that was removed while it was down serves nobody
// until its own etcd finds that out.
func (r *Router) counts(ctx context.Context, c *clientv3.Client) error {
	all, err := c.MemberList(ctx)
	if err == nil && !r.cfg.Among(all.Members) {
		err = errs.New(errs.Denied, "this node was removed from the cluster")
	}
	return err
}

// probe asks for a linearizable read.
func probe(ctx context.Context, c *clientv3.Client) error {
	_, err := c.Get(ctx, "probe", clientv3.WithKeysOnly())
	return err
}

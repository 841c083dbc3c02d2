package leader

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// DefaultTTL is how long a leader may be silent.
const DefaultTTL = 3 * time.Second

// Config is what an Elector needs.
type Config struct {
	Store store.Store // shared by all nodes; stays open
	Node  Node        // this one; an empty ID is made up

	// Lead does the leader's work until ctx ends, and returns soon after; it is called
	// again when this node leads again. What it writes through fenced is not written once
	// another node leads; fenced is not closed by it.
	Lead func(ctx context.Context, fenced store.Store)

	// Fit returns why this node must not lead; nil = it may. One that must not does not stand,
	// and gives the place up within TTL/3 if it has it. Fit nil = always. It never waits.
	Fit func() error

	TTL time.Duration    // 0 = DefaultTTL; the same on all nodes
	Now func() time.Time // for the record only; nil = time.Now
	Log *slog.Logger     // nil = silent
}

// Elector is one node's part in the election. It is safe for concurrent use.
type Elector struct {
	cfg  Config
	down chan chan error // step-downs asked for
	stop context.CancelFunc
	done chan struct{} // closed when the node stands no more

	mu     sync.Mutex
	status Status
	asked  store.Revision // terms that began before it are to end
	leave  chan struct{}  // capacity 1: asked has grown
}

// Status says who leads, as far as this node has seen.
type Status struct {
	Leader Node      // zero: nobody, or it is not known
	Since  time.Time // when its term began, by its clock
	Self   bool      // this node leads
}

// Start has the node stand for election until Close.
func Start(cfg Config) *Elector {
	cfg.TTL = cmp.Or(cfg.TTL, DefaultTTL)
	cfg.Node.ID = cmp.Or(cfg.Node.ID, rand.Text())
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Fit == nil {
		cfg.Fit = func() error { return nil }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	e := &Elector{cfg: cfg, down: make(chan chan error), leave: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(e.done)
		e.run(ctx)
	}()
	return e
}

// Status may be called at any time.
func (e *Elector) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status
}

// Close gives the place up if this node has it, so that others need not wait, and returns
// when Lead has.
func (e *Elector) Close() {
	e.stop()
	<-e.done
}

// StepDown has this node give the place up and not stand for two TTLs. It returns when Lead
// has. Kind Invalid: it does not lead.
func (e *Elector) StepDown(ctx context.Context) error {
	notHere := errs.New(errs.Invalid, "this node does not do the background work: ask the one that does")
	if !e.Status().Self {
		return notHere
	}
	answer := make(chan error, 1)
	select {
	case e.down <- answer:
		select {
		case err := <-answer:
			return err
		case <-ctx.Done():
			return errs.Newf(errs.Unavailable, "waiting for the background work to end: %w", ctx.Err())
		}
	case <-e.done:
		return notHere
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "waiting for this node to step down: %w", ctx.Err())
	}
}

// Leave has this node step down, at once or when it sees that it leads, if it took the place before
// revision asked. It waits for nothing. Asked for twice, or late, it has no successor step down.
func (e *Elector) Leave(asked store.Revision) {
	e.mu.Lock()
	e.asked = max(e.asked, asked)
	e.mu.Unlock()
	select {
	case e.leave <- struct{}{}:
	default: // it looks anyway
	}
}

// overdue reports whether a term is to end.
func (e *Elector) overdue(term store.Revision) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return term < e.asked
}

// run stands and leads in turn.
func (e *Elector) run(ctx context.Context) {
	for ctx.Err() == nil {
		term, ok := e.stand(ctx)
		if !ok {
			return
		}
		e.cfg.Log.Info("this node does the background work now", slog.Uint64("term", uint64(term)))
		steppedDown := e.lead(ctx, term)
		e.cfg.Log.Info("this node does the background work no more", slog.Uint64("term", uint64(term)))
		if steppedDown {
			e.wait(ctx, 2*e.cfg.TTL)
		}
	}
}

// wait passes time, and answers who asks to step down meanwhile.
func (e *Elector) wait(ctx context.Context, long time.Duration) {
	t := time.NewTimer(long)
	defer t.Stop()
	for {
		select {
		case answer := <-e.down:
			answer <- nil // it leads no more
		case <-ctx.Done():
			return
		case <-t.C:
			return
		}
	}
}

// stand returns the term when this node leads; false: ctx ended.
func (e *Elector) stand(ctx context.Context) (store.Revision, bool) {
	var seen place
	since := time.Now() // when seen was first seen
	for ; ctx.Err() == nil; e.wait(ctx, e.cfg.TTL/3) {
		now, err := e.look(ctx)
		if err != nil {
			// What is not known ages neither: nobody is declared dead by who cannot see.
			seen = place{}
			e.tell(Status{})
			continue
		}
		e.tell(Status{Leader: now.Node, Since: now.Since})
		if now.ID == e.cfg.Node.ID { // a take-over, or a giving up, whose answer was lost
			if e.cfg.Fit() == nil {
				return now.leader, true
			}
			_ = e.giveUp(now.leader) // else others wait for a TTL
			continue
		}
		if now.leader != seen.leader || now.alive != seen.alive {
			seen, since = now, time.Now()
		}
		if !now.free() && time.Since(since) < e.cfg.TTL || e.cfg.Fit() != nil {
			continue
		}
		if term, err := e.take(ctx, now); err == nil {
			return term, true
		}
	}
	return 0, false
}

// look reads both entries. The second read is the younger: one that is unchanged since the
// last look was so all the time, since revisions never repeat.
func (e *Elector) look(ctx context.Context) (p place, err error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.TTL)
	defer cancel()
	leader, err := e.cfg.Store.Get(ctx, Key)
	if err != nil {
		return p, e.trouble("looking who does the background work", err)
	}
	alive, err := e.cfg.Store.Get(ctx, AliveKey)
	if err != nil {
		return p, e.trouble("looking who does the background work", err)
	}
	if p.record, err = decode(leader); err != nil {
		return p, e.trouble("looking who does the background work", err)
	}
	p.leader, p.alive = leader.Revision, alive.Revision
	return p, nil
}

func (e *Elector) trouble(doing string, err error) error {
	e.cfg.Log.Warn(doing, slog.Any("error", err))
	return err
}

// take takes the place that stood at p, and returns the new term.
func (e *Elector) take(ctx context.Context, p place) (store.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.TTL)
	defer cancel()
	value, err := json.Marshal(record{Node: e.cfg.Node, Since: e.cfg.Now().UTC()})
	if err != nil {
		return 0, err
	}
	return e.cfg.Store.Apply(ctx, store.Put(Key, value).If(p.leader), store.Put(AliveKey, nil).If(p.alive))
}

// lead does the work of a term until it is lost or given up, or ctx ends.
func (e *Elector) lead(ctx context.Context, term store.Revision) (steppedDown bool) {
	e.tell(Status{Leader: e.cfg.Node, Since: e.cfg.Now().UTC(), Self: true})
	working, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { e.cfg.Lead(working, fenced{e.cfg.Store, term}) })
	answer, lost := e.hold(ctx, term)
	stop()
	work.Wait()
	e.tell(Status{})
	if lost {
		return false // the place is another's
	}
	err := e.giveUp(term)
	if answer != nil {
		answer <- err
	}
	return answer != nil
}

// hold keeps the place. It returns when it is lost, when ctx ends, when this node is not fit
// any more, or with whom to answer when it is to step down.
func (e *Elector) hold(ctx context.Context, term store.Revision) (answer chan error, lost bool) {
	tick := time.NewTicker(e.cfg.TTL / 3)
	defer tick.Stop()
	for last := time.Now(); ; {
		if e.overdue(term) {
			return make(chan error, 1), false // nobody waits for it
		}
		select {
		case <-ctx.Done():
			return nil, false
		case answer := <-e.down:
			return answer, false
		case <-e.leave:
			continue
		case <-tick.C:
		}
		if err := e.cfg.Fit(); err != nil {
			e.cfg.Log.Warn("leaving the background work to another node", slog.Any("error", err))
			return nil, false
		}
		began := time.Now()
		err := e.renew(ctx, term, e.cfg.TTL-time.Since(last))
		switch {
		case err == nil:
			last = began
		case errs.Is(err, errs.Conflict), time.Since(last) >= e.cfg.TTL:
			// Others may lead: what is written is fenced, and what is not is not begun.
			return nil, true
		}
	}
}

// renew shows that this node lives. Kind Conflict: it does not lead any more.
func (e *Elector) renew(ctx context.Context, term store.Revision, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_, err := e.cfg.Store.Apply(ctx, store.Put(AliveKey, nil), store.Check(Key, term))
	if err != nil && ctx.Err() == nil {
		return e.trouble("keeping the background work", err)
	}
	return err
}

// giveUp frees the place, if it is still this node's.
func (e *Elector) giveUp(term store.Revision) error {
	ctx, cancel := context.WithTimeout(context.Background(), e.cfg.TTL)
	defer cancel()
	value, err := json.Marshal(record{Since: e.cfg.Now().UTC()})
	if err != nil {
		return err
	}
	_, err = e.cfg.Store.Apply(ctx, store.Put(Key, value).If(term))
	if errs.Is(err, errs.Conflict) {
		return nil // another has it already
	}
	return err
}

func (e *Elector) tell(s Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = s
}

package unsealed

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// works tells how often the worker of lab/ worked on a node.
func (b *bench) works() int { return b.worksAt("lab/") }

func (b *bench) worksAt(path string) int {
	b.mu.Lock()
	l := b.labs[path]
	b.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.work
}

func named(name string) func() leader.Node {
	return func() leader.Node { return leader.Node{Name: name} }
}

func leads(b *bench) bool {
	s, _ := b.v.Leader()
	return s.Self
}

// One node does the background work; what another finds to do reaches it; it can be
// left to the other.
func TestDuty(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Node, c.LeaderTTL = named("first"), leaderTTL })
	p.other.cfg.Node = named("second")
	p.other.close()
	p.other.open()
	p.firstLeads()
	until(t, "its worker works", func() bool { return p.works() > 0 })
	until(t, "the second node knows", func() bool { s, _ := p.other.v.Leader(); return s.Leader.Name == "first" })
	led := p.other.works() // it may have been faster
	e := mount.Entry{Class: mount.Secret, Path: "more/", Type: "lab"}
	p.shown(p.commit(func(tx *Tx) error { return p.v.Mounts.Add(t.Context(), tx, &e) }))
	until(t, "a mount made later has its worker on the first node", func() bool { return p.worksAt("more/") > 0 })
	p.other.v.workers.Hold(true) // waits for those that run
	if p.other.worksAt("more/") > 0 {
		t.Error("the second node works for a mount that came by the watch")
	}
	if leads(p.other) || p.other.works() > led {
		t.Error("the second node works too")
	}

	before := p.works()
	p.other.labs["lab/"].cfg.Wake()
	until(t, "a wake on the second node has the first one work", func() bool { return p.works() > before })

	if err := p.other.v.StepDown(t.Context()); !errs.Is(err, errs.Invalid) {
		t.Error("who does not lead steps down:", err)
	}
	if err := p.v.StepDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the second node works", func() bool { return leads(p.other) && p.other.works() > 0 })
	before, others := p.works(), p.other.works()
	p.labs["lab/"].cfg.Wake()
	until(t, "the wake reaches the second node", func() bool { return p.other.works() > others })
	if p.works() != before {
		t.Error("a node that does not lead works")
	}

	p.other.close() // gives the place up
	until(t, "the first node leads again", func() bool { return leads(p.bench) })
	p.other.open()
}

// What a worker of a node that was paused still has in its hands is not written, and not begun
// anew; what a request has is.
func TestPausedOnDuty(t *testing.T) {
	p := newPair(t, func(c *Config) { c.LeaderTTL = leaderTTL })
	p.firstLeads()
	cfg := p.labs["lab/"].cfg
	begun, held := make(chan struct{}, 2), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(held) })
	t.Cleanup(goOn)
	late := func(update func(context.Context, func(context.Context, engine.Tx) error) error, key string) chan error {
		done := make(chan error, 1)
		go func() {
			runs := 0
			done <- update(t.Context(), func(_ context.Context, tx engine.Tx) error {
				if runs++; runs > 1 {
					return errAgain
				}
				begun <- struct{}{}
				<-held
				tx.Put(key, nil)
				return nil
			})
		}()
		return done
	}
	work, request := late(cfg.Duty, "work"), late(cfg.Update, "request")
	for range cap(begun) {
		select {
		case <-begun:
		case err := <-work:
			t.Fatal("a worker of the node that leads: ", err)
		case err := <-request:
			t.Fatal("a request on the node that leads: ", err)
		}
	}
	hold := make(chan struct{})
	remove := p.bench.fault.Add(fault.Rule{Hold: hold})
	until(t, "the second node leads", func() bool { return leads(p.other) })
	remove()
	close(hold)
	goOn()
	if err := <-work; !errors.Is(err, leader.ErrLost) {
		t.Error("a worker of a node that leads no more:", err)
	}
	if err := <-request; err != nil {
		t.Error("a request on a node that leads no more:", err)
	}
	m := p.v.Mounts.Table().ByPath(namespace.Root, "lab/")
	for key, want := range map[string]bool{"work": false, "request": true} {
		if e, err := p.raw.Get(t.Context(), m.Storage()+key); err != nil || e.Exists() != want {
			t.Errorf("%s is written: %v, %v", key, e.Exists(), err)
		}
	}
}

var errAgain = errors.New("it is run again")

// A request that is served while its node leaves the background work is no background work; a
// worker that begins then is refused.
func TestRequestWhileLosing(t *testing.T) {
	p := newPair(t, func(c *Config) { c.LeaderTTL = leaderTTL })
	p.firstLeads()
	cfg := p.labs["lab/"].cfg
	runs := 0
	err := cfg.Update(t.Context(), func(ctx context.Context, tx engine.Tx) error {
		if runs++; runs == 1 {
			if err := p.v.StepDown(ctx); err != nil {
				t.Error(err)
			}
		}
		tx.Put("x", nil)
		return nil
	})
	if err != nil || runs != 1 {
		t.Errorf("%d runs, %v", runs, err)
	}
	if err := cfg.Duty(t.Context(), func(context.Context, engine.Tx) error { return nil }); !errors.Is(err, leader.ErrLost) {
		t.Error("a worker of a node that does not lead:", err)
	}
}

// firstLeads waits until the first node leads. On a busy machine the second may have been
// faster: it steps down then.
func (p *pair) firstLeads() {
	p.t.Helper()
	until(p.t, "the first node leads", func() bool {
		if leads(p.other) {
			if err := p.other.v.StepDown(p.t.Context()); err != nil {
				p.t.Log("stepping down:", err)
			}
		}
		return leads(p.bench) && p.v.duty.fenced.Load() != nil
	})
}

// A node that has lost its watch hears nothing, of step-downs neither: it leads no more, and
// does not again before it hears.
func TestDeafNodeDoesNotLead(t *testing.T) {
	p := newPair(t, func(c *Config) { c.LeaderTTL = leaderTTL })
	p.firstLeads()
	lost := errs.New(errs.Unavailable, "the watch is lost")
	remove := p.bench.fault.Add(fault.Rule{Op: fault.Watch, Err: lost})
	p.bench.fault.LoseWatches(lost)
	until(t, "the second node leads", func() bool { return leads(p.other) })
	p.other.close() // gives the place up
	until(t, "the first node sees that nobody leads", func() bool {
		s, _ := p.v.Leader()
		return s.Leader == (leader.Node{})
	})
	if leads(p.bench) {
		t.Error("a deaf node leads")
	}
	remove()
	until(t, "it leads when it hears again", func() bool { return leads(p.bench) })
	p.other.open()
}

// That the background work is to be left to another node reaches who does it though the event is lost, and
// nobody else: who has taken over hears of it late, perhaps.
func TestStepDownIsNotLost(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Node, c.LeaderTTL = named("first"), leaderTTL })
	p.firstLeads()
	lost := errs.New(errs.Exhausted, "events are lost")
	p.bench.fault.Mute()
	if err := p.other.v.AskStepDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.bench.fault.LoseWatches(lost)
	p.bench.fault.Unmute()
	until(t, "the second node leads", func() bool { return leads(p.other) })
	e, err := p.raw.Get(t.Context(), stepDownKey)
	if err != nil {
		t.Fatal(err)
	}
	p.other.v.hear(&store.Change{Op: store.OpPut, Key: stepDownKey}, e.Revision)
	term, err := p.raw.Get(t.Context(), leader.Key)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "it shows that it lives", func() bool {
		e, err := p.raw.Get(t.Context(), leader.AliveKey)
		return err == nil && e.Revision > term.Revision
	})
	if now, err := p.raw.Get(t.Context(), leader.Key); err != nil || now.Revision != term.Revision || !leads(p.other) {
		t.Errorf("who took over steps down too: term %d, then %d, %v", term.Revision, now.Revision, err)
	}
}

// A worker works now and then though nobody wakes it: who was to may have been killed.
func TestWorksUnasked(t *testing.T) {
	p := newPair(t, func(c *Config) { c.Node, c.LeaderTTL = named("first"), 50*time.Millisecond })
	p.other.close() // so that no other node's beginning is taken for it
	until(t, "the first node leads", func() bool { return leads(p.bench) })
	until(t, "its worker works", func() bool { return p.works() > 0 })
	before := p.works()
	until(t, "it works again, unasked", func() bool { return p.works() > before+1 })
	p.other.open()
}

// A node that led purges nothing any more.
func TestPurgeIsFenced(t *testing.T) {
	p := newPair(t, func(c *Config) { c.LeaderTTL = leaderTTL })
	p.firstLeads()
	fenced, err := p.v.dutyStore()
	if err != nil {
		t.Fatal(err)
	}
	p.close()
	until(t, "the second node leads", func() bool { return leads(p.other) })
	p.open()
	p.other.v.duty.mu.Lock() // its own purge is not asked for
	defer p.other.v.duty.mu.Unlock()
	gone := mount.PurgePrefix + "gone"
	if _, err := p.raw.Apply(t.Context(), store.Put(gone, []byte("x/"))); err != nil {
		t.Fatal(err)
	}
	if p.v.purger.Once(t.Context(), onto{fenced, p.v.Store}) {
		t.Error("a node that does not lead has purged all")
	}
	if e, err := p.raw.Get(t.Context(), gone); err != nil || !e.Exists() {
		t.Errorf("the purge key is gone, %v", err)
	}
}

// onto reads of one store and writes into another.
type onto struct {
	store.Store
	reads store.Store
}

func (o onto) Get(ctx context.Context, key string) (store.Entry, error) { return o.reads.Get(ctx, key) }

func (o onto) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	return o.reads.List(ctx, folder, after, limit)
}

// What another node mounted in a namespace just before it was deleted is removed with it, also by
// a node that has not heard of it.
func TestPurgeSeesAllMounts(t *testing.T) {
	p := newPair(t, nil)
	p.firstLeads()
	deaf := errs.New(errs.Unavailable, "the watch is lost")
	p.bench.fault.Add(fault.Rule{Op: fault.Watch, Err: deaf})
	p.bench.fault.LoseWatches(deaf)
	e := mount.Entry{Namespace: "team1", Class: mount.Secret, Path: "late/", Type: "lab"}
	p.other.commit(func(tx *Tx) error { return p.other.v.Mounts.Add(t.Context(), tx, &e) })
	if _, err := p.raw.Apply(t.Context(), store.Put(namespace.PurgePrefix+"team1", []byte(`{"id":"team1","path":"team1/"}`))); err != nil {
		t.Fatal(err)
	}
	if !p.v.purger.Once(t.Context(), p.v.Store) {
		t.Error("something is left")
	}
	if e, err := p.raw.Get(t.Context(), mount.EntryPrefix+e.ID); err != nil || e.Exists() {
		t.Errorf("the mount is left, %v", err)
	}
}

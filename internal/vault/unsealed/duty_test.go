package unsealed

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
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
	p := newPair(t, func(c *Config) { c.Node, c.LeaderTTL = named("first"), 300*time.Millisecond })
	p.other.cfg.Node = named("second")
	p.other.close()
	p.other.open()
	until(t, "the first node leads", func() bool { return leads(p.bench) })
	until(t, "its worker works", func() bool { return p.works() > 0 })
	until(t, "the second node knows", func() bool { s, _ := p.other.v.Leader(); return s.Leader.Name == "first" })
	if leads(p.other) || p.other.works() > 0 {
		t.Error("the second node works too")
	}
	e := mount.Entry{Class: mount.Secret, Path: "more/", Type: "lab"}
	p.shown(p.commit(func(tx *Tx) error { return p.v.Mounts.Add(t.Context(), tx, &e) }))
	until(t, "a mount made later has its worker on the first node", func() bool { return p.worksAt("more/") > 0 })
	p.other.v.workers.Hold(true) // waits for those that run
	if p.other.worksAt("more/") > 0 {
		t.Error("the second node works for a mount that came by the watch")
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

var errAgain = errors.New("it is run again")

// What a node that was paused still has in its hands is not written.
func TestPausedOnDuty(t *testing.T) {
	p := newPair(t, func(c *Config) { c.LeaderTTL = 300 * time.Millisecond })
	until(t, "the first node leads", func() bool { return leads(p.bench) })
	m := p.v.Mounts.Table().ByPath(namespace.Root, "lab/")
	begun, goOn := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() { // as a worker does
		runs := 0
		done <- p.v.update(t.Context(), m.ID, func(_ context.Context, tx *Tx) error {
			if runs++; runs > 1 {
				return errAgain
			}
			close(begun)
			<-goOn
			tx.Put("data/late", nil)
			return nil
		})
	}()
	<-begun
	fenced, _ := p.v.beginWork()
	fenced.Put("data/fenced", nil)
	hold := make(chan struct{})
	remove := p.bench.fault.Add(fault.Rule{Hold: hold})
	until(t, "the second node leads", func() bool { return leads(p.other) })
	remove()
	close(hold)
	if _, err := fenced.Commit(t.Context()); !errors.Is(err, leader.ErrLost) {
		t.Error("work of a node that leads no more is written:", err)
	}
	close(goOn)
	if err := <-done; !errors.Is(err, errAgain) {
		t.Error("what is begun in the name of a leader that is none any more is not begun anew:", err)
	}
	for _, key := range []string{"data/late", "data/fenced"} {
		if e, err := p.raw.Get(t.Context(), key); err != nil || e.Exists() {
			t.Errorf("%s: %+v, %v", key, e, err)
		}
	}
}

// A request that is served while its node loses the background work is not lost: it is no
// background work.
func TestRequestWhileLosing(t *testing.T) {
	p := newPair(t, func(c *Config) { c.LeaderTTL = 300 * time.Millisecond })
	until(t, "the first node leads", func() bool { return leads(p.bench) })
	m := p.v.Mounts.Table().ByPath(namespace.Root, "lab/")
	runs := 0
	err := p.v.update(t.Context(), m.ID, func(ctx context.Context, tx *Tx) error {
		if runs++; runs == 1 {
			if err := p.v.StepDown(ctx); err != nil {
				t.Error(err)
			}
		}
		tx.Put(m.Storage()+"x", nil)
		return nil
	})
	if err != nil || runs != 2 {
		t.Errorf("%d runs, %v", runs, err)
	}
}

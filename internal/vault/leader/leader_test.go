package leader_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

const ttl = 3 * time.Second

// node is one process: its own way to the store, and what it does while it leads.
type node struct {
	*leader.Elector
	name   string
	way    *fault.Store
	leads  atomic.Int64 // how many Leads run: never more than one
	terms  atomic.Int64 // how many began
	fenced chan store.Store
}

func start(t *testing.T, base store.Store, name string) *node {
	return startIf(t, base, name, nil)
}

// startIf starts a node that leads only while fit returns nil.
func startIf(t *testing.T, base store.Store, name string, fit func() error) *node {
	n := &node{name: name, way: fault.New(store.Borrow(base)), fenced: make(chan store.Store, 100)}
	n.Elector = leader.Start(leader.Config{
		Store: n.way, Node: leader.Node{Name: name, Address: "https://" + name}, TTL: ttl, Fit: fit,
		Lead: func(ctx context.Context, s store.Store) {
			if n.leads.Add(1) > 1 {
				t.Error(name, "leads twice at once")
			}
			n.terms.Add(1)
			n.fenced <- s
			<-ctx.Done()
			n.leads.Add(-1)
		},
	})
	t.Cleanup(n.Close)
	return n
}

// bubble runs f in a time of its own, with an empty store.
func bubble(t *testing.T, f func(t *testing.T, base *mem.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		base := mem.New(mem.Config{})
		t.Cleanup(func() { _ = base.Close() })
		f(t, base)
	})
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// leading names who leads by their own word.
func leading(nodes ...*node) string {
	var names []string
	for _, n := range nodes {
		if n.Status().Self {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, " ")
}

func want(t *testing.T, what, who string, nodes ...*node) {
	t.Helper()
	if got := leading(nodes...); got != who {
		t.Fatalf("%s: %q lead, want %q", what, got, who)
	}
}

func TestOneLeads(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		a := start(t, base, "a")
		pass(0)
		b, c := start(t, base, "b"), start(t, base, "c")
		pass(10 * ttl)
		want(t, "undisturbed", "a", a, b, c)
		if s := b.Status(); s.Leader.Name != "a" || s.Leader.Address != "https://a" || s.Since.IsZero() {
			t.Errorf("b knows %+v", s)
		}
		if _, err := (<-a.fenced).Apply(t.Context(), store.Put("work", nil)); err != nil {
			t.Error("the leader cannot write:", err)
		}

		a.Close()
		pass(ttl / 3)
		if who := leading(b, c); who != "b" && who != "c" {
			t.Fatalf("the place was given up; %q lead a third of a TTL later", who)
		}
	})
}

// Who is asked to leave does, once: not for what was asked before its term began, and also if it does not
// know yet that it leads.
func TestLeave(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		a := start(t, base, "a")
		pass(0)
		b := start(t, base, "b")
		pass(ttl)
		term, err := base.Get(t.Context(), leader.Key)
		if err != nil {
			t.Fatal(err)
		}
		a.Leave(term.Revision)
		b.Leave(term.Revision + 1)
		pass(ttl)
		want(t, "what was asked before", "a", a, b)
		asked, err := base.Apply(t.Context(), store.Put("asked", nil))
		if err != nil {
			t.Fatal(err)
		}
		a.Leave(asked)
		b.Leave(asked)
		pass(ttl/3 + 1)
		want(t, "what was asked since", "b", a, b)
		a.Leave(asked)
		b.Leave(asked)
		pass(3 * ttl)
		want(t, "what was asked again", "b", a, b)

		b.Close()
		began := a.terms.Load()
		a.Leave(1 << 40) // asked for while nobody leads
		pass(ttl)
		if a.terms.Load() == began || a.Status().Self {
			t.Errorf("%d terms, then %d: it leads %v", began, a.terms.Load(), a.Status().Self)
		}
	})
}

// A leader that stops for longer than others wait gets nothing written when it goes on,
// and stands behind the new one.
func TestPaused(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		a := start(t, base, "a")
		pass(0)
		b := start(t, base, "b")
		goOn := make(chan struct{})
		remove := a.way.Add(fault.Rule{Hold: goOn})
		pass(ttl + ttl/3 + time.Millisecond)
		want(t, "while a is paused", "b", b)
		fenced := <-a.fenced
		remove()
		close(goOn)
		rev, err := fenced.Apply(t.Context(), store.Put("work", []byte("old")))
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "another node") {
			t.Errorf("an old leader writes: %d, %v", rev, err)
		}
		if e, err := base.Get(t.Context(), "work"); err != nil || e.Exists() {
			t.Errorf("it is written: %+v, %v", e, err)
		}
		if _, err := (<-b.fenced).Apply(t.Context(), store.Put("work", []byte("new"))); err != nil {
			t.Error(err)
		}
		pass(3 * ttl)
		want(t, "afterwards", "b", a, b)
	})
}

// A conflict of the work's own is told as one, for it to be run again.
func TestOwnConflict(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		a := start(t, base, "a")
		pass(0)
		_, err := (<-a.fenced).Apply(t.Context(), store.Put("work", nil).If(77))
		if !errs.Is(err, errs.Conflict) {
			t.Error(err)
		}
	})
}

func TestStepDown(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		a := start(t, base, "a")
		pass(0)
		b := start(t, base, "b")
		pass(ttl)
		if err := b.StepDown(t.Context()); !errs.Is(err, errs.Invalid) {
			t.Error("who does not lead steps down:", err)
		}
		if err := a.StepDown(t.Context()); err != nil || a.leads.Load() != 0 {
			t.Errorf("%v; %d still work", err, a.leads.Load())
		}
		pass(ttl / 3)
		want(t, "after a stepped down", "b", a, b)
		b.Close()
		pass(ttl / 2)
		want(t, "a does not stand yet", "", a)
		pass(2 * ttl)
		want(t, "a stands again", "a", a)
		a.Close()
		if err := a.StepDown(t.Context()); !errs.Is(err, errs.Invalid) {
			t.Error("a closed one steps down:", err)
		}
	})
}

// Who is not fit gives the place up without waiting for a TTL, and does not stand.
func TestUnfit(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		var unfit atomic.Bool
		a := startIf(t, base, "a", func() error {
			if unfit.Load() {
				return errs.New(errs.Unavailable, "deaf")
			}
			return nil
		})
		pass(0)
		b := start(t, base, "b")
		pass(ttl)
		want(t, "while all are fit", "a", a, b)
		unfit.Store(true)
		pass(ttl * 2 / 3)
		want(t, "a is not fit", "b", a, b)
		b.Close()
		pass(10 * ttl)
		want(t, "nobody else is there", "", a)
		if n := a.terms.Load(); n != 1 {
			t.Errorf("it began %d terms", n)
		}
		unfit.Store(false)
		pass(ttl / 3)
		want(t, "it is fit again", "a", a)
	})
}

// Who took the place, does not know, and is not fit by then, gives it up.
func TestUnfitWithLostAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		a := startIf(t, base, "a", nil)
		pass(0)
		a.Close()
		var calls atomic.Int64
		way := fault.New(store.Borrow(base))
		way.Add(fault.Rule{Op: fault.Apply, Times: 1, After: true, Err: errs.New(errs.Unavailable, "the answer is lost")})
		e := leader.Start(leader.Config{
			Store: way, TTL: ttl, Lead: func(context.Context, store.Store) { t.Error("it leads") },
			Fit: func() error {
				if calls.Add(1) == 1 {
					return nil
				}
				return errs.New(errs.Unavailable, "deaf")
			},
		})
		defer e.Close()
		pass(ttl / 2)
		b := start(t, base, "b")
		pass(0)
		want(t, "the place is free", "b", b)
	})
}

// The answer to a take-over is lost: who took it learns of it.
func TestLostAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		way := fault.New(store.Borrow(base))
		way.Add(fault.Rule{Op: fault.Apply, Times: 1, After: true, Err: errs.New(errs.Unavailable, "the answer is lost")})
		e := leader.Start(leader.Config{Store: way, TTL: ttl, Lead: func(ctx context.Context, _ store.Store) { <-ctx.Done() }})
		defer e.Close()
		pass(ttl/3 + time.Millisecond)
		if !e.Status().Self {
			t.Error("it has the place and does not know")
		}
	})
}

// An entry that nobody can read is not overwritten.
func TestDamaged(t *testing.T) {
	bubble(t, func(t *testing.T, base *mem.Store) {
		if _, err := base.Apply(t.Context(), store.Put(leader.Key, []byte("{"))); err != nil {
			t.Fatal(err)
		}
		a := start(t, base, "a")
		pass(10 * ttl)
		want(t, "the entry is damaged", "", a)
		if _, err := base.Apply(t.Context(), store.Delete(leader.Key)); err != nil {
			t.Fatal(err)
		}
		pass(ttl)
		want(t, "the entry is gone", "a", a)
	})
}

// Whatever happens to the nodes' ways to the store, what is written in the leader's name is
// of one term after the other; and when all is well again, exactly one leads.
func TestAnyFaults(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, base *mem.Store) {
				random := rand.New(rand.NewPCG(seed, 1))
				if _, err := base.Apply(t.Context(), store.Put("begin", nil)); err != nil { // revision 1, from where check watches
					t.Fatal(err)
				}
				w := &world{T: t, base: base, random: random}
				for i := range 3 {
					w.nodes = append(w.nodes, w.join(fmt.Sprint("n", i)))
				}
				for range 200 {
					w.disturb()
					pass(time.Duration(random.Int64N(int64(2 * ttl))))
				}
				for _, n := range w.nodes {
					n.way.Clear()
				}
				w.release()
				pass(5 * ttl)
				if who := leading(w.nodes...); who == "" || strings.Contains(who, " ") {
					t.Fatalf("in the end %q lead", who)
				}
				w.check()
			})
		})
	}
}

// world is three nodes that write all the time while they believe that they lead.
type world struct {
	*testing.T
	base   *mem.Store
	random *rand.Rand
	nodes  []*node
	held   []chan struct{}
	writes atomic.Int64
}

func (w *world) join(name string) *node {
	n := &node{name: name, way: fault.New(store.Borrow(w.base))}
	n.Elector = leader.Start(leader.Config{
		Store: n.way, Node: leader.Node{Name: name}, TTL: ttl,
		Lead: func(ctx context.Context, s store.Store) {
			for i := 0; ctx.Err() == nil; i++ {
				// The work outlives its context by one write, as real work does.
				text, err := json.Marshal(map[string]any{"node": name, "n": i})
				if err != nil {
					w.Error(err)
				}
				if _, err := s.Apply(context.WithoutCancel(ctx), store.Put("work", text)); err == nil {
					w.writes.Add(1)
				}
				time.Sleep(100 * time.Millisecond)
			}
		},
	})
	w.Cleanup(n.Close)
	return n
}

func (w *world) disturb() {
	n := w.nodes[w.random.IntN(len(w.nodes))]
	switch w.random.IntN(6) {
	case 0: // the process stands still
		hold := make(chan struct{})
		w.held = append(w.held, hold)
		n.way.Add(fault.Rule{Hold: hold})
	case 1:
		w.release()
	case 2:
		n.way.Add(fault.Rule{Op: fault.Apply, Times: 1 + w.random.IntN(20), After: true, Err: errs.New(errs.Unavailable, "lost")})
	case 3:
		n.way.Add(fault.Rule{Times: 1 + w.random.IntN(20), Err: errs.New(errs.Unavailable, "away")})
	case 4:
		n.way.Add(fault.Rule{Times: 1 + w.random.IntN(20), Delay: time.Duration(w.random.Int64N(int64(2 * ttl)))})
	default:
		n.way.Clear()
	}
}

// release lets those that stand still go on.
func (w *world) release() {
	for _, hold := range w.held {
		close(hold)
	}
	w.held = nil
	for _, n := range w.nodes {
		n.way.Clear()
	}
}

// check reads all that was ever written: each write of work is by who led at that moment.
func (w *world) check() {
	w.Helper()
	if w.writes.Load() < 100 {
		w.Fatalf("only %d writes: this shows nothing", w.writes.Load())
	}
	events, err := w.base.Watch(w.Context(), "", 1)
	if err != nil {
		w.Fatal(err)
	}
	defer events.Close()
	end, err := w.base.Apply(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	who, terms := "", 0
	for e := range events.Events() {
		for _, c := range e.Changes {
			var said struct{ Name, Node string }
			if len(c.Value) > 0 {
				if err := json.Unmarshal(c.Value, &said); err != nil {
					w.Fatal(err)
				}
			}
			switch c.Key {
			case leader.Key:
				who, terms = said.Name, terms+1
			case "work":
				if said.Node != who {
					w.Fatalf("revision %d: %s writes while %q leads", e.Revision, said.Node, who)
				}
			}
		}
		if e.Revision >= end {
			break
		}
	}
	if terms < 3 {
		w.Fatalf("only %d terms: this shows nothing", terms)
	}
}

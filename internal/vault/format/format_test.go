package format

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

func put(t *testing.T, s store.Store, value string) {
	t.Helper()
	if _, err := s.Apply(t.Context(), store.Put(Key, []byte(value))); err != nil {
		t.Fatal(err)
	}
}

func revision(t *testing.T, s store.Store) store.Revision {
	t.Helper()
	rev, err := s.Apply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

func TestCheck(t *testing.T) {
	three := Program{Version: "0.3.0", Newest: 3, Oldest: 2, Reader: 3}
	for _, c := range []struct {
		name, value string
		program     Program
		kind        errs.Kind // with word
		word        string    // "" = taken
	}{
		{name: "a store of before", program: Program{Newest: 1, Oldest: 1}},
		{name: "the same", value: `{"written":3,"reader":3,"program":"x"}`, program: three},
		{name: "one before", value: `{"written":2,"reader":2,"program":"x"}`, program: three},
		{name: "newer that the older reads", value: `{"written":4,"reader":3,"program":"x"}`, program: three},
		{name: "fields of a later program", value: `{"written":3,"reader":3,"program":"x","more":{"a":1}}`, program: three},
		{name: "too old a program", value: `{"written":4,"reader":4,"program":"0.4.0"}`, program: three, kind: errs.Unsupported, word: `switched on by version "0.4.0"`},
		{name: "too new a program", value: `{"written":1,"reader":1,"program":"x"}`, program: three, kind: errs.Unsupported, word: "run a version between"},
		{name: "too new a program, no entry", program: three, kind: errs.Unsupported, word: "formats 2 to 3"},
		{name: "no JSON", value: `{"written":3`, program: three, kind: errs.Internal, word: Key},
		{name: "no number", value: `{}`, program: three, kind: errs.Internal, word: Key},
		{name: "impossible", value: `{"written":1,"reader":2}`, program: three, kind: errs.Internal, word: Key},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mem.New(mem.Config{})
			if c.value != "" {
				put(t, s, c.value)
			}
			before := revision(t, s)
			_, err := c.program.Check(t.Context(), s)
			if c.word == "" != (err == nil) || err != nil && (errs.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.word)) {
				t.Error(err)
			}
			if after := revision(t, s); after != before {
				t.Error("a check has written something")
			}
		})
	}
}

// A store that only its own process writes to is switched at once, unless that is held back.
func TestAlone(t *testing.T) {
	s := mem.New(mem.Config{})
	two := Program{Version: "0.2.0", Newest: 2, Oldest: 1, Reader: 2}
	held, err := Open(t.Context(), Config{Raw: s, Program: two, Hold: true, Log: slog.New(slog.DiscardHandler)})
	if err != nil || held.Writes() != 1 || !held.Record().Downgrade(two) {
		t.Fatal(held.Record(), err)
	}
	if _, err := (Program{Version: "0.1.0", Newest: 1, Oldest: 1, Reader: 1}).Check(t.Context(), s); err != nil {
		t.Error("the version before cannot be gone back to:", err)
	}
	k, err := Open(t.Context(), Config{Raw: s, Program: two, Log: slog.New(slog.DiscardHandler)})
	if err != nil || k.Writes() != 2 || k.Record().Downgrade(two) {
		t.Fatal(k.Record(), err)
	}
	before := revision(t, s)
	if _, err := Open(t.Context(), Config{Raw: s, Program: Program{Newest: 1, Oldest: 1}, Log: slog.New(slog.DiscardHandler)}); !errs.Is(err, errs.Unsupported) {
		t.Error("the version before opens it:", err)
	}
	if revision(t, s) != before {
		t.Error("a program that is refused has written something")
	}
	if again, err := Open(t.Context(), Config{Raw: s, Program: two, Hold: true, Log: slog.New(slog.DiscardHandler)}); err != nil || again.Writes() != 2 {
		t.Error("what is held back later is switched on all the same:", err)
	}
}

// roster is what nodes of one store know of each other.
type roster struct {
	mu   sync.Mutex
	live map[string]int
}

// node is one of them, as it sees the roster.
type node struct {
	*roster
	name    string
	newest  int
	leading bool
	current error
	asked   func() // when the roster is read; nil = nothing
}

func (n *node) SayAlive(context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.live[n.name] = n.newest
	return nil
}

func (n *node) Nodes(context.Context) ([]leader.NodeStatus, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := []leader.NodeStatus{{Format: 0, Alive: false}} // killed long ago
	for _, newest := range n.live {
		all = append(all, leader.NodeStatus{Format: newest, Alive: true})
	}
	if n.asked != nil {
		n.asked()
	}
	return all, nil
}

func (n *node) Leader() (leader.Status, bool) { return leader.Status{Self: n.leading}, true }
func (n *node) Current() error                { return n.current }

func (r *roster) node(t *testing.T, s store.Store, name string, p Program, leading bool) (*Keeper, func()) {
	t.Helper()
	k, err := Open(t.Context(), Config{
		Raw: s, Program: p, Log: slog.New(slog.DiscardHandler), Node: &node{roster: r, name: name, newest: p.Newest, leading: leading},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k, func() {
		k.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.live, name)
	}
}

// What a newer program writes is switched on when the last older one has gone, and not before; one
// that comes back without having been counted serves nothing.
func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := mem.New(mem.Config{}), &roster{live: map[string]int{}}
		one, two := Program{Newest: 1, Oldest: 1, Reader: 1}, Program{Newest: 2, Oldest: 1, Reader: 2}
		_, stopOld := r.node(t, s, "old", one, false)
		defer stopOld()
		paused, stopPaused := r.node(t, s, "paused", one, false)
		defer stopPaused()
		leading, stopNew := r.node(t, s, "new", two, true)
		defer stopNew()
		time.Sleep(10 * settled)
		synctest.Wait()
		if leading.Writes() != 1 {
			t.Fatal("switched on while nodes live that cannot read it")
		}
		stopOld()
		r.mu.Lock()
		delete(r.live, "paused") // it is silent
		r.mu.Unlock()
		time.Sleep(2 * every)
		synctest.Wait()
		if leading.Writes() != 2 {
			t.Fatal("not switched on though all that live can read it")
		}
		time.Sleep(2 * every)
		synctest.Wait()
		if err := paused.Refused(); !errs.Is(err, errs.Unavailable) {
			t.Error("a node that cannot read what is written goes on:", err)
		}
		if leading.Refused() != nil {
			t.Error(leading.Refused())
		}
	})
}

// A node that opens the store between the reading of the roster and the switch is seen.
func TestJoinDuringSwitch(t *testing.T) {
	s, r := mem.New(mem.Config{}), &roster{live: map[string]int{}}
	two := Program{Newest: 2, Oldest: 1, Reader: 2}
	self, others := &node{roster: &roster{live: map[string]int{}}}, r
	self.asked = func() { // behind the leader's back, once
		self.asked = nil
		_, stop := others.node(t, s, "late", Program{Newest: 1, Oldest: 1, Reader: 1}, false)
		stop()
	}
	k := &Keeper{cfg: Config{Raw: s, Program: two, Log: slog.New(slog.DiscardHandler), Node: self}}
	k.now.Store(&Record{Written: 1, Reader: 1})
	k.settle(t.Context())
	for range 2 { // the second time the roster may not tell yet of who came
		if rec, err := Read(t.Context(), s); err != nil || rec.Written != 1 {
			t.Fatal("switched on under a node that had just opened the store:", rec, err)
		}
		k.settle(t.Context())
	}
	k.since = time.Now().Add(-told)
	k.settle(t.Context())
	if rec, err := Read(t.Context(), s); err != nil || rec.Written != 2 {
		t.Fatal(rec, err)
	}
}

// A node whose watch is behind does not know yet that another has come, whose entry is on the
// roster: it waits for as long as it can be behind.
func TestRosterBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := mem.New(mem.Config{}), &roster{live: map[string]int{}}
		leading, stop := r.node(t, s, "new", Program{Newest: 2, Oldest: 1, Reader: 2}, true)
		defer stop()
		time.Sleep(settled - 2*every)
		if _, err := s.Apply(t.Context(), store.Put(JoinKey, nil)); err != nil { // it came, and its sign of life is on its way
			t.Fatal(err)
		}
		time.Sleep(3 * every)
		r.mu.Lock()
		r.live["old"] = 1
		r.mu.Unlock()
		time.Sleep(2 * settled)
		synctest.Wait()
		if leading.Writes() != 1 {
			t.Error("switched on under a node that was not known yet to live")
		}
	})
}

// A server that still has the vault open when it is moved elsewhere serves nothing any more.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := mem.New(mem.Config{}), &roster{live: map[string]int{}}
		k, stop := r.node(t, s, "running", This, false)
		defer stop()
		time.Sleep(2 * every)
		if err := k.Refused(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Apply(t.Context(), store.Put(snapshot.MovedKey, []byte(`{"id":"x","by":"migrate"}`))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * every)
		synctest.Wait()
		if err := k.Refused(); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "was moved out of this store") {
			t.Error(err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"written":2,"reader":1,"program":"0.1.0"}`))
	f.Add([]byte(`{"written":-1}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := Decode(value)
		if err != nil {
			if !errs.Is(err, errs.Internal) {
				t.Fatal(err)
			}
			return
		}
		if r.Reader < first || r.Written < r.Reader {
			t.Fatalf("%+v", r)
		}
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Decode(raw); len(raw) <= maxRecord && (err != nil || again != r) {
			t.Fatal(again, err)
		}
	})
}

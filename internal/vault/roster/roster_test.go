package roster_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/roster"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// A node that ends is gone at once; one that was killed is listed as dead, and removed after an hour by the leader.
func TestRoster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		defer s.Close()
		at := func(name string) roster.Config {
			return roster.Config{
				Store: s, Self: leader.Node{ID: name + "-id", Name: name, Address: "https://" + name}, Version: "1.2.3", Now: time.Now,
				Leader: func() leader.Status { return leader.Status{Leader: leader.Node{ID: "a-id"}, Self: name == "a"} },
				Log:    slog.New(slog.DiscardHandler),
			}
		}
		a, b := roster.New(at("a")), roster.New(at("b"))
		watch, err := s.Watch(t.Context(), roster.Prefix, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Close()
		go func() { // as the follower of a's node does
			for e := range watch.Events() {
				for _, c := range e.Changes {
					if c.Op == store.OpPut {
						a.Note(strings.TrimPrefix(c.Key, roster.Prefix))
					}
				}
			}
		}()
		ctx, stopA := context.WithCancel(t.Context())
		defer stopA()
		go a.Run(ctx)
		ctxB, stopB := context.WithCancel(t.Context())
		go b.Run(ctxB)
		all := func() []leader.NodeStatus {
			t.Helper()
			synctest.Wait()
			nodes, err := a.All(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return nodes
		}
		time.Sleep(time.Minute)
		nodes := all()
		if len(nodes) != 2 || !nodes[0].Self || !nodes[0].Leading || nodes[1].Name != "b" || nodes[1].Version != "1.2.3" || !nodes[1].Alive || nodes[1].Leading || nodes[1].Heard.IsZero() {
			t.Errorf("%+v", nodes)
		}
		stopB()
		if nodes = all(); len(nodes) != 1 {
			t.Errorf("a node that has ended is listed: %+v", nodes)
		}

		// One that was killed leaves its entry.
		if _, err := s.Apply(t.Context(), store.Put(roster.Prefix+"c-id", []byte(`{"id":"c-id","name":"c"}`))); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if nodes = all(); len(nodes) != 2 || nodes[1].Alive || nodes[1].Name != "c" {
			t.Errorf("%+v", nodes)
		}
		time.Sleep(time.Hour)
		if nodes = all(); len(nodes) != 1 {
			t.Errorf("after an hour: %+v", nodes)
		}
	})
}

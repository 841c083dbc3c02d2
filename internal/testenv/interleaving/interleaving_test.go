package interleaving_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/testenv/interleaving"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// two has two processes write into the store, and returns the order of their steps, and whether both did.
func two(t *testing.T, seed uint64, dies int) (order string, both bool) {
	synctest.Test(t, func(t *testing.T) {
		var steps []string
		m := interleaving.New(t, interleaving.Config{
			Seed: [2]uint64{seed, 3}, Longest: time.Minute, Dies: dies,
			Pauses: func(what string) int {
				steps = append(steps, what)
				return 5
			},
		})
		for _, name := range []string{"a", "b"} {
			p := m.Join(name)
			go func() {
				_ = p.Config().Update(context.Background(), func(_ context.Context, tx engine.Tx) error {
					tx.Put(name, nil)
					return nil
				})
				p.Step("ended " + name)
			}()
		}
		m.Turns(10, time.Minute)
		m.Calmly()
		names, err := m.Store.List(t.Context(), "", "", 0)
		if err != nil {
			t.Fatal(err)
		}
		order, both = strings.Join(steps, ", "), len(names) == 2
	})
	return order, both
}

// A schedule is its seed's alone; there are many of them; and who dies ends.
func TestSchedules(t *testing.T) {
	orders := map[string]bool{}
	for seed := range uint64(50) {
		order, both := two(t, seed, 1<<30)
		again, _ := two(t, seed, 1<<30)
		if order != again {
			t.Errorf("seed %d: %s; then %s", seed, order, again)
		}
		if !both {
			t.Errorf("seed %d: nobody died, and something is not done: %s", seed, order)
		}
		orders[order] = true
		if _, both := two(t, seed, 1); both {
			t.Errorf("seed %d: all die, and both have done what they were to do", seed)
		}
	}
	if len(orders) < 10 {
		t.Errorf("50 seeds make %d orders", len(orders))
	}
}

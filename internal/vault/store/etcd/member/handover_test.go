package member_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// A leader that is stopped on purpose hands over, and nobody who reads and writes on the
// other members notices.
func TestHandOver(t *testing.T) {
	t.Parallel()
	all := list(t, 3)
	nodes := together(t, all)
	for round := range 3 {
		lead := -1
		eventually(t, "a leader", func() bool {
			for i, m := range nodes {
				if m.Health().Leader {
					lead = i
				}
			}
			return lead >= 0
		})
		others := []*member.Member{nodes[(lead+1)%3], nodes[(lead+2)%3]}
		end := busy(t, others, fmt.Sprint("f/", round))
		if err := nodes[lead].Close(); err != nil {
			t.Fatal(err)
		}
		end()
		nodes[lead] = open(t, all[lead])
	}
}

// busy has clients write and read on each of nodes, from when it returns until end is called,
// which waits until each has done so twice more. Each error fails the test.
func busy(t *testing.T, nodes []*member.Member, prefix string) (end func()) {
	t.Helper()
	var running, begun sync.WaitGroup
	ended := make(chan struct{})
	for n, m := range nodes {
		s := storeOf(t, m, etcd.Config{})
		for c := range 8 {
			begun.Add(1)
			running.Go(func() {
				begin := sync.OnceFunc(begun.Done)
				defer begin()
				key := fmt.Sprintf("%s/%d-%d", prefix, n, c)
				for last := 0; last < 2; {
					select {
					case <-ended:
						last++
					default:
					}
					if err := once(t.Context(), s, key); err != nil {
						t.Error(err)
						return
					}
					begin()
				}
			})
		}
	}
	begun.Wait()
	return func() {
		close(ended)
		running.Wait()
	}
}

func once(ctx context.Context, s store.Store, key string) error {
	rev, err := s.Apply(ctx, store.Put(key, []byte(key)))
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	e, err := s.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	if e.Revision != rev {
		return fmt.Errorf("%s has revision %d, not %d", key, e.Revision, rev)
	}
	return nil
}

package storetest

import (
	"fmt"
	"slices"
	"sync"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// snapshotTests are for stores that are store.Snapshotter; the others skip them.
func snapshotTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"whole, in order":          snapshotWhole,
		"one moment":               snapshotMoment,
		"amid transactions":        snapshotAmid,
		"of an empty store":        snapshotEmpty,
		"closed before it is read": snapshotClosed,
	}
}

func (s *suite) snapshot() store.Snapshot {
	s.Helper()
	source, ok := s.store.(store.Snapshotter)
	if !ok {
		s.Skip("this store has no snapshots")
	}
	snap, err := source.Snapshot(s.ctx)
	s.must(err)
	s.Cleanup(func() { _ = snap.Close() })
	return snap
}

// entries are all that are left of a snapshot.
func (s *suite) entries(snap store.Snapshot) (all []store.Entry) {
	s.Helper()
	for {
		e, err := snap.Next(s.ctx)
		s.must(err)
		if e.Key == "" {
			s.must(snap.Close())
			return all
		}
		e.Value = slices.Clone(e.Value)
		all = append(all, e)
	}
}

func snapshotWhole(s *suite) {
	const n = 3000 // several pages
	keys := make([]string, 0, n)
	for i := range n {
		keys = append(keys, fmt.Sprintf("f%d/n%d", i%7, i))
	}
	for batch := range slices.Chunk(keys, 500) {
		changes := make([]store.Change, len(batch))
		for i, key := range batch {
			changes[i] = store.Put(key, []byte("of "+key))
		}
		_, err := s.store.Apply(s.ctx, changes...)
		s.must(err)
	}
	last := s.put("zero", "")
	snap := s.snapshot()
	if snap.Revision() < last {
		s.Errorf("a snapshot of revision %d has not what was committed as %d", snap.Revision(), last)
	}
	slices.Sort(keys)
	all := s.entries(snap)
	if len(all) != n+1 || all[n].Key != "zero" || len(all[n].Value) != 0 || all[n].Revision != last {
		s.Fatalf("%d entries, want %d", len(all), n+1)
	}
	for i, key := range keys {
		if all[i].Key != key || string(all[i].Value) != "of "+key || all[i].Revision == 0 {
			s.Fatalf("entry %d is %q, want %q", i, all[i].Key, key)
		}
	}
}

func snapshotMoment(s *suite) {
	s.put("a", "1")
	s.put("b", "1")
	snap := s.snapshot()
	s.put("a", "2")
	s.put("c", "2")
	_, err := s.store.Apply(s.ctx, store.Delete("b"))
	s.must(err)
	all := s.entries(snap)
	if len(all) != 2 || all[0].Key != "a" || string(all[0].Value) != "1" || all[1].Key != "b" {
		s.Errorf("%d entries of another moment", len(all))
	}
}

// snapshotAmid has writers that keep two entries equal: no snapshot may show them different.
func snapshotAmid(s *suite) {
	first := s.snapshot()
	s.must(first.Close())
	stop := make(chan struct{})
	var writers sync.WaitGroup
	writers.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			value := fmt.Appendf(nil, "%d", i)
			if _, err := s.store.Apply(s.ctx, store.Put("first", value), store.Put("second", value)); err != nil {
				s.Error(err)
				return
			}
		}
	})
	for range 20 {
		all := s.entries(s.snapshot())
		if len(all) == 0 {
			continue
		}
		if len(all) != 2 || string(all[0].Value) != string(all[1].Value) || all[0].Revision != all[1].Revision {
			s.Errorf("half a transaction: %d entries", len(all))
			break
		}
	}
	close(stop)
	writers.Wait()
}

func snapshotEmpty(s *suite) {
	if all := s.entries(s.snapshot()); len(all) != 0 {
		s.Errorf("%d entries", len(all))
	}
}

func snapshotClosed(s *suite) {
	s.put("a", "1")
	snap := s.snapshot()
	_, err := snap.Next(s.ctx)
	s.must(err)
	s.must(snap.Close())
	s.must(snap.Close())
	s.must(s.store.Close()) // which would wait for a snapshot that is open
}

package pebble_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
)

// TestPowerLoss takes pictures of a file system under load, each as a power
// failure would leave it: with what was synced and a random part of the rest.
// Each picture must hold all that was acknowledged or shown before.
func TestPowerLoss(t *testing.T) {
	told := &acked{}
	fs := vfs.NewCrashableMem()
	random := rand.New(rand.NewPCG(3, 3))
	for round := range 12 {
		fs = powerLoss(t, fs, told, random)
		s := open(t, pebble.Config{Dir: "/store", FS: fs})
		told.verify(t, s)
		if t.Failed() {
			t.Fatalf("after power loss %d", round+1)
		}
		if round%2 == 0 { // every other power loss hits a store that was closed
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
		if round%2 == 1 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("revision %d", told.rev)
}

// powerLoss runs writers and readers on fs and returns what a power failure
// amid their work leaves.
func powerLoss(t *testing.T, fs *vfs.MemFS, told *acked, random *rand.Rand) *vfs.MemFS {
	t.Helper()
	s := open(t, pebble.Config{Dir: "/store", FS: fs, MemTableBytes: 256 << 10})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var written atomic.Int64
	for w := range crashWriters {
		wg.Go(func() {
			_ = crashWriter(ctx, s, w, func(n uint64, rev store.Revision) {
				told.note(w, n, rev)
				written.Add(1)
			})
		})
		wg.Go(func() { // what a reader was shown counts like what a writer was told
			for ctx.Err() == nil {
				if e, err := s.Get(ctx, crashKey(w, w%crashKeys)); err == nil {
					told.note(w, counter(e), e.Revision)
				}
				runtime.Gosched()
			}
		})
	}
	for after := written.Load() + 50 + int64(random.IntN(1000)); written.Load() < after; {
		runtime.Gosched()
	}
	// Nothing may be noted between taking the picture and its end that the
	// picture does not hold: hold the notes first.
	told.mu.Lock()
	left := fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: random.IntN(101),
		RNG:                 random,
	})
	before := acked{last: told.last, rev: told.rev}
	told.mu.Unlock()
	cancel()
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	told.last, told.rev = before.last, before.rev
	return left
}

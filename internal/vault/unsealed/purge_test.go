package unsealed

import (
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// While something cannot be deleted, each further change of a mount must not
// leave one more goroutine that tries.
func TestOneGoroutinePurges(t *testing.T) {
	b := newBench(t, nil)
	b.fault.Add(fault.Rule{Op: fault.List, Prefix: mount.PurgePrefix, Err: errs.New(errs.Unavailable, "down")})
	for range 20 {
		tx := b.v.Begin()
		tx.Put(mount.EntryPrefix+"x", nil)
		if err := b.v.TakeUp(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(stacks.String(), "purge.(*Purger).Run("); n > 1 { // 0: the one has not begun
		t.Errorf("%d goroutines purge", n)
	}
}

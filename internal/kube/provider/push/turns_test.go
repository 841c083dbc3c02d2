package push

import (
	"context"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// One secret is written by one at a time, others meanwhile; who gives up holds nobody
// up, and nothing is left behind.
func TestTurns(t *testing.T) {
	var turns Turns
	done, err := turns.Take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	other, err := turns.Take(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := turns.Take(ended, "a"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("giving up: %v", err)
	}
	var wg sync.WaitGroup
	writing, most := 0, 0 // without a lock of their own: the race detector looks
	for range 50 {
		wg.Go(func() {
			done, err := turns.Take(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			defer done()
			writing++
			most = max(most, writing)
			writing--
		})
	}
	done()
	wg.Wait()
	if most != 1 || len(turns.turns) != 0 {
		t.Errorf("%d at a time, %d left behind", most, len(turns.turns))
	}
}

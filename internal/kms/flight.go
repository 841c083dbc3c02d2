package kms

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// flights are questions to the store that many callers wait for. Each is a goroutine
// that none of its callers ends for the others; who runs the plugin ends them all.
type flights struct {
	group  singleflight.Group
	life   context.Context // of each; ends with land
	cancel context.CancelFunc

	mu     sync.Mutex // guards landed, and counting up from waiting for
	landed bool
	under  sync.WaitGroup // who is on the way
}

func newFlights() *flights {
	f := new(flights)
	f.life, f.cancel = context.WithCancel(context.Background())
	return f
}

// land ends what is on the way and waits for it. Nothing sets out afterwards.
func (f *flights) land() {
	f.mu.Lock()
	f.landed = true
	f.mu.Unlock()
	f.cancel()
	f.under.Wait()
}

func (f *flights) begin() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.landed {
		f.under.Add(1)
	}
	return !f.landed
}

// share does ask once for all who want it at once under a name, in the time that is
// given and not in ctx's, which only ends the waiting. Kind Unavailable if that ends, or
// the plugin does; and ask's.
func (f *flights) share(ctx context.Context, name string, most time.Duration, ask func(context.Context) error) error {
	done := f.group.DoChan(name, func() (any, error) {
		if !f.begin() {
			return nil, errs.New(errs.Unavailable, "the plugin is ending")
		}
		defer f.under.Done()
		ctx, cancel := context.WithTimeout(f.life, most)
		defer cancel()
		return nil, ask(ctx)
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "waiting for the key store: %w", ctx.Err())
	}
}

package keeper

import (
	"context"
	"sync"
	"time"
)

// look is how often it is looked whether there is something to do.
const look = 5 * time.Second

// Ready returns where the plans are, while snapshots are to be made here; false: they are not.
type Ready func() (Reader, bool)

// Start tends the plans in the background until the returned function is called, which waits.
func (k *Keeper) Start(ctx context.Context, ready Ready) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { k.run(ctx, ready) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (k *Keeper) run(ctx context.Context, ready Ready) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	var next time.Time
	was := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
			next = time.Time{}
		case <-ticker.C:
		}
		plans, here := ready()
		if !here {
			next = time.Time{}
			continue
		}
		is, err := changes(ctx, plans)
		if err == nil && is == was && k.cfg.Now().Before(next) {
			continue
		}
		was = is
		if next, err = k.Tend(ctx, plans); err != nil && ctx.Err() == nil {
			k.cfg.Log.Error("keeping the snapshots", "error", err)
			next = k.cfg.Now().Add(time.Minute)
		}
	}
}

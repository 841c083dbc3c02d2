package unseal

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// How often keys are asked for that are away, those that refuse, and, once the vault is open, those that
// could not be opened.
const (
	askAway    = 2 * time.Second
	askRefuses = 30 * time.Second
	askOpen    = time.Minute
)

// Try opens the vault by a key, the ones included that could not be opened before. It is nil if the vault is open, and
// Sealed if there is none yet. Why it stays sealed is logged, once for each reason. again is when to try again.
func (r *Ring) Try(ctx context.Context) (again time.Duration, err error) {
	r.again()
	err = r.Gate.AutoUnseal(ctx)
	if err == nil || errs.Is(err, errs.Sealed) {
		return askAway, err
	}
	away := errs.Is(err, errs.Unavailable) || errs.Is(err, errs.Exhausted) // nobody answers, or who keeps it has too much to do
	if broken := r.Broken(); broken != nil {
		away = true // a look at a file costs nothing
		if errs.Is(err, errs.Unsupported) {
			err = nil // that there is no other key says nothing
		}
		err = errors.Join(err, broken)
	}
	again = askRefuses
	if away {
		again = askAway
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if text := err.Error(); text != r.said {
		r.said = text
		r.Log.ErrorContext(ctx, "the vault stays sealed; shares open it (strongkeep operator unseal)", "error", err, "tried_again", again)
	}
	return again, err
}

// again opens those keys of the configuration in force that could not be opened before.
func (r *Ring) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.unusable()
	if len(before) == 0 {
		return
	}
	all, broken, err := open(r.keys)
	if err != nil || len(broken) >= len(before) {
		return // a key that is held already may be lost to its file meanwhile: it is kept
	}
	r.broken.Store(&broken)
	r.opened.Store(&all)
	r.Log.Info("unseal keys that could not be opened can be now", "left", len(broken))
	r.Gate.Barrier().SetWrappers(all)
}

// Tend looks after the keys until ctx ends. If the vault was left sealed at the start, and await says so, it opens it
// as soon as a key does, unless people are faster. It never opens one again that has been open: who sealed it meant it.
func (r *Ring) Tend(ctx context.Context, await bool) {
	wait := askOpen
	if await {
		wait = askAway
	}
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if !await {
			r.again()
			continue
		}
		if r.Gate.Format() != nil { // it has been open
			await, wait = false, askOpen
			continue
		}
		if r.Usable(ctx) != nil {
			continue
		}
		var err error
		if wait, err = r.Try(ctx); err == nil {
			r.Log.Info("the vault is open: its key is there")
			await, wait = false, askOpen
		}
	}
}

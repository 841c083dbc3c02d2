package unsealed

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/follow"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// newFollower has what this node keeps in memory, which is built from now on, follow what
// others write: rev is the store's revision before.
func (v *Vault) newFollower(rev store.Revision) *follow.Follower {
	return follow.New(follow.Config{Store: v.Store, MaxSilence: v.cfg.MaxSilence, Take: v.takeEvent, TakeAll: v.takeAll, Deaf: func() { v.Events.Lose() }, Log: v.cfg.Log}, rev)
}

// Current returns Unavailable if this node may serve what is no longer so: nothing was heard
// of the store for too long. A vault whose store nobody else writes to is always current.
func (v *Vault) Current() error {
	if v.follower == nil || !v.follower.Silent() {
		return nil
	}
	if v.follower.Stuck() {
		return errs.New(errs.Unavailable, "this node cannot take up what another one has changed, and does not answer without it; its log says why, and it tries again by itself")
	}
	return errs.New(errs.Unavailable, "this node has lost touch with its store, and does not answer from what it remembers; it goes on by itself")
}

// takeEvent takes up one commit, this node's own among them.
func (v *Vault) takeEvent(ctx context.Context, e *store.Event) error {
	if changed := touchedBy(e.Changes); changed != (touched{}) {
		if err := v.takeUp(ctx, changed); err != nil {
			return err
		}
	}
	for i := range e.Changes {
		v.hear(&e.Changes[i], e.Revision)
		v.countAnew(e.Changes[i].Key)
	}
	return nil
}

func (v *Vault) takeAll(ctx context.Context) error {
	v.Events.Lose()
	if err := v.takeUp(ctx, touched{namespaces: true, mounts: true, quotas: true, settings: true, devices: true, headers: true, held: true}); err != nil {
		return err
	}
	return v.hearAll(ctx)
}

// takeUp brings memory in step with the store.
func (v *Vault) takeUp(ctx context.Context, changed touched) error {
	v.reload.Lock()
	defer v.reload.Unlock()
	if err := v.load(ctx, changed); err != nil {
		return err
	}
	if changed.devices {
		// One that cannot be enabled here was enabled elsewhere: this node does not serve what
		// it cannot put on record, and the one that enabled it does not lose it.
		if err := v.syncDevices(ctx); err != nil {
			return err
		}
	}
	if changed.held {
		if _, err := v.Leases.Restore(ctx, false); err != nil {
			return err
		}
		select {
		case v.holdAsked <- struct{}{}:
		default: // it is looked at anyway
		}
	}
	if changed.headers {
		return v.loadHeaders(ctx)
	}
	return nil
}

// holdAsIs stops all that ends or works by itself, or lets it go on, whenever another node asks for
// it, until ctx ends. It waits for workers, whom nobody else shall wait for.
func (v *Vault) holdAsIs(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.holdAsked:
		}
		held, err := v.Leases.Restore(ctx, false)
		for ; err != nil && ctx.Err() == nil; held, err = v.Leases.Restore(ctx, false) {
			v.cfg.Log.Warn("looking whether leases are held", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		if err == nil {
			v.Leases.SetHeld(held)
		}
	}
}

package snapshot

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Move says from where to where a vault moves. No server uses either store.
type Move struct {
	From, To store.Store // base stores; To is empty, or an earlier Migrate did not finish
	Now      time.Time
	Tell     func(done uint64) // progress; may be nil
	// Listen is for how long nobody may have written to From, which several servers share: longer than one
	// is silent that has the vault open. 0 = no server can use it meanwhile.
	Listen time.Duration
}

// LeastListen is more than passes between two signs of life of servers that share a store.
const LeastListen = 7 * time.Second

// Migrate moves a vault into another store, entry by entry, and compares both before the
// one that is left is marked and the other begins to be a vault. At no instant does a
// server start on both: it may end anywhere, and the same call again takes it to its end.
// It returns how many entries were moved; 0 if they had been before. Kinds: Exist (To is not empty), Invalid (there
// is no vault in From, or it was moved elsewhere), those of the stores.
func Migrate(ctx context.Context, m Move) (uint64, error) {
	f := filler{store: m.To, mark: newMark("migrate", m.Now), tell: m.Tell}
	left, err := readMark(ctx, m.From, MovedKey)
	if err != nil {
		return 0, err
	}
	if left != nil {
		done, err := arrived(ctx, m.To, left)
		if err != nil {
			return 0, err
		}
		if done {
			return 0, nil // a server may have written to it since
		}
		f.mark.ID = left.ID
	}
	if err := movable(ctx, m.From); err != nil {
		return 0, err
	}
	if err := quiet(ctx, m.From, m.Listen); err != nil {
		return 0, err
	}
	if err := f.begin(ctx); err != nil {
		return 0, err
	}
	if err := copyAll(ctx, &f, m.From); err != nil {
		return 0, err
	}
	if _, err := compareAll(ctx, &f, m.From); err != nil {
		return 0, err
	}
	return leave(ctx, &f, m.From, m.Listen)
}

// quiet returns Unavailable if somebody writes to a store within that time.
func quiet(ctx context.Context, s store.Store, listen time.Duration) error {
	if listen == 0 {
		return nil
	}
	w, err := s.Watch(ctx, "", 0)
	if err != nil {
		return err
	}
	defer w.Close()
	over := time.NewTimer(listen)
	defer over.Stop()
	for {
		select {
		case e, ok := <-w.Events():
			if !ok {
				return errors.Join(errs.New(errs.Unavailable, "listening whether a server still runs on the store ended early: run the command again"), w.Err())
			}
			if len(e.Changes) > 0 {
				return errs.New(errs.Unavailable, "a server still runs on the store to move: something was just written to it; stop all servers of ha_enabled (strongkeep operator members names them), and run the command again")
			}
		case <-over.C:
			return nil
		case <-ctx.Done():
			return errs.Newf(errs.Unavailable, "listening whether a server still runs on the store: %w", ctx.Err())
		}
	}
}

// leave takes the vault out of from, and makes one of the store that was filled.
func leave(ctx context.Context, f *filler, from store.Store, listen time.Duration) (uint64, error) {
	if _, err := from.Apply(ctx, f.mark.change(MovedKey)); err != nil {
		return 0, err
	}
	// A server that was paused when nobody was to be heard sees the mark within a second.
	if err := quiet(ctx, from, listen); err != nil {
		return 0, err
	}
	// Once more: from here on no server can have written to the one that is left.
	n, err := compareAll(ctx, f, from)
	if err != nil {
		return 0, err
	}
	origin, _, err := ReadOrigin(ctx, from)
	if err != nil {
		return 0, err
	}
	if origin == nil || !origin.Hold { // one that was restored and never opened is opened there
		origin = new(Origin)
	}
	origin.ID, origin.Time, origin.By = f.mark.ID, f.mark.Time, f.mark.By
	return n, f.finish(ctx, *origin)
}

// arrived reports whether the vault that left has arrived in to. Kind Invalid: it went
// somewhere else.
func arrived(ctx context.Context, to store.Store, left *Mark) (bool, error) {
	o, _, err := ReadOrigin(ctx, to)
	if err != nil {
		return false, err
	}
	if o != nil && o.ID == left.ID {
		return true, nil
	}
	filling, err := readMark(ctx, to, FillingKey)
	if err != nil {
		return false, err
	}
	if filling == nil || filling.ID != left.ID {
		return false, errs.Newf(errs.Invalid, "the vault has left this store already, at %s (move %s), and not for the one that was named; if what it went to is lost, save a snapshot of this store and restore that", left.Time.Format(time.RFC3339), left.ID)
	}
	return false, nil
}

// movable returns Invalid unless a whole vault is in the store.
func movable(ctx context.Context, s store.Store) error {
	filling, err := readMark(ctx, s, FillingKey)
	if err != nil {
		return err
	}
	if filling != nil {
		return errs.Newf(errs.Invalid, "the store to move is itself half filled, by a %s: end that first", filling.By)
	}
	e, err := s.Get(ctx, seal.ConfigKey)
	if err == nil && !e.Exists() {
		err = errs.New(errs.Invalid, "there is no vault in the store to move: it is not initialized")
	}
	return err
}

func copyAll(ctx context.Context, f *filler, from store.Store) (err error) {
	snap, err := snapshotOf(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	return f.fill(ctx, snap)
}

func compareAll(ctx context.Context, f *filler, from store.Store) (n uint64, err error) {
	snap, err := snapshotOf(ctx, from)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	return f.compare(ctx, snap)
}

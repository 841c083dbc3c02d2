package snapshot

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// filler fills one empty store. Until finish the store has a Mark that keeps servers
// from it, so that a crash at any moment leaves what Usable refuses, and what the next
// filler empties.
type filler struct {
	store store.Store
	mark  Mark
	tell  func(done uint64)
}

// begin marks the store. Kind Exist: there is something in it.
func (f *filler) begin(ctx context.Context) error {
	old, err := readMark(ctx, f.store, FillingKey)
	if err != nil {
		return err
	}
	if old == nil {
		names, err := f.store.List(ctx, "", "", 1)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return errs.New(errs.Exist, "the store to fill is not empty; only an empty one is filled: choose another directory or prefix, or remove by hand what nobody needs any more")
		}
		// A server that was started on the empty store may make a vault in it at this moment.
		_, err = f.store.Apply(ctx, f.mark.change(FillingKey).If(0), store.Check(seal.ConfigKey, 0))
		if errs.Is(err, errs.Conflict) {
			return errs.New(errs.Exist, "somebody else has just begun to write to the store that was empty: look who, and run the command again")
		}
		return err
	}
	if old.By != f.mark.By {
		return errs.Newf(errs.Exist, "a %s into this store began at %s and did not end: run it again", old.By, old.Time.Format(time.RFC3339))
	}
	if _, err := f.store.Apply(ctx, f.mark.change(FillingKey)); err != nil {
		return err
	}
	return f.empty(ctx)
}

// snapshot of the store that is filled.
func snapshotOf(ctx context.Context, s store.Store) (store.Snapshot, error) {
	from, ok := s.(store.Snapshotter)
	if !ok {
		return nil, errs.New(errs.Unsupported, "this kind of store has no snapshots")
	}
	return from.Snapshot(ctx)
}

// empty removes what a filler before this one has written.
func (f *filler) empty(ctx context.Context) (err error) {
	snap, err := snapshotOf(ctx, f.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	b := batch{store: f.store}
	for {
		e, err := snap.Next(ctx)
		if err != nil {
			return err
		}
		if e.Key == "" {
			return b.flush(ctx)
		}
		if e.Key != FillingKey {
			if err := b.add(ctx, store.Delete(e.Key)); err != nil {
				return err
			}
		}
	}
}

// fill copies all of from.
func (f *filler) fill(ctx context.Context, from store.Snapshot) error {
	b := batch{store: f.store}
	for n := uint64(1); ; n++ {
		e, err := next(ctx, from)
		if err != nil {
			return err
		}
		if e.Key == "" {
			return b.flush(ctx)
		}
		if err := b.add(ctx, store.Put(e.Key, bytes.Clone(e.Value))); err != nil {
			return err
		}
		if f.tell != nil && n%telling == 0 {
			f.tell(n)
		}
	}
}

// telling is after how many entries progress is told.
const telling = 10_000

// next is the next entry that is no mark.
func next(ctx context.Context, s store.Snapshot) (store.Entry, error) {
	for {
		e, err := s.Next(ctx)
		if err != nil || e.Key == "" || !isMark(e.Key) {
			return e, err
		}
	}
}

// compare reads the store and what it was filled from, in order, and returns Internal
// where they differ.
func (f *filler) compare(ctx context.Context, from store.Snapshot) (entries uint64, err error) {
	snap, err := snapshotOf(ctx, f.store)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	for ; ; entries++ {
		want, err := next(ctx, from)
		if err != nil {
			return entries, err
		}
		got, err := next(ctx, snap)
		switch {
		case err != nil:
			return entries, err
		case want.Key != got.Key:
			return entries, errs.Newf(errs.Internal, "the copy differs from what was copied: entry %d is %q there and %q here; run the command again, and check the disk", entries+1, want.Key, got.Key)
		case !bytes.Equal(want.Value, got.Value):
			return entries, errs.Newf(errs.Internal, "the copy differs from what was copied: entry %d, %q, has another value; run the command again, and check the disk", entries+1, want.Key)
		case want.Key == "":
			return entries, nil
		}
	}
}

// finish makes a vault of the store.
func (f *filler) finish(ctx context.Context, o Origin) error {
	mark, err := f.store.Get(ctx, FillingKey)
	if err != nil {
		return err
	}
	_, err = f.store.Apply(ctx, store.Delete(FillingKey).If(mark.Revision), o.change().If(0))
	return err
}

// batch writes changes together, as many as one Apply takes.
type batch struct {
	store   store.Store
	changes []store.Change
	size    int
}

func (b *batch) add(ctx context.Context, c store.Change) error {
	size := len(c.Key) + len(c.Value)
	if len(b.changes) == store.MaxChanges || b.size+size > store.MaxBytes {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.changes, b.size = append(b.changes, c), b.size+size
	return nil
}

func (b *batch) flush(ctx context.Context) error {
	if len(b.changes) == 0 {
		return nil
	}
	_, err := b.store.Apply(ctx, b.changes...)
	b.changes, b.size = nil, 0 // the store may keep the slice's values
	return err
}

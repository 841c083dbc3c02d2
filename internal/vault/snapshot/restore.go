package snapshot

import (
	"context"
	"io"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Target says where a snapshot is restored to.
type Target struct {
	Store store.Store // a base store that is empty, or that an earlier Restore did not finish
	Now   time.Time
	// Unsigned takes a snapshot that the vault has not signed.
	Unsigned bool
	Tell     func(done uint64) // progress; may be nil
}

// Restore makes a vault of an empty store: what the snapshot holds, with leases held until
// somebody lets them go on. The snapshot is read three times: to see that it is whole
// before anything is written, to write it, and to compare what then lies in the store
// with it. Whether the vault has signed it is looked at when the vault is opened first
// (TakeUp): nobody can before.
//
// It may end at any instant: the same call again begins anew, and no server starts on
// what is half filled. Kinds: Exist (the store is not empty), those of NewReader and of
// the store.
func Restore(ctx context.Context, from io.ReadSeeker, to Target) (Info, error) {
	info, err := again(ctx, from)
	if err != nil {
		return Info{}, err
	}
	if !info.Signed() && !to.Unsigned {
		return Info{}, errs.New(errs.Invalid, "the snapshot is not signed: nobody can tell whether it is what the vault held; restore it with -unsigned if you know where it comes from")
	}
	f := filler{store: to.Store, mark: newMark("restore", to.Now), tell: to.Tell}
	if err := f.begin(ctx); err != nil {
		return Info{}, err
	}
	if err := f.from(ctx, from, &info); err != nil {
		return Info{}, err
	}
	return info, f.finish(ctx, Origin{
		ID: f.mark.ID, Time: f.mark.Time, By: f.mark.By, Snapshot: &info.Header,
		SHA256: info.SHA256(), MAC: info.MAC(), Hold: true,
	})
}

// again reads a snapshot from its beginning, whole.
func again(ctx context.Context, from io.ReadSeeker) (Info, error) {
	if err := rewind(from); err != nil {
		return Info{}, err
	}
	return Check(ctx, from)
}

func rewind(from io.Seeker) error {
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return errs.Newf(errs.Unavailable, "reading the snapshot from its beginning: %w", err)
	}
	return nil
}

// from fills and compares.
func (f *filler) from(ctx context.Context, from io.ReadSeeker, want *Info) error {
	var r *Reader
	for _, pass := range []func(context.Context, store.Snapshot) error{
		f.fill,
		func(ctx context.Context, s store.Snapshot) error {
			_, err := f.compare(ctx, s)
			return err
		},
	} {
		if err := rewind(from); err != nil {
			return err
		}
		var err error
		if r, err = NewReader(from); err != nil {
			return err
		}
		if err := pass(ctx, r); err != nil {
			return err
		}
	}
	if got, whole := r.Info(); !whole || got.Digest != want.Digest {
		return errs.New(errs.Invalid, "the snapshot was changed while it was restored: run the command again")
	}
	return nil
}

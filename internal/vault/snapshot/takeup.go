package snapshot

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// TakeUp does what a restored vault needs when it is opened for the first time, and
// nothing later: it has the signature of the snapshot checked, and holds the leases, in
// open, which is the sealed view of raw. It may be called by several nodes, and again
// after a crash. Kind Invalid: the vault did not sign what it was restored from.
func TakeUp(ctx context.Context, raw, open store.Store, keys Keys) error {
	o, rev, err := ReadOrigin(ctx, raw)
	if err != nil || o == nil || !o.Hold {
		return err
	}
	if o.MAC != "" { // without one it was restored so on purpose
		if err := CheckMAC(keys, o.SHA256, o.MAC); err != nil {
			return errs.Newf(errs.KindOf(err), "the store was restored from a snapshot that the vault did not make: %w", err)
		}
	}
	stamp := o.Time.AppendFormat(nil, lease.HeldFormat)
	held, err := open.Get(ctx, lease.HeldKey)
	if err != nil {
		return err
	}
	if !held.Exists() {
		if _, err := open.Apply(ctx, store.Put(lease.HeldKey, stamp)); err != nil {
			return err
		}
	}
	o.Hold = false
	if _, err = raw.Apply(ctx, o.change().If(rev)); errs.Is(err, errs.Conflict) {
		return nil // another node was faster
	}
	return err
}

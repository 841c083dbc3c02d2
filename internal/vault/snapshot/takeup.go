package snapshot

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// TakeUp is called whenever a vault is opened, before anything is read of it. A server that
// was started on an empty store may have a restore begin under it: what is not Usable is
// not opened. It does what a restored vault needs the first time: it has the signature of
// the snapshot checked, and holds the leases, in open, which is the sealed view of raw. It
// may be called by several nodes, and again after a crash. Kind Invalid: the store is not
// Usable, or the vault did not sign what it was restored from.
func TakeUp(ctx context.Context, raw, open store.Store, keys Keys) error {
	if err := Usable(ctx, raw); err != nil {
		return err
	}
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

package snapshot

import (
	"context"
	"errors"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// Opener opens sealed values; seal.Keyring does.
type Opener interface {
	Open(aad, sealed []byte) ([]byte, error)
}

// shortestName is the least that an encrypted name has: 16 bytes of AES-SIV in base64.
const shortestName = 22

// inTheClear reports whether an entry brings its own encryption, or needs none: those
// directly in core/ whose names are not encrypted, as the seal's.
func inTheClear(key string) bool {
	name, ok := strings.CutPrefix(key, "core/")
	return ok && len(name) < shortestName && !strings.Contains(name, "/")
}

// Proof is how many entries of a vault open, and what is among them.
type Proof struct{ Entries, Mounts, Tokens, Leases uint64 }

// Count counts the mounts of the vault, in the sealed view of its store: it lists them by their names.
func (p *Proof) Count(ctx context.Context, open store.Store) error {
	ids, err := open.List(ctx, mount.EntryPrefix, "", 0)
	p.Mounts = uint64(len(ids))
	return err
}

// Prove opens every entry of a store with a vault's keys. Kinds: Internal (one does not
// open, and is named), those of the store.
func Prove(ctx context.Context, s store.Store, keys Opener) (p Proof, err error) {
	snap, err := snapshotOf(ctx, s)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	for {
		e, err := next(ctx, snap)
		if err != nil || e.Key == "" {
			return p, err
		}
		p.Entries++
		switch {
		case strings.HasPrefix(e.Key, token.RecordPrefix):
			p.Tokens++
		case strings.HasPrefix(e.Key, lease.RecordPrefix):
			p.Leases++
		}
		if inTheClear(e.Key) {
			continue
		}
		value, err := keys.Open([]byte(e.Key), e.Value)
		if err != nil {
			return p, errs.Newf(errs.KindOf(err), "opening entry %d, %q: %w", p.Entries, e.Key, err)
		}
		clear(value)
	}
}

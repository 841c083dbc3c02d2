package snapshot

import (
	"context"
	"errors"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
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

// Prove opens every entry of a store with a vault's keys, and returns how many there
// are. Kinds: Internal (one does not open, and is named), those of the store.
func Prove(ctx context.Context, s store.Store, keys Opener) (entries uint64, err error) {
	snap, err := snapshotOf(ctx, s)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, snap.Close()) }()
	for {
		e, err := next(ctx, snap)
		if err != nil || e.Key == "" {
			return entries, err
		}
		entries++
		if inTheClear(e.Key) {
			continue
		}
		value, err := keys.Open([]byte(e.Key), e.Value)
		if err != nil {
			return entries, errs.Newf(errs.KindOf(err), "opening entry %d, %q: %w", entries, e.Key, err)
		}
		clear(value)
	}
}

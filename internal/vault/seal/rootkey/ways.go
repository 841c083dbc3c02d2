package rootkey

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

// newSetID names a set of shares. It never fails: crypto/rand ends the program first.
func newSetID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// Deal wraps the root key for people, under a fresh key that it shares out.
func Deal(vault uuid.UUID, root redact.Secret, parts, threshold int) (Wrapping, []redact.Secret, error) {
	key, shares, err := shamir.Deal(parts, threshold)
	if err != nil {
		return Wrapping{}, nil, err
	}
	defer key.Wipe()
	kek, err := box.New(key.Reveal())
	if err != nil {
		return Wrapping{}, nil, err
	}
	w := Wrapping{
		Kind:      KindShamir,
		KeyID:     newSetID(),
		Shares:    parts,
		Threshold: threshold,
	}
	for _, share := range shares {
		w.Hashes = append(w.Hashes, w.hashShare(vault, share))
	}
	slices.SortFunc(w.Hashes, bytes.Compare) // the order in which they were dealt is nobody's business
	w.Blob = kek.Append(nil, w.AAD(vault), root.Reveal())
	return w, shares, nil
}

// WrapBy wraps the root key for an auto-unseal, and makes sure that it can be
// had back: a KMS may let us encrypt and not decrypt, and later is too late to
// learn that.
func WrapBy(ctx context.Context, by Named, vault uuid.UUID, root redact.Secret, now time.Time) (Wrapping, error) {
	w := Wrapping{Kind: by.Name(), KeyID: by.KeyID(), Name: by.As, Added: now}
	var err error
	if w.Blob, err = by.Wrap(ctx, w.AAD(vault), root); err != nil {
		return Wrapping{}, fmt.Errorf("wrapping the root key by %s key %q: %w", w.Kind, w.KeyID, err)
	}
	back, err := by.Unwrap(ctx, w.AAD(vault), w.Blob)
	if err != nil {
		return Wrapping{}, fmt.Errorf("unwrapping the root key again by %s key %q, to be sure that it works: %w", w.Kind, w.KeyID, err)
	}
	defer back.Wipe()
	if !back.Equal(root) {
		return Wrapping{}, errs.Newf(errs.Internal, "%s key %q unwraps something else than it wrapped", w.Kind, w.KeyID)
	}
	return w, nil
}

// UnwrapBy returns the root key, and what it was unwrapped from. Kinds: NotExist (it is not wrapped by this key), and the key's.
func (c Config) UnwrapBy(ctx context.Context, by Named) (redact.Secret, Wrapping, error) {
	var other []string
	for _, w := range c.Wrappings {
		switch {
		case w.Kind != by.Name():
		case w.KeyID != by.KeyID():
			other = append(other, w.KeyID)
		default:
			root, err := by.Unwrap(ctx, w.AAD(c.VaultID), w.Blob)
			if err != nil {
				return redact.Secret{}, w, fmt.Errorf("unwrapping the root key by %s key %q: %w", w.Kind, w.KeyID, err)
			}
			return root, w, nil
		}
	}
	if len(other) > 0 {
		return redact.Secret{}, Wrapping{}, errs.Newf(errs.NotExist, "the %s key is %q, and this vault's root key is wrapped by %q: configure that one, or unseal by another way, which wraps it by this one too", by.Name(), by.KeyID(), other)
	}
	return redact.Secret{}, Wrapping{}, errs.Newf(errs.NotExist, "this vault's root key is not wrapped by any %s key yet: once it is unsealed by another way, it will be", by.Name())
}

// WrongSet is the error of shares that together open nothing.
func WrongSet(threshold int) error {
	return errs.Newf(errs.Invalid, "these unseal key shares do not open this vault: at least one is mistyped, or from another vault or set; all were dropped, give %d shares again", threshold)
}

// Combine unwraps what w holds by people's shares.
func Combine(vault uuid.UUID, w Wrapping, set []redact.Secret) (redact.Secret, error) {
	key, err := shamir.Combine(set)
	if err != nil {
		return redact.Secret{}, err
	}
	defer key.Wipe()
	kek, err := box.New(key.Reveal())
	if err != nil {
		return redact.Secret{}, err
	}
	root, err := kek.Open(w.AAD(vault), w.Blob)
	switch {
	case errs.Is(err, errs.Unsupported):
		return redact.Secret{}, errs.Newf(errs.Unsupported, "unwrapping the root key: %w", err)
	case err != nil:
		return redact.Secret{}, WrongSet(w.Threshold)
	}
	return redact.New(root), nil
}

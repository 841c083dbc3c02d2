package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

// SubmitShare takes one share, in hex or base64, and opens the vault when the
// threshold is reached. The same share twice counts once. On an unsealed vault
// it does nothing.
//
// Kinds: Invalid for text that is no share, which changes nothing, and for a
// set that does not open this vault, which drops all shares given so far
// without telling which was wrong; Sealed if not initialised; Unavailable,
// after which the shares must be given again.
//
// Nobody can be authenticated by a sealed vault. Who can reach it can spoil an
// attempt with a wrong share, or reset it, but gains nothing by either.
func (b *Barrier) SubmitShare(ctx context.Context, text redact.Secret) (Status, error) {
	if s := b.current(); s != nil {
		return b.status(s.config, false), nil
	}
	share, err := shamir.Parse(text)
	if err != nil {
		return Status{}, err
	}
	c, err := b.config(ctx)
	if err != nil {
		share.Wipe()
		return Status{}, err
	}
	set, err := b.collect(c.people(), share)
	if err != nil {
		return Status{}, err
	}
	if set == nil {
		return b.Status(ctx)
	}
	defer wipeAll(set)
	root, err := c.combine(set)
	if err != nil {
		return Status{}, err
	}
	defer root.Wipe()
	if err := b.open(ctx, c, root); err != nil {
		return Status{}, err
	}
	return b.Status(ctx)
}

// collect adds share to the attempt. At the threshold it returns all shares,
// which are the caller's then, and the attempt is over.
func (b *Barrier) collect(w wrapping, share redact.Secret) ([]redact.Secret, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != nil {
		share.Wipe()
		return nil, nil
	}
	if !b.attempt.add(share, w.KeyID) {
		share.Wipe()
		b.attempt.clear()
		return nil, errWrongSet(w.Threshold)
	}
	if len(b.attempt.shares) < w.Threshold {
		return nil, nil
	}
	set := b.attempt.shares
	b.attempt = attempt{}
	return set, nil
}

func errWrongSet(threshold int) error {
	return errs.Newf(errs.Invalid, "these unseal key shares do not open this vault: at least one is mistyped, or from another vault or set; all were dropped, give %d shares again", threshold)
}

func wipeAll(secrets []redact.Secret) {
	for _, s := range secrets {
		s.Wipe()
	}
}

// combine unwraps the root key by people's shares.
func (c config) combine(set []redact.Secret) (redact.Secret, error) {
	w := c.people()
	key, err := shamir.Combine(set)
	if err != nil {
		return redact.Secret{}, err
	}
	defer key.Wipe()
	kek, err := box.New(key.Reveal())
	if err != nil {
		return redact.Secret{}, err
	}
	root, err := kek.Open(w.aad(c.VaultID), w.Blob)
	switch {
	case errs.Is(err, errs.Unsupported):
		return redact.Secret{}, fmt.Errorf("unwrapping the root key: %w", err)
	case err != nil:
		return redact.Secret{}, errWrongSet(w.Threshold)
	}
	return redact.New(root), nil
}

// ResetUnseal drops the shares given so far. Kind: Invalid if the vault is
// unsealed already.
func (b *Barrier) ResetUnseal() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != nil {
		return errs.New(errs.Invalid, "the vault is unsealed already: there are no shares to drop")
	}
	b.attempt.clear()
	return nil
}

// AutoUnseal opens the vault by the first Wrapper that can. An unsealed vault
// stays as it is. Kinds: Unsupported (no Wrapper is configured), Sealed (not
// initialised), NotExist (the vault was made without any of these keys),
// otherwise that of the first Wrapper's error. After any of them the shares of
// initialisation still open the vault.
func (b *Barrier) AutoUnseal(ctx context.Context) error {
	if b.current() != nil {
		return nil
	}
	if len(b.wrappers) == 0 {
		return errs.New(errs.Unsupported, "no auto-unseal key is configured: unseal with shares (strongkeep operator unseal)")
	}
	c, err := b.config(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, by := range b.wrappers {
		root, err := c.unwrapBy(ctx, by)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		defer root.Wipe()
		return b.open(ctx, c, root)
	}
	err = errors.Join(failed...)
	return fmt.Errorf("%w; its unseal key shares open the vault too (strongkeep operator unseal)", err)
}

func (c config) unwrapBy(ctx context.Context, by Wrapper) (redact.Secret, error) {
	var other []string
	for _, w := range c.Wrappings {
		switch {
		case w.Kind != by.Name():
		case w.KeyID != by.KeyID():
			other = append(other, w.KeyID)
		default:
			root, err := by.Unwrap(ctx, w.aad(c.VaultID), w.Blob)
			if err != nil {
				return redact.Secret{}, fmt.Errorf("unwrapping the root key by %s key %q: %w", w.Kind, w.KeyID, err)
			}
			return root, nil
		}
	}
	if len(other) > 0 {
		return redact.Secret{}, errs.Newf(errs.NotExist, "the %s key is %q, and this vault's root key is wrapped by %q: configure that one", by.Name(), by.KeyID(), other)
	}
	return redact.Secret{}, errs.Newf(errs.NotExist, "this vault's root key is not wrapped by any %s key: it was initialized without one", by.Name())
}

// open loads the keyring with the root key and starts a session.
func (b *Barrier) open(ctx context.Context, c config, root redact.Secret) error {
	s, err := b.newSession(c, root)
	if err != nil {
		return err
	}
	m, _, err := s.load(ctx)
	if err != nil {
		return err
	}
	defer m.wipe()
	r, err := newRing(m, b.rotateAfter)
	if err != nil {
		return err
	}
	// A disk that cannot be written must not keep a vault from being read:
	// then the upkeep notes what was used as soon as it can.
	if err := s.reserve(ctx, r); err != nil {
		b.log.WarnContext(ctx, "opening the vault without having noted its use of the key", "error", err)
	}
	return b.start(s, r, m.seed)
}

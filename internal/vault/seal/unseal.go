package seal

import (
	"context"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

// SubmitShare takes one share, in hex or base64, and opens the vault when the
// threshold is reached. The same share twice counts once, and Status.Twice says so. On an unsealed vault
// it does nothing.
//
// Kinds: Invalid for what is no share of the set that opens this vault, which
// changes nothing; Sealed if not initialised; Unavailable, after which the
// shares must be given again. A set that was dealt by an earlier version of
// Strongkeep has no hashes: there a wrong share is noticed when the set is
// whole, and drops all given so far without telling which was wrong.
//
// Nobody can be authenticated by a sealed vault. Who can reach it can reset an
// attempt, but gains nothing by it.
func (b *Barrier) SubmitShare(ctx context.Context, text redact.Secret) (Status, error) {
	if s := b.current(); s != nil {
		return b.status(*s.config.Load(), false), nil
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
	if err := c.People().Knows(c.VaultID, share); err != nil {
		share.Wipe()
		return Status{}, err
	}
	set, again, err := b.collect(c.People(), share)
	if err != nil {
		return Status{}, err
	}
	if set == nil {
		s, err := b.Status(ctx)
		s.Twice = again
		return s, err
	}
	defer wipeAll(set)
	root, err := rootkey.Combine(c.VaultID, c.People(), set)
	if err != nil {
		return Status{}, err
	}
	defer root.Wipe()
	if err := b.open(ctx, c, root, c.People()); err != nil {
		return Status{}, err
	}
	return b.Status(ctx)
}

// collect adds share to the attempt. At the threshold it returns all shares,
// which are the caller's then, and the attempt is over.
func (b *Barrier) collect(w rootkey.Wrapping, share redact.Secret) (set []redact.Secret, again bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != nil {
		share.Wipe()
		return nil, false, nil
	}
	if again, err = b.attempt.add(share, w.KeyID); err != nil {
		b.attempt.clear()
		return nil, false, rootkey.WrongSet(w.Threshold)
	}
	if b.attempt.given.Len() < w.Threshold {
		return nil, again, nil
	}
	set = b.attempt.given.Take()
	b.attempt = attempt{}
	return set, false, nil
}

func wipeAll(secrets []redact.Secret) {
	for _, s := range secrets {
		s.Wipe()
	}
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

// AutoUnseal opens the vault by whichever Wrapper answers first: all are asked
// at once, and one that hangs delays nothing. An unsealed vault stays as it is.
// Kinds: Unsupported (no Wrapper is configured), Sealed (not initialised),
// Unavailable or Exhausted (one of them may work later), NotExist (the vault
// was made without any of these keys), otherwise that of the first Wrapper's
// error. After any of them the shares still open the vault.
func (b *Barrier) AutoUnseal(ctx context.Context) error {
	if b.current() != nil {
		return nil
	}
	all := b.keysOf()
	if len(all) == 0 {
		return errs.New(errs.Unsupported, "no auto-unseal key is configured: unseal with shares (strongkeep operator unseal)")
	}
	c, err := b.config(ctx)
	if err != nil {
		return err
	}
	root, by, err := b.first(ctx, c, all)
	if err != nil {
		return fmt.Errorf("%w; its unseal key shares open the vault too (strongkeep operator unseal)", err)
	}
	defer root.Wipe()
	return b.open(ctx, c, root, by)
}

// unwrapped is what one key made of its wrapping.
type unwrapped struct {
	index int // of the key
	root  redact.Secret
	by    rootkey.Wrapping
	err   error
}

// first returns the root key from whichever key has it first. The others are told to stop and
// are not waited for; Close does that.
func (b *Barrier) first(ctx context.Context, c rootkey.Config, all []Named) (redact.Secret, rootkey.Wrapping, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan unwrapped, len(all))
	for i, by := range all {
		b.tries.Go(func() {
			root, w, err := c.UnwrapBy(ctx, by)
			results <- unwrapped{i, root, w, err}
		})
	}
	failed := make([]error, len(all))
	for n := range all {
		r := <-results
		if r.err != nil {
			failed[r.index] = r.err
			continue
		}
		b.tries.Go(func() {
			for range len(all) - n - 1 {
				if late := <-results; late.err == nil {
					late.root.Wipe()
				}
			}
		})
		return r.root, r.by, nil
	}
	return redact.Secret{}, rootkey.Wrapping{}, rootkey.Failed(failed)
}

// open loads the keyring with the root key and starts a session.
func (b *Barrier) open(ctx context.Context, c rootkey.Config, root redact.Secret, by rootkey.Wrapping) error {
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
	s.by = &by
	return b.start(s, r, m.seed)
}

package seal

import (
	"context"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
)

// Set is a set of shares, as far as everyone may know it.
type Set struct {
	ID        string
	Shares    int
	Threshold int
	Hashed    bool // a wrong share is told at once, not only when the set is whole

	vault uuid.UUID
	w     rootkey.Wrapping
}

// People returns the set of shares that opens the vault now, as storage has it. Kinds: Sealed, Unavailable.
func (b *Barrier) People(ctx context.Context) (Set, error) {
	if b.current() == nil {
		return Set{}, errSealed
	}
	c, err := b.config(ctx)
	if err != nil {
		return Set{}, err
	}
	return setOf(c.VaultID, c.People()), nil
}

func setOf(vault uuid.UUID, w rootkey.Wrapping) Set {
	return Set{ID: w.KeyID, Shares: w.Shares, Threshold: w.Threshold, Hashed: len(w.Hashes) > 0, vault: vault, w: w}
}

// Knows returns Invalid for what is certainly no share of the set.
func (s Set) Knows(share redact.Secret) error { return s.w.Knows(s.vault, share) }

// Proves returns Invalid unless these shares of s open the unsealed vault. They are s.Threshold, or more. Kind: Sealed.
func (b *Barrier) Proves(s Set, shares []redact.Secret) error {
	open := b.current()
	if open == nil || open.vault != s.vault {
		return errSealed
	}
	root, err := rootkey.Combine(s.vault, s.w, shares)
	if err != nil {
		return err
	}
	defer root.Wipe()
	if !root.Equal(open.key) {
		return rootkey.WrongSet(s.Threshold)
	}
	return nil
}

// Draft is a set of shares that does not open the vault yet. Set is what its own shares are checked by.
type Draft struct {
	Set
	from string // the set that it shall take the place of
}

// Redeal deals new shares for whoever holds those of the set from. They open nothing until Adopt.
// Kinds: those of Proves; Invalid (the numbers).
func (b *Barrier) Redeal(from Set, held []redact.Secret, shares, threshold int) (Draft, []redact.Secret, error) {
	if err := b.Proves(from, held); err != nil {
		return Draft{}, nil, err
	}
	if err := shamir.Check(shares, threshold); err != nil {
		return Draft{}, nil, err
	}
	s := b.current()
	if s == nil {
		return Draft{}, nil, errSealed
	}
	w, dealt, err := rootkey.Deal(s.vault, s.key, shares, threshold)
	if err != nil {
		return Draft{}, nil, err
	}
	return Draft{Set: setOf(s.vault, w), from: from.ID}, dealt, nil
}

// Adopt puts the draft in the place of the set it was made from, in one commit: before it the old
// shares open the vault, after it the new ones, never both and never neither. Adopting again does nothing.
// Kinds: Sealed, Conflict (another rekey was faster), Unavailable (it is unknown whether it was written: adopt again).
func (b *Barrier) Adopt(ctx context.Context, d Draft) error {
	s := b.current()
	if s == nil {
		return errSealed
	}
	return s.amend(ctx, func(c *rootkey.Config) (bool, error) {
		for i, w := range c.Wrappings {
			switch {
			case w.Kind != KindShamir:
			case w.KeyID == d.ID:
				return false, nil
			case w.KeyID == d.from:
				c.Wrappings[i] = d.w
				return true, nil
			}
		}
		return false, errs.New(errs.Conflict, "the shares were changed by another rekey meanwhile: those made by this one open nothing, begin again")
	})
}

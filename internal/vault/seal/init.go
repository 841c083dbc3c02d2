package seal

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"
	"github.com/strongkeep/strongkeep/internal/vault/seal/shamir"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Defaults of InitConfig.
const (
	DefaultShares    = 5
	DefaultThreshold = 3
)

// InitConfig says how the new vault's root key is shared among people. Both 0
// means DefaultShares and DefaultThreshold; one alone is refused.
type InitConfig struct {
	Shares    int // 1 to 255
	Threshold int // 2 to Shares, or 1 of 1
	// Setup returns what the new vault begins with, sealed with its keyring. It
	// is written in the same commit as the vault itself, so that a crash leaves
	// either nothing or a whole vault. It must not keep keys. nil = nothing.
	Setup func(ctx context.Context, keys *Keyring) ([]store.Change, error)
}

// InitResult is what nobody can ever get again.
type InitResult struct {
	// Shares open the vault, any threshold of them, also when it has an
	// auto-unseal. Each is shamir.ShareSize bytes, for people in hex or base64.
	Shares []redact.Secret
}

// Init makes a new vault in an empty store and leaves it unsealed, so that the
// caller can make the first token; who wants people to prove that they hold
// their shares then calls Seal.
//
// Of any number of calls at once, on any number of nodes, one wins; the others
// get Exist, and so does every later one. Other kinds: Invalid (the numbers),
// Unavailable (storage failed, or an auto-unseal key cannot be reached).
func (b *Barrier) Init(ctx context.Context, in InitConfig) (InitResult, error) {
	if in.Shares == 0 && in.Threshold == 0 {
		in.Shares, in.Threshold = DefaultShares, DefaultThreshold
	}
	if err := shamir.Check(in.Shares, in.Threshold); err != nil {
		return InitResult{}, err
	}
	if _, err := b.config(ctx); err == nil {
		return InitResult{}, errInitialized()
	} else if !errs.Is(err, errs.Sealed) {
		return InitResult{}, err
	}
	root := redact.New(randomBytes(box.KeySize))
	defer root.Wipe()
	c := rootkey.Config{Version: rootkey.Version, VaultID: uuid.New(), Created: b.now().UTC().Truncate(time.Second)}
	people, shares, err := rootkey.Deal(c.VaultID, root, in.Shares, in.Threshold)
	if err != nil {
		return InitResult{}, err
	}
	c.Wrappings = append(c.Wrappings, people)
	for _, by := range b.keysOf() {
		w, err := rootkey.WrapBy(ctx, by, c.VaultID, root, c.Created)
		if err != nil {
			return InitResult{}, err
		}
		c.Wrappings = append(c.Wrappings, w)
	}
	if err := b.create(ctx, c, root, in.Setup); err != nil {
		return InitResult{}, err
	}
	return InitResult{Shares: shares}, nil
}

func errInitialized() error {
	return errs.New(errs.Exist, "Vault is already initialized")
}

// create writes the vault in one commit and opens it.
func (b *Barrier) create(ctx context.Context, c rootkey.Config, root redact.Secret, setup func(context.Context, *Keyring) ([]store.Change, error)) error {
	s, err := b.newSession(c, root)
	if err != nil {
		return err
	}
	m := newMaterial(b.now())
	defer m.wipe()
	r, err := newRing(m, b.rotateAfter)
	if err != nil {
		return err
	}
	encoded, err := c.Encode()
	if err != nil {
		return err
	}
	changes := []store.Change{
		store.Put(ConfigKey, encoded).If(0),
		store.Put(KeyringKey, s.seal(m)).If(0),
		store.Put(UsageKey, s.tallied(r, block)).If(0),
	}
	r.use.grant(block, block)
	more, err := beginWith(ctx, r, m.seed, setup)
	if err != nil {
		return err
	}
	if _, err = b.store.Apply(ctx, append(changes, more...)...); err != nil {
		return b.notCreated(ctx, err)
	}
	// A Barrier that was closed meanwhile stays sealed. That is no error of
	// Init: the vault exists, and its shares must reach the caller.
	_ = b.start(s, r, m.seed)
	return nil
}

// beginWith runs setup with a keyring that lives no longer than the call.
func beginWith(ctx context.Context, r *ring, seed []byte, setup func(context.Context, *Keyring) ([]store.Change, error)) ([]store.Change, error) {
	if setup == nil {
		return nil, nil
	}
	keys := newKeyring()
	keys.install(r, seed)
	defer keys.wipe()
	changes, err := setup(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("setting up the new vault: %w", err)
	}
	return changes, nil
}

// notCreated says what it means that the commit of a new vault ended with err.
func (b *Barrier) notCreated(ctx context.Context, err error) error {
	switch {
	case !errs.Is(err, errs.Conflict):
		return fmt.Errorf("writing the new vault: %w; it is unknown whether it was written: if the status now says initialized, nobody has its shares, so empty the storage and initialize again", err)
	default:
		if _, err := b.config(ctx); err == nil {
			return errInitialized()
		}
		return errs.Newf(errs.Internal, "storage has parts of a vault and no seal configuration at %s: restore it from a backup, or empty the storage to begin a new vault", ConfigKey)
	}
}

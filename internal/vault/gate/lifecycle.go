package gate

import (
	"context"
	"errors"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/format"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// InitResult is what nobody can get again: the shares and the first token.
type InitResult struct {
	Shares    []redact.Secret
	RootToken redact.Secret
}

// Init makes a new vault with its system mounts, the default policy, the
// configured defaults and a root token, all in one commit. A vault that unseals
// by a key is open afterwards, if it can be; one that needs people is sealed, so
// that they prove their shares. Kinds are those of seal.Barrier.Init.
func (g *Gate) Init(ctx context.Context, in seal.InitConfig) (InitResult, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// A client that hangs up must not decide whether the vault exists.
	ctx = context.WithoutCancel(ctx)
	var root redact.Secret
	in.Setup = func(ctx context.Context, keys *seal.Keyring) (changes []store.Change, err error) {
		changes, root, err = unsealed.Setup(ctx, &g.cfg.Config, g.audit, g.cfg.Raw, keys)
		return changes, err
	}
	made, err := g.cfg.Barrier.Init(ctx, in)
	if err != nil {
		return InitResult{}, err
	}
	result := InitResult{Shares: made.Shares, RootToken: root}
	status, err := g.cfg.Barrier.Status(ctx)
	if err != nil || !status.AutoUnseal {
		g.cfg.Barrier.Seal()
		return result, nil
	}
	if err := g.start(ctx); err != nil {
		// No error of Init: the vault exists, and its shares must reach the caller.
		g.cfg.Log.Error("the new vault stays sealed", "error", err)
	}
	return result, nil
}

// Unseal gives one share; the vault opens at the threshold.
func (g *Gate) Unseal(ctx context.Context, share redact.Secret) (seal.Status, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	status, err := g.cfg.Barrier.SubmitShare(ctx, share)
	if err != nil || status.Sealed {
		return status, err
	}
	return status, g.start(ctx)
}

// AutoUnseal opens the vault by its key. Kinds are those of seal.Barrier.AutoUnseal.
// It asks the keys before it holds mu: one that hangs must not keep people from giving their shares.
func (g *Gate) AutoUnseal(ctx context.Context) error {
	if err := g.cfg.Barrier.AutoUnseal(ctx); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.start(ctx)
}

// start opens the unsealed barrier's vault to requests. On an open vault it
// does nothing; if it fails the barrier is sealed again.
func (g *Gate) start(ctx context.Context) error {
	if g.open.Load() != nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // who gives the last share and hangs up has given it
	v, err := g.openVault(ctx)
	if err != nil {
		g.cfg.Barrier.Seal()
		return err
	}
	g.open.Store(v)
	g.cfg.Log.Info("vault is unsealed")
	return nil
}

func (g *Gate) openVault(ctx context.Context) (*unsealed.Vault, error) {
	if _, err := g.cfg.Program.Check(ctx, g.cfg.Raw); err != nil { // again: it may have been sealed for long
		return nil, err
	}
	v, err := unsealed.Open(ctx, &g.cfg.Config, g.audit, g.cfg.Raw, g.cfg.Barrier.Keyring())
	if err != nil {
		return nil, err
	}
	c := format.Config{Raw: g.cfg.Raw, Program: g.cfg.Program, Hold: g.cfg.HoldFormat, Log: g.cfg.Log}
	if g.cfg.MaxSilence > 0 {
		c.Node = v
	}
	form, err := format.Open(ctx, c)
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	g.form.Store(form)
	return v, nil
}

// Seal closes the vault to requests, waits for those inside, and wipes the keys.
func (g *Gate) Seal() {
	if v := g.open.Load(); v != nil {
		g.closeVault(v)
	}
}

func (g *Gate) closeVault(v *unsealed.Vault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open.CompareAndSwap(v, nil) {
		return // someone else sealed it
	}
	g.form.Load().Close()
	if err := v.Close(); err != nil {
		g.cfg.Log.Warn("closing the vault", "error", err)
	}
	g.cfg.Barrier.Seal()
	g.cfg.Log.Info("vault is sealed")
}

// Close seals the vault and closes the barrier and the audit log. The raw store
// stays open; its owner closes it.
func (g *Gate) Close() error {
	g.Seal()
	return errors.Join(g.cfg.Barrier.Close(), g.audit.Close())
}

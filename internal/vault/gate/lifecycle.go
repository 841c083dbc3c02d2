package gate

import (
	"context"
	"errors"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/events"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/workers"
	"github.com/strongkeep/strongkeep/internal/vault/wrapping"
)

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
func (g *Gate) AutoUnseal(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.cfg.Barrier.AutoUnseal(ctx); err != nil {
		return err
	}
	return g.start(ctx)
}

// start opens the unsealed barrier's vault to requests. On an open vault it
// does nothing; if it fails the barrier is sealed again.
func (g *Gate) start(ctx context.Context) error {
	if g.open.Load() != nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // who gives the last share and hangs up has given it
	v, err := g.build(ctx, g.cfg.Raw, g.cfg.Barrier.Keyring())
	if err != nil {
		g.cfg.Barrier.Seal()
		return errs.Newf(errs.KindOf(err), "opening the vault: %w", err)
	}
	if err := v.mountIdentity(ctx, g); err != nil {
		g.cfg.Barrier.Seal()
		return errors.Join(err, v.close())
	}
	if err := v.startAuditing(ctx, g); err != nil {
		g.cfg.Barrier.Seal()
		return errors.Join(errs.Newf(errs.KindOf(err), "enabling the audit devices: %w", err), v.close())
	}
	held, err := v.leases.Restore(ctx, g.cfg.HoldLeases)
	if err != nil {
		g.cfg.Barrier.Seal()
		return errors.Join(err, v.close())
	}
	if held {
		g.cfg.Log.Warn("leases are held: nothing expires, is revoked or rotated by itself until sys/leases/resume is written to")
	}
	if g.cfg.Settings != nil {
		if err := g.cfg.Settings(ctx, v.store); err != nil {
			g.cfg.Barrier.Seal()
			return errors.Join(errs.Newf(errs.KindOf(err), "reading the settings: %w", err), v.close())
		}
	}
	v.background(g, held)
	if err := v.quotas.Load(ctx, v.store); err != nil {
		g.cfg.Barrier.Seal()
		return errors.Join(errs.Newf(errs.KindOf(err), "reading the quotas: %w", err), v.close())
	}
	g.open.Store(v)
	g.cfg.Log.Info("vault is unsealed")
	return nil
}

// build makes the parts of an unsealed vault over raw and reads its mounts.
func (g *Gate) build(ctx context.Context, raw store.Store, keys *seal.Keyring) (*vault, error) {
	s, err := g.cfg.Open(raw, keys)
	if err != nil {
		return nil, err
	}
	v := &vault{store: s, reads: readTx{s}, audit: g.audit, workers: workers.New(g.cfg.Now), policies: policy.NewBook(policy.Config{}), devices: map[string]redact.Secret{}, skipped: map[string]redact.Secret{}, purgeAsked: make(chan struct{}, 1)}
	v.namespaces = namespace.NewRegistry(namespace.Config{Store: s, Now: g.cfg.Now, Random: g.cfg.Random})
	tokenKey, err := keys.Derive("token")
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	defer tokenKey.Wipe() // the manager derives its own from it
	v.tokens, err = token.New(token.Config{Key: tokenKey, Now: g.cfg.Now, Random: g.cfg.Random, Gone: v.tokenGone, Lost: v.mountLost, LostNamespace: v.namespaceLost})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	status, err := g.cfg.Barrier.Status(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	v.leases, v.quotas = v.newLeases(g), v.newQuotas(g)
	v.events = events.NewBus(events.Config{Source: "strongkeep://" + status.VaultID})
	v.identities = identity.New(g.cfg.Now, g.cfg.Random)
	core := Core{Policies: v.policies, Tokens: v.tokens, Leases: v.leases, Quotas: v.quotas, Identity: v.identities, Audit: v.audit, Barrier: g.cfg.Barrier,
		AskSeal: func() { v.sealAsked.Store(true) }, TokenLimits: v.tokenLimits, MissingPolicies: v.missingPolicies,
		Subject: v.subjectOf, Caller: v.callerOf, IdentityPolicies: v.identityPolicies, EntityOfAlias: v.entityOfAlias}
	types := Types{}
	v.mounts = mount.NewRegistry(mount.Config{
		Store: s, Types: func(class mount.Class) map[string]engine.Factory { return types.of(class) },
		TTLs: g.cfg.TTLs, Now: g.cfg.Now, Random: g.cfg.Random, Log: g.cfg.Log,
		Host:    func(e *mount.Entry) mount.Host { return v.host(g, e) },
		Closing: v.endWork,
	})
	v.wrapper = wrapping.New(wrapping.Config{Tokens: v.tokens, Mounts: v.mounts, Longest: g.cfg.TTLs.Max, Usable: v.usable})
	core.Mounts, core.Namespaces, core.Reach, core.Wrapping = v.mounts, v.namespaces, v.reach, v.wrapper
	types = g.cfg.Types(core)
	if err := errors.Join(v.namespaces.Reload(ctx), v.mounts.Reload(ctx)); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

// namespaceLost reports whether the namespace with this ID was deleted.
func (v *vault) namespaceLost(id string) bool { return v.namespaces.Table().Entry(id) == nil }

// mountLost reports whether the mount with this ID was removed.
func (v *vault) mountLost(id string) bool { return v.mounts.Table().ByID(id) == nil }

func (t *Types) of(class mount.Class) map[string]engine.Factory {
	switch class {
	case mount.Auth:
		return t.Auths
	case mount.System:
		return t.Systems
	}
	return t.Secrets
}

// background starts what runs as long as the vault is open.
func (v *vault) background(g *Gate, held bool) {
	v.lifetime, v.stop = context.WithCancel(context.Background())
	v.expirer = lease.Start(lease.Config{Store: v.store, Kinds: slices.Concat(v.tokens.Kinds(), v.leases.Kinds(), v.identities.Kinds()), Log: g.cfg.Log, Now: g.cfg.Now, Held: held})
	v.workers.Hold(held)
	v.work.Go(func() { v.purge(v.lifetime, g) })
	v.syncWork()
}

// Seal closes the vault to requests, waits for those inside, and wipes the keys.
func (g *Gate) Seal() {
	if v := g.open.Load(); v != nil {
		g.closeVault(v)
	}
}

func (g *Gate) closeVault(v *vault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open.CompareAndSwap(v, nil) {
		return // someone else sealed it
	}
	if err := v.close(); err != nil {
		g.cfg.Log.Warn("closing the vault", "error", err)
	}
	g.cfg.Barrier.Seal()
	g.cfg.Log.Info("vault is sealed")
}

// close waits for the requests inside and stops everything. It may be called
// on a vault that was never opened to requests.
func (v *vault) close() error {
	v.inside.Lock()
	v.closed = true
	v.inside.Unlock()
	var all []error
	if v.stop != nil {
		v.stop()
		v.workers.Close()
		all = append(all, v.expirer.Close())
		v.work.Wait()
	}
	for path := range v.devices {
		all = append(all, v.audit.Disable(path))
	}
	v.events.Close()
	all = append(all, v.mounts.Close(), v.store.Close())
	return errors.Join(all...)
}

// Close seals the vault and closes the barrier and the audit log. The raw store
// stays open; its owner closes it.
func (g *Gate) Close() error {
	g.Seal()
	return errors.Join(g.cfg.Barrier.Close(), g.audit.Close())
}

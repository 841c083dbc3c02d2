package gate

import (
	"context"
	"errors"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
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
		changes, root, err = g.setup(ctx, keys)
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

// setup returns the sealed entries of a new vault, and its root token.
func (g *Gate) setup(ctx context.Context, keys *seal.Keyring) (_ []store.Change, root redact.Secret, err error) {
	draft := &draft{Store: g.cfg.Raw}
	v, err := g.build(ctx, draft, keys)
	if err != nil {
		return nil, root, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	if root, err = g.bootstrap(ctx, v); err != nil {
		return nil, root, err
	}
	return draft.changes, root, nil
}

// bootstrap commits to v what every vault begins with.
func (g *Gate) bootstrap(ctx context.Context, v *vault) (redact.Secret, error) {
	t := begin(v.store)
	first := []mount.Entry{
		{Class: mount.System, Path: "sys/", Type: "system", Description: "system endpoints used for control, policy and debugging"},
		{Class: mount.System, Path: mount.AuthPrefix + "token/", Type: "token", Description: "token based credentials"},
		{Class: mount.Secret, Path: "cubbyhole/", Type: "cubbyhole", Description: "per-token private secret storage", Local: true},
	}
	if v.knowsIdentity() {
		first = append(first, identityMount)
	}
	for _, e := range append(first, g.cfg.Defaults.Mounts...) {
		if err := v.mounts.Add(ctx, t, &e); err != nil {
			return redact.Secret{}, err
		}
	}
	if _, err := v.policies.Put(t, policy.Namespace{}, policy.DefaultName, policy.DefaultText); err != nil {
		return redact.Secret{}, err
	}
	for _, d := range g.cfg.Defaults.Audit {
		if err := d.NewKey(g.cfg.Random); err != nil {
			return redact.Secret{}, err
		}
		if err := devices.Add(ctx, t, d); err != nil {
			return redact.Secret{}, err
		}
	}
	root, err := v.tokens.Create(ctx, t, token.RootSpec(redact.FromString(g.cfg.Defaults.RootToken)))
	if err != nil {
		return redact.Secret{}, err
	}
	_, err = t.Commit(ctx)
	return root.Token, err
}

// draft is a store that keeps what one Apply would write instead of writing it.
// It is used by one goroutine.
type draft struct {
	store.Store
	changes []store.Change
}

func (d *draft) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if len(changes) == 0 {
		return d.Store.Apply(ctx)
	}
	if d.changes != nil {
		return 0, errs.New(errs.Internal, "a new vault is set up in more than one commit")
	}
	d.changes = append([]store.Change{}, changes...)
	return 1, nil
}

func (d *draft) Close() error { return nil }

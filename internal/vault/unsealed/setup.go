package unsealed

import (
	"context"
	"errors"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed/proposal"
)

// Setup returns the sealed entries of a new vault, to be written to raw in one
// go, and its root token: the system mounts, the default policy and the
// configured defaults. It writes nothing itself.
func Setup(ctx context.Context, cfg *Config, log *audit.Broker, raw store.Store, keys *seal.Keyring) (_ []store.Change, root redact.Secret, err error) {
	first := &proposal.Store{Store: raw}
	v, err := build(ctx, cfg, log, first, keys)
	if err != nil {
		return nil, root, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if root, err = v.bootstrap(ctx); err != nil {
		return nil, root, err
	}
	return append(first.Changes, store.Check(snapshot.FillingKey, 0)), root, nil // nor does anybody restore into it
}

// bootstrap commits what every vault begins with.
func (v *Vault) bootstrap(ctx context.Context) (redact.Secret, error) {
	t := v.Begin()
	first := []mount.Entry{
		{Class: mount.System, Path: "sys/", Type: "system", Description: "system endpoints used for control, policy and debugging"},
		{Class: mount.System, Path: mount.AuthPrefix + "token/", Type: "token", Description: "token based credentials"},
		{Class: mount.Secret, Path: "cubbyhole/", Type: "cubbyhole", Description: "per-token private secret storage", Local: true},
	}
	if v.knowsIdentity() {
		first = append(first, identityMount)
	}
	for _, e := range append(first, v.cfg.Defaults.Mounts...) {
		if err := v.Mounts.Add(ctx, t, &e); err != nil {
			return redact.Secret{}, err
		}
	}
	if _, err := v.Policies.Put(t, policy.Namespace{}, policy.DefaultName, policy.DefaultText); err != nil {
		return redact.Secret{}, err
	}
	for _, d := range v.cfg.Defaults.Audit {
		if err := d.NewKey(v.cfg.Random); err != nil {
			return redact.Secret{}, err
		}
		d.Enabled = v.cfg.Now().UTC()
		if err := devices.Add(ctx, t, d); err != nil {
			return redact.Secret{}, err
		}
	}
	root, err := v.Tokens.Create(ctx, t, token.RootSpec(redact.FromString(v.cfg.Defaults.RootToken)))
	if err != nil {
		return redact.Secret{}, err
	}
	_, err = t.Commit(ctx)
	return root.Token, err
}

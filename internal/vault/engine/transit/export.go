package transit

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/wrapping"
)

// exportKey shows key material: the secret kinds only of keys that are exportable.
func exportKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	shown, err := exporter(req.Params["kind"])
	if err != nil {
		return nil, err
	}
	name := req.Params["name"]
	k, err := keyring.Load(ctx, tx, name)
	if err != nil || k == nil {
		return nil, err
	}
	if req.Params["kind"] != "public-key" && !k.Exportable {
		return nil, errs.New(errs.Invalid, "private key material is not exportable")
	}
	versions, err := versionsOf(k, req.Params["version"])
	if err != nil {
		return nil, err
	}
	o := engine.NewObjectSize(1024).Str("name", name).Str("type", k.Type.String()).Open("keys")
	for _, v := range versions {
		text, err := shown(k, v)
		if err != nil {
			return nil, err
		}
		o = o.Str(strconv.Itoa(v.Number), text)
	}
	return &engine.Response{Data: o.Close().Value()}, nil
}

// exporter returns what shows a version's material of that kind.
func exporter(kind string) (func(*key.Key, *key.Version) (string, error), error) {
	switch kind {
	case "encryption-key":
		return func(k *key.Key, v *key.Version) (string, error) {
			if !k.Type.Encrypts() {
				return "", errs.New(errs.Invalid, "encryption not supported for the key")
			}
			return v.SecretText()
		}, nil
	case "signing-key":
		return func(k *key.Key, v *key.Version) (string, error) {
			if !k.Type.Signs() {
				return "", errs.New(errs.Invalid, "signing not supported for the key")
			}
			return v.SecretText()
		}, nil
	case "hmac-key":
		return func(_ *key.Key, v *key.Version) (string, error) {
			return base64.StdEncoding.EncodeToString(v.MAC()), nil
		}, nil
	case "public-key":
		return publicText, nil
	}
	return nil, errs.New(errs.Invalid, "invalid export type: it must be encryption-key, signing-key, hmac-key or public-key")
}

func publicText(k *key.Key, v *key.Version) (string, error) {
	if k.Type.Symmetric() || k.Derived {
		return "", errs.New(errs.Invalid, "the key has no public key of its own: it is symmetric, or derived by context")
	}
	public, err := v.Public()
	if err != nil {
		return "", err
	}
	return key.PublicText(public)
}

// versionsOf returns the versions that a path means: "" all that decrypt,
// "latest", or one by its number.
func versionsOf(k *key.Key, which string) ([]*key.Version, error) {
	switch which {
	case "":
		return k.Versions[k.MinDecryption-k.First():], nil
	case "latest":
		return []*key.Version{k.Newest()}, nil
	}
	n, err := strconv.ParseUint(which, 10, 31)
	switch {
	case err != nil:
		return nil, errs.New(errs.Invalid, "the version must be a number, or latest")
	case int(n) < k.MinDecryption:
		return nil, errs.New(errs.Invalid, "version for export is below minimum decryption version")
	case k.Version(int(n)) == nil:
		return nil, errs.New(errs.Invalid, "version does not exist or cannot be found")
	}
	return []*key.Version{k.Version(int(n))}, nil
}

// exportWrapped shows a key's material wrapped for the holder of another, as
// that other place's import takes it.
func (e *Engine) exportWrapped(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	hash, err := wrapping.ParseHash(d.String("hash", d.String("hash_function", "")))
	if d.Err() != nil {
		return nil, d.Err()
	}
	if err != nil {
		return nil, err
	}
	public, err := destination(ctx, tx, req.Params["destination"])
	if err != nil {
		return nil, err
	}
	name := req.Params["source"]
	k, err := keyring.Load(ctx, tx, name)
	if err != nil || k == nil {
		return nil, err
	}
	if !k.Exportable {
		return nil, errs.New(errs.Invalid, "private key material is not exportable")
	}
	versions, err := versionsOf(k, req.Params["version"])
	if err != nil {
		return nil, err
	}
	o := engine.NewObjectSize(2048).Str("name", name).Str("type", k.Type.String()).Open("keys")
	for _, v := range versions {
		text, err := e.wrapped(public, v, hash)
		if err != nil {
			return nil, err
		}
		o = o.Str(strconv.Itoa(v.Number), text)
	}
	return &engine.Response{Data: o.Close().Value()}, nil
}

func (e *Engine) wrapped(public *rsa.PublicKey, v *key.Version, hash crypto.Hash) (string, error) {
	target, err := v.Target()
	if err != nil {
		return "", err
	}
	blob, err := wrapping.Wrap(public, target, hash, e.cfg.Random)
	return base64.StdEncoding.EncodeToString(blob), err
}

// destination is the public key to wrap to: the latest version of an RSA key.
func destination(ctx context.Context, tx engine.Tx, name string) (*rsa.PublicKey, error) {
	k, err := keyring.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if k == nil || !k.Type.RSA() {
		return nil, errs.New(errs.Invalid, "the destination must be a key of type rsa-2048, rsa-3072 or rsa-4096: import the other place's wrapping key as public_key")
	}
	public, err := k.Newest().Public()
	if err != nil {
		return nil, err
	}
	return public.(*rsa.PublicKey), nil // as the type says
}

// backup returns a key with everything, for restore.
func backup(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	k, err := keyring.Named(ctx, tx, req, "key not found")
	switch {
	case err != nil:
		return nil, err
	case !k.Exportable:
		return nil, errs.New(errs.Invalid, "exporting is disallowed on the policy: set exportable on the key's config first")
	case !k.PlaintextBackup:
		return nil, errs.New(errs.Invalid, "plaintext backup is disallowed on the policy: set allow_plaintext_backup on the key's config first")
	}
	text, err := k.Backup(name)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObjectSize(len(text)+16).Str("backup", text).Value()}, nil
}

func (e *Engine) restore(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	text, force := d.String("backup", ""), d.Bool("force", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errs.New(errs.Invalid, "'backup' must be supplied")
	}
	name, k, err := key.Restore(text)
	if err != nil {
		return nil, err
	}
	if given := req.Params["name"]; given != "" {
		name = given
	}
	if err := keyring.CheckName(name); err != nil {
		return nil, err
	}
	old, err := keyring.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if old != nil && !force {
		return nil, errs.Newf(errs.Invalid, "key %q already exists: restore it under another name, or with force", name)
	}
	return e.quietly(tx, keyring.Change{Name: name, Old: old, Made: k, Operation: "key-restore"})
}

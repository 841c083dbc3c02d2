package transit

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/wrapping"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const wrappingKey = "wrapping"

// wrapper returns the mount's own RSA key, to which imported keys are wrapped.
// The first who needs it makes it; nil if make is not set and nobody did.
func (e *Engine) wrapper(ctx context.Context, tx engine.Tx, make bool) (*rsa.PrivateKey, error) {
	entry, err := tx.Get(ctx, wrappingKey)
	if err != nil {
		return nil, err
	}
	if entry.Exists() {
		return store.Decode(entry, decodeWrapper)
	}
	if !make {
		return nil, nil
	}
	private, err := e.newRSA(wrapping.Bits)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the wrapping key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding the wrapping key: %w", err)
	}
	tx.Put(wrappingKey, der)
	return private, nil
}

func (e *Engine) newRSA(bits int) (*rsa.PrivateKey, error) {
	if e.rsa != nil {
		return e.rsa(bits)
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

func decodeWrapper(stored []byte) (*rsa.PrivateKey, error) {
	private, err := x509.ParsePKCS8PrivateKey(stored)
	k, ok := private.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, errs.New(errs.Internal, "decoding the wrapping key: the stored entry is damaged")
	}
	return k, nil
}

// readWrapper shows the public half. Its route is not ReadOnly: the first read
// makes the key.
func (e *Engine) readWrapper(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	private, err := e.wrapper(ctx, tx, true)
	if err != nil {
		return nil, err
	}
	text, err := key.PublicText(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObjectSize(len(text)+64).Str("public_key", text).Value()}, nil
}

// materialOf unwraps what a request brings.
func (e *Engine) materialOf(ctx context.Context, tx engine.Tx, req *engine.Request) (m key.Material, err error) {
	d := req.Decode()
	wrapped, public := d.String("ciphertext", ""), d.String("public_key", "")
	hash, err := wrapping.ParseHash(d.String("hash_function", ""))
	switch {
	case d.Err() != nil:
		return m, d.Err()
	case err != nil:
		return m, err
	case wrapped != "" && public != "":
		return m, errs.New(errs.Invalid, "only one of the following fields, ciphertext and public_key, can be set")
	case wrapped == "" && public == "":
		return m, errs.New(errs.Invalid, "one of the following fields must be set: ciphertext, public_key")
	case public != "":
		return key.Material{Public: []byte(public)}, nil
	}
	blob, err := base64.StdEncoding.DecodeString(wrapped)
	if err != nil {
		return m, errs.New(errs.Invalid, "failed to base64-decode ciphertext: it must be standard base64 with padding")
	}
	private, err := e.wrapper(ctx, tx, false)
	if err != nil {
		return m, err
	}
	if private == nil {
		return m, errs.New(errs.Invalid, "nothing can have been wrapped for this mount yet: read wrapping_key, and wrap the key to import with it")
	}
	m.Private, err = wrapping.Unwrap(private, blob, hash)
	return m, err
}

func (e *Engine) importKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	d := req.Decode()
	rules, err := rulesOf(&d)
	if err != nil {
		return nil, err
	}
	rules.Size = 0 // it is as long as it is
	rules.ImportedRotation = d.Bool("allow_rotation", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := keyring.CheckName(name); err != nil {
		return nil, err
	}
	old, err := keyring.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if old != nil {
		return nil, errs.New(errs.Invalid, "the import path cannot be used with an existing key; use import_version to rotate an existing imported key")
	}
	m, err := e.materialOf(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	k, err := key.Import(rules, m, e.source(req.Time))
	if err != nil {
		return nil, err
	}
	return e.quietly(tx, keyring.Change{Name: name, Made: k, Operation: "key-import"})
}

// quietly stores a change and answers with nothing, as imports do in Vault.
func (e *Engine) quietly(tx engine.Tx, c keyring.Change) (*engine.Response, error) {
	wake, err := c.Apply(tx)
	if err != nil || !wake {
		return nil, err
	}
	return &engine.Response{After: e.wake}, nil
}

func (e *Engine) importVersion(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	d := req.Decode()
	n := d.Int("version", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	old, err := keyring.Named(ctx, tx, req, "no key found with name "+name+"; to import a new key, use the import/ endpoint")
	if err != nil {
		return nil, err
	}
	if !old.Imported {
		return nil, errs.New(errs.Invalid, "the import_version endpoint can only be used with an imported key")
	}
	m, err := e.materialOf(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	var k *key.Key
	switch {
	case n < 0 || n > int64(old.Latest()):
		return nil, errs.New(errs.Invalid, "the key has no such version to import a private key for")
	case n > 0:
		k, err = old.ImportPrivate(int(n), m)
	default:
		k, err = old.ImportVersion(m, e.source(req.Time))
	}
	if err != nil {
		return nil, err
	}
	return e.quietly(tx, keyring.Change{Name: name, Old: old, Made: k, Operation: "key-import-version"})
}

package operation

import (
	"context"
	"encoding/base64"
	"io"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/ciphertext"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
)

const noEncryptionKey = "encryption key not found"

// encrypt seals one plaintext, or a batch of them. It is the hot path: for a
// key that is there it reads one entry, which is decoded once per revision, and
// builds its answer by appending.
func (e *uses) encrypt(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	k, err := keyring.Load(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	if k == nil {
		return e.encryptNew(ctx, tx, req)
	}
	res, err := e.encryptWith(ctx, k, req)
	if err == nil && req.Operation == engine.Create {
		res.Warnings = append(res.Warnings, "Attempted creation of the key during the encrypt operation, but it was created beforehand")
	}
	return res, err
}

func (e *uses) encryptWith(ctx context.Context, k *key.Key, req *engine.Request) (*engine.Response, error) {
	s := sealing{k, e.cfg.Random, 0}
	if req.Body.Has("batch_input") {
		d := req.Decode()
		s.version = d.Int("key_version", 0)
		if err := d.Err(); err != nil {
			return nil, err
		}
		return work{do: s.item, alike: true}.run(ctx, req)
	}
	v, sealed, err := s.seal(req.Body)
	if err != nil {
		return nil, err
	}
	const front, middle = `{"ciphertext":"`, `","key_version":`
	answer := make([]byte, 0, len(front)+ciphertext.TextSize(len(sealed))+len(middle)+12)
	answer = ciphertext.Append(append(answer, front...), v.Number, sealed)
	answer = strconv.AppendInt(append(answer, middle...), int64(v.Number), 10)
	return &engine.Response{Data: append(answer, '}')}, nil
}

// sealing is encrypting with one key.
type sealing struct {
	key     *key.Key
	random  io.Reader
	version int64 // for items that do not say
}

func (s sealing) item(o engine.Builder, item engine.Body) (engine.Builder, error) {
	v, sealed, err := s.seal(item)
	if err != nil {
		return o, err
	}
	return o.Str("ciphertext", string(ciphertext.Append(nil, v.Number, sealed))).Int("key_version", int64(v.Number)), nil
}

func (s sealing) seal(item engine.Body) (*key.Version, []byte, error) {
	d := item.Decode()
	v, err := s.key.ForMaking(d.Int("key_version", s.version), "encryption")
	if d.Err() != nil {
		return nil, nil, d.Err()
	}
	if err != nil {
		return nil, nil, err
	}
	encoded, err := text(item, "plaintext")
	if err != nil {
		return nil, nil, err
	}
	if encoded == nil {
		return nil, nil, errs.New(errs.Invalid, "missing plaintext to encrypt")
	}
	p, err := paramsOf(s.key, v, item)
	if err != nil {
		return nil, nil, err
	}
	p.Random = s.random
	sealed, err := p.SealBase64(encoded)
	return v, sealed, err
}

// paramsOf reads what an item says besides its text.
func paramsOf(k *key.Key, v *key.Version, item engine.Body) (p ciphertext.Params, err error) {
	p = ciphertext.Params{Key: k, Version: v}
	if item.Len() < 2 { // just the text
		return p, nil
	}
	if nonce, err := text(item, "nonce"); err != nil || len(nonce) > 0 {
		return p, errs.New(errs.Invalid, "provided nonce not allowed for this key: nonces are made here")
	}
	if padding, err := text(item, "padding_scheme"); err != nil || len(padding) > 0 && string(padding) != "oaep" {
		return p, errs.New(errs.Invalid, "padding_scheme must be oaep: PKCS #1 v1.5 encryption is not offered, for whoever may decrypt with it can be used to decrypt anything")
	}
	if p.Context, err = Bytes(item, "context"); err != nil {
		return p, err
	}
	p.AssociatedData, err = Bytes(item, "associated_data")
	return p, err
}

// encryptNew makes the key, if it may, and encrypts with it.
func (e *uses) encryptNew(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	disabled, err := keyring.UpsertDisabled(ctx, tx)
	if err != nil {
		return nil, err
	}
	if req.Operation != engine.Create || disabled {
		return nil, errs.New(errs.Invalid, noEncryptionKey)
	}
	rules, err := upsertRules(req)
	if err != nil {
		return nil, err
	}
	name := req.Params["name"]
	if err := keyring.CheckName(name); err != nil {
		return nil, err
	}
	k, err := key.New(rules, key.Source{Random: e.cfg.Random, Now: req.Time})
	if err != nil {
		return nil, err
	}
	res, err := e.encryptWith(ctx, k, req)
	if err != nil {
		return nil, err
	}
	c := keyring.Change{Name: name, Made: k, Operation: "key-create"}
	_, err = c.Apply(tx)
	return res, err
}

// upsertRules are those of a key that encrypting makes: derived if the request
// has a context.
func upsertRules(req *engine.Request) (r key.Rules, err error) {
	d := req.Decode()
	name := d.String("type", key.AES256GCM96.String())
	r.Convergent = d.Bool("convergent_encryption", false)
	if err := d.Err(); err != nil {
		return r, err
	}
	if r.Type, err = key.ParseType(name); err != nil {
		return r, err
	}
	if !r.Type.AEAD() {
		return r, errs.Newf(errs.Invalid, "key type %s not supported for this operation: create the key first, with keys/%s", r.Type, req.Params["name"])
	}
	r.Derived = hasContext(req.Body)
	if raw := req.Body.Field("batch_input"); raw != nil {
		items, err := parseBatch(raw)
		if err != nil {
			return r, err
		}
		r.Derived = hasContext(items[0])
	}
	if r.Convergent && !r.Derived {
		return r, errs.New(errs.Invalid, "convergent encryption requires derivation to be enabled, so context is required")
	}
	return r, nil
}

// decrypt opens one ciphertext, or a batch of them.
func (e *uses) decrypt(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	k, err := keyring.Named(ctx, tx, req, noEncryptionKey)
	if err != nil {
		return nil, err
	}
	do := func(o engine.Builder, item engine.Body) (engine.Builder, error) {
		plaintext, _, err := open(k, item)
		if err != nil {
			return o, err
		}
		defer clear(plaintext)
		return engine.NewObjectSize(base64.StdEncoding.EncodedLen(len(plaintext))+64).Str("plaintext", base64.StdEncoding.EncodeToString(plaintext)), nil
	}
	return work{do: do, alike: true, failed: func(o engine.Builder) engine.Builder { return o.Str("plaintext", "") }}.run(ctx, req)
}

// open decrypts an item's ciphertext, and returns what it was opened with.
func open(k *key.Key, item engine.Body) (plaintext []byte, p ciphertext.Params, err error) {
	whole, err := text(item, "ciphertext")
	if err != nil {
		return nil, p, err
	}
	if len(whole) == 0 {
		return nil, p, errs.New(errs.Invalid, "missing ciphertext to decrypt")
	}
	n, encoded, err := ciphertext.Parse(whole, "ciphertext")
	if err != nil {
		return nil, p, err
	}
	v, err := k.ForChecking(n, "ciphertext")
	if err != nil {
		return nil, p, err
	}
	blob, err := base64.StdEncoding.AppendDecode(make([]byte, 0, base64.StdEncoding.DecodedLen(len(encoded))), encoded)
	if err != nil {
		return nil, p, errs.New(errs.Invalid, "invalid ciphertext: could not decode base64")
	}
	if p, err = paramsOf(k, v, item); err != nil {
		return nil, p, err
	}
	plaintext, err = p.Open(blob)
	return plaintext, p, err
}

// rewrap encrypts anew what a ciphertext holds, without showing it.
func (e *uses) rewrap(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	k, err := keyring.Named(ctx, tx, req, noEncryptionKey)
	if err != nil {
		return nil, err
	}
	top := req.Decode()
	version := top.Int("key_version", 0)
	if err := top.Err(); err != nil {
		return nil, err
	}
	do := func(o engine.Builder, item engine.Body) (engine.Builder, error) {
		d := item.Decode()
		v, err := k.ForMaking(d.Int("key_version", version), "encryption")
		if d.Err() != nil {
			return o, d.Err()
		}
		if err != nil {
			return o, err
		}
		plaintext, p, err := open(k, item)
		if err != nil {
			return o, err
		}
		defer clear(plaintext)
		p.Version, p.Random = v, e.cfg.Random
		sealed, err := p.Seal(plaintext)
		if err != nil {
			return o, err
		}
		return o.Str("ciphertext", string(ciphertext.Append(nil, v.Number, sealed))).Int("key_version", int64(v.Number)), nil
	}
	return work{do: do, alike: true}.run(ctx, req)
}

// dataKey makes a random key for the client's own use, encrypted with a key
// from here, and shows it only under plaintext/.
func (e *uses) dataKey(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	kind := req.Params["kind"]
	if kind != "plaintext" && kind != "wrapped" {
		return nil, errs.New(errs.Invalid, "Invalid path, must be 'plaintext' or 'wrapped'")
	}
	d := req.Decode()
	bits := d.Int("bits", 256)
	if err := d.Err(); err != nil {
		return nil, err
	}
	if bits != 128 && bits != 256 && bits != 512 {
		return nil, errs.New(errs.Invalid, "invalid bit length: bits must be 128, 256 or 512")
	}
	k, err := keyring.Named(ctx, tx, req, noEncryptionKey)
	if err != nil {
		return nil, err
	}
	v := k.Newest()
	p, err := paramsOf(k, v, req.Body)
	if err != nil {
		return nil, err
	}
	p.Random = e.cfg.Random
	made := make([]byte, bits/8)
	if _, err := io.ReadFull(e.cfg.Random, made); err != nil {
		return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	defer clear(made)
	sealed, err := p.Seal(made)
	if err != nil {
		return nil, err
	}
	o := engine.NewObjectSize(512).Str("ciphertext", string(ciphertext.Append(nil, v.Number, sealed))).Int("key_version", int64(v.Number))
	if kind == "plaintext" {
		o = o.Str("plaintext", base64.StdEncoding.EncodeToString(made))
	}
	return &engine.Response{Data: o.Value()}, nil
}

package operation

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/ciphertext"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/signature"
)

// hashName is what the path or the body names, "" for neither.
func hashName(req *engine.Request, d *engine.Decoder) string {
	if name := req.Params["hash"]; name != "" {
		return name
	}
	return d.String("hash_algorithm", d.String("algorithm", ""))
}

func optionsOf(req *engine.Request) (signature.Options, error) {
	d := req.Decode()
	t := signature.Texts{
		Hash:       hashName(req, &d),
		Algorithm:  d.String("signature_algorithm", ""),
		Marshaling: d.String("marshaling_algorithm", ""),
		Salt:       d.String("salt_length", ""),
		Prehashed:  d.Bool("prehashed", false),
	}
	if err := d.Err(); err != nil {
		return signature.Options{}, err
	}
	var err error
	if t.Context, err = Bytes(req.Body, "signature_context"); err != nil {
		return signature.Options{}, err
	}
	return t.Parse()
}

// inputOf returns what an item wants signed; it may be empty, but not absent.
func inputOf(item engine.Body) ([]byte, error) {
	if !item.Has("input") {
		return nil, errs.New(errs.Invalid, "missing input: give what is to be signed or checked in base64")
	}
	return Bytes(item, "input")
}

func (e *uses) sign(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	k, err := keyring.Named(ctx, tx, req, "signing key not found")
	if err != nil {
		return nil, err
	}
	if !k.Type.Signs() {
		return nil, errs.Newf(errs.Invalid, "key type %s does not support signing", k.Type)
	}
	options, err := optionsOf(req)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	v, err := k.ForMaking(d.Int("key_version", 0), "signing")
	if d.Err() != nil {
		return nil, d.Err()
	}
	if err != nil {
		return nil, err
	}
	s := signing{k, v, options, "public_key"}
	if req.Body.Has("batch_input") {
		s.publicName = "publickey" // so it is in Vault
	}
	return work{do: s.item}.run(ctx, req)
}

type signing struct {
	key        *key.Key
	version    *key.Version
	options    signature.Options
	publicName string
}

func (s *signing) item(o engine.Builder, item engine.Body) (engine.Builder, error) {
	input, err := inputOf(item)
	if err != nil {
		return o, err
	}
	derivation, err := Bytes(item, "context")
	if err != nil {
		return o, err
	}
	signer, err := s.key.Signer(s.version, derivation)
	if err != nil {
		return o, err
	}
	made, err := s.options.Sign(signer, input)
	if err != nil {
		return o, err
	}
	o = o.Str("signature", string(ciphertext.AppendPrefix(nil, s.version.Number))+made).Int("key_version", int64(s.version.Number))
	if public, ok := signer.Public().(ed25519.PublicKey); ok && s.key.Derived {
		o = o.Str(s.publicName, base64.StdEncoding.EncodeToString(public))
	}
	return o, nil
}

// verify checks signatures, or HMACs; which of the two is asked of each item.
func (e *uses) verify(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	k, err := keyring.Named(ctx, tx, req, "signature verification key not found")
	if err != nil {
		return nil, err
	}
	c := checking{key: k, req: req}
	return work{do: c.item, failed: func(o engine.Builder) engine.Builder { return o.Bool("valid", false) }}.run(ctx, req)
}

type checking struct {
	key *key.Key
	req *engine.Request
}

func (c *checking) item(o engine.Builder, item engine.Body) (engine.Builder, error) {
	signed, err := text(item, "signature")
	if err != nil {
		return o, err
	}
	mac, err := text(item, "hmac")
	if err != nil {
		return o, err
	}
	var valid bool
	switch {
	case len(signed) > 0 && len(mac) > 0:
		err = errs.New(errs.Invalid, "provide one of 'signature' or 'hmac'")
	case len(signed) > 0:
		valid, err = c.signature(signed, item)
	case len(mac) > 0:
		valid, err = c.mac(mac, item)
	default:
		err = errs.New(errs.Invalid, "neither a 'signature' nor an 'hmac' was given to verify")
	}
	if err != nil {
		return o, err
	}
	return o.Bool("valid", valid), nil
}

func (c *checking) signature(whole []byte, item engine.Body) (bool, error) {
	if !c.key.Type.Signs() {
		return false, errs.Newf(errs.Invalid, "key type %s does not support verification", c.key.Type)
	}
	options, err := optionsOf(c.req)
	if err != nil {
		return false, err
	}
	n, encoded, err := ciphertext.Parse(whole, "signature")
	if err != nil {
		return false, err
	}
	v, err := c.key.ForChecking(n, "signature")
	if err != nil {
		return false, err
	}
	input, err := inputOf(item)
	if err != nil {
		return false, err
	}
	derivation, err := Bytes(item, "context")
	if err != nil {
		return false, err
	}
	public, err := c.key.Verifier(v, derivation)
	if err != nil {
		return false, err
	}
	return options.Verify(public, input, string(encoded))
}

func (c *checking) mac(whole []byte, item engine.Body) (bool, error) {
	hash, err := macHash(c.req)
	if err != nil {
		return false, err
	}
	n, encoded, err := ciphertext.Parse(whole, "HMAC")
	if err != nil {
		return false, err
	}
	v, err := c.key.ForChecking(n, "HMAC")
	if err != nil {
		return false, err
	}
	given, err := base64.StdEncoding.DecodeString(string(encoded))
	if err != nil {
		return false, errs.New(errs.Invalid, "invalid HMAC: could not decode base64")
	}
	input, err := inputOf(item)
	if err != nil {
		return false, err
	}
	return hmac.Equal(given, signature.MAC(hash, v.MAC(), input)), nil
}

// macHash is the hash function of an HMAC, which has its own old name in the body.
func macHash(req *engine.Request) (crypto.Hash, error) {
	d := req.Decode()
	name := hashName(req, &d)
	if err := d.Err(); err != nil {
		return 0, err
	}
	return signature.ParseHash(name)
}

func (e *uses) hmac(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	k, err := keyring.Named(ctx, tx, req, noEncryptionKey)
	if err != nil {
		return nil, err
	}
	hash, err := macHash(req)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	v, err := k.ForMaking(d.Int("key_version", 0), "HMAC")
	if d.Err() != nil {
		return nil, d.Err()
	}
	if err != nil {
		return nil, err
	}
	return work{do: func(o engine.Builder, item engine.Body) (engine.Builder, error) {
		input, err := inputOf(item)
		if err != nil {
			return o, err
		}
		return o.Str("hmac", string(ciphertext.Append(nil, v.Number, signature.MAC(hash, v.MAC(), input)))), nil
	}}.run(ctx, req)
}

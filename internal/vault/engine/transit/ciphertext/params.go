package ciphertext

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
)

// Params say with what to encrypt or decrypt.
type Params struct {
	Key            *key.Key
	Version        *key.Version
	Context        []byte // of derived keys; not looked at for others
	AssociatedData []byte // empty is none
	Random         io.Reader
}

// errUnable is all that is told of a ciphertext that does not open.
var errUnable = errs.New(errs.Invalid, "invalid ciphertext: unable to decrypt: it was not made with this key, context and associated_data, or it was changed")

var errBase64 = errs.New(errs.Invalid, "failed to base64-decode plaintext: it must be standard base64 with padding")

// check refuses what keys of the type cannot do.
func (p *Params) check(operation string) error {
	t := p.Key.Type
	if !t.Encrypts() {
		return errs.Newf(errs.Invalid, "key type %s does not support %s", t, operation)
	}
	if len(p.AssociatedData) > 0 && !t.AEAD() {
		return errs.Newf(errs.Invalid, "associated_data provided for non-AEAD cipher suite %s", t)
	}
	return nil
}

// SealBase64 encrypts a plaintext that is given in base64.
func (p *Params) SealBase64(encoded []byte) ([]byte, error) {
	if err := p.check("encryption"); err != nil {
		return nil, err
	}
	if p.Key.Type.RSA() {
		plaintext, err := base64.StdEncoding.AppendDecode(nil, encoded)
		if err != nil {
			return nil, errBase64
		}
		return p.sealRSA(plaintext)
	}
	a, err := p.aead()
	if err != nil {
		return nil, err
	}
	front := a.NonceSize()
	buf := make([]byte, front, front+base64.StdEncoding.DecodedLen(len(encoded))+a.Overhead())
	if buf, err = base64.StdEncoding.AppendDecode(buf, encoded); err != nil {
		return nil, errBase64
	}
	return p.seal(a, buf)
}

// Seal encrypts a plaintext.
func (p *Params) Seal(plaintext []byte) ([]byte, error) {
	if err := p.check("encryption"); err != nil {
		return nil, err
	}
	if p.Key.Type.RSA() {
		return p.sealRSA(plaintext)
	}
	a, err := p.aead()
	if err != nil {
		return nil, err
	}
	front := a.NonceSize()
	buf := make([]byte, front, front+len(plaintext)+a.Overhead())
	return p.seal(a, append(buf, plaintext...))
}

// seal encrypts in place what stands in buf behind the room for a nonce.
func (p *Params) seal(a aead, buf []byte) ([]byte, error) {
	nonce, plaintext := buf[:a.NonceSize()], buf[a.NonceSize():]
	if p.Key.Convergent {
		a.converge(nonce, plaintext, p.AssociatedData)
	} else if _, err := io.ReadFull(p.Random, nonce); err != nil {
		return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return a.Seal(nonce, nonce, plaintext, p.AssociatedData), nil
}

// aead is a cipher and, of a convergent key, what makes its nonces.
type aead struct {
	cipher.AEAD
	nonceKeys []byte // 32 bytes for plaintexts alone, 32 for those with associated data
}

const nonceKeys = 64

func (p *Params) aead() (a aead, err error) {
	switch {
	case p.Key.Convergent:
		a.AEAD, a.nonceKeys, err = p.Version.DeriveAEAD(p.Context, nonceKeys)
	case p.Key.Derived:
		a.AEAD, _, err = p.Version.DeriveAEAD(p.Context, 0)
	default:
		a.AEAD, err = p.Version.AEAD()
	}
	return a, err
}

// converge makes the nonce of a convergent key: HMAC-SHA256 of the plaintext
// under a key that is derived beside the encryption key, so that equal nonces
// mean equal plaintexts and the cipher's promise holds (Vault's version 3).
//
// Where there is associated data the nonce depends on it too, under another key
// and with its length in front: were it left out, as in Vault, one plaintext
// with two different associated data would be two messages under one nonce,
// from which GCM's authentication key can be computed. Decryption takes the
// nonce from the ciphertext and need not know.
func (a aead) converge(nonce, plaintext, associated []byte) {
	h := hmac.New(sha256.New, a.nonceKeys[:32])
	if len(associated) > 0 {
		h = hmac.New(sha256.New, a.nonceKeys[32:])
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(associated)))
		h.Write(size[:])
		h.Write(associated)
	}
	h.Write(plaintext)
	copy(nonce, h.Sum(nil))
}

// Open decrypts what Seal returned. It changes blob.
func (p *Params) Open(blob []byte) ([]byte, error) {
	if err := p.check("decryption"); err != nil {
		return nil, err
	}
	if p.Key.Type.RSA() {
		return p.openRSA(blob)
	}
	a, err := p.aead()
	if err != nil {
		return nil, err
	}
	if len(blob) < a.NonceSize()+a.Overhead() {
		return nil, errs.New(errs.Invalid, "invalid ciphertext: too short")
	}
	nonce, sealed := blob[:a.NonceSize()], blob[a.NonceSize():]
	plaintext, err := a.Open(sealed[:0], nonce, sealed, p.AssociatedData)
	if err != nil {
		return nil, errUnable
	}
	return plaintext, nil
}

// sealRSA is RSA-OAEP with SHA-256 and no label (RFC 8017 §7.1). PKCS #1 v1.5
// is not offered: whoever may decrypt with it serves as Bleichenbacher's oracle.
func (p *Params) sealRSA(plaintext []byte) ([]byte, error) {
	public, err := p.Version.Public()
	if err != nil {
		return nil, err
	}
	k, ok := public.(*rsa.PublicKey)
	if !ok {
		return nil, errs.New(errs.Internal, "an RSA key holds something else")
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), p.Random, k, plaintext, nil)
	if errors.Is(err, rsa.ErrMessageTooLong) {
		return nil, errs.Newf(errs.Invalid, "the plaintext is too long for a key of type %s: at most %d bytes; encrypt a data key instead", p.Key.Type, k.Size()-2*sha256.Size-2)
	}
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encrypting with RSA: %w", err)
	}
	return sealed, nil
}

func (p *Params) openRSA(blob []byte) ([]byte, error) {
	private, err := p.Version.Private()
	if err != nil {
		return nil, err
	}
	k, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil, errs.New(errs.Internal, "an RSA key holds something else")
	}
	plaintext, err := rsa.DecryptOAEP(sha256.New(), nil, k, blob, nil)
	if err != nil {
		return nil, errUnable
	}
	return plaintext, nil
}

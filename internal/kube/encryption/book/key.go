package book

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/attest"
	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Key signs with a key of this machine: Ed25519, PKCS#8 in PEM, as "openssl genpkey
// -algorithm ed25519" writes it. Who has it can write another history, so that what it says
// is worth as much as this machine, and as what others have kept of the chain.
type Key struct {
	Name    string // of the chain
	By      string // who is said to sign
	Now     func() time.Time
	private ed25519.PrivateKey
}

// block is the PEM type of a private key.
const block = "PRIVATE KEY"

// GenerateKey writes a new key to a file, which must not be there, and returns its public
// half in PEM.
func GenerateKey(path string) (public string, err error) {
	half, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "drawing randomness for a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", errs.New(errs.Internal, "encoding a key")
	}
	d, err := draft.Open(path)
	if err == nil {
		defer d.Discard()
		err = pem.Encode(d, &pem.Block{Type: block, Bytes: der})
	}
	if err == nil {
		err = d.Create()
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return "", errs.Newf(errs.Exist, "there is a file %s already: a key that has signed is not replaced", path)
	case err != nil:
		return "", errs.Newf(errs.Invalid, "writing a key: %w", err)
	}
	return attest.EncodeKey(half)
}

// ReadKey reads a key; what else it takes to sign is for the caller to set. Kinds: NotExist,
// Denied (others may read it), Invalid.
func ReadKey(path string) (*Key, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errs.Newf(errs.NotExist, "there is no key %s: make it with strongkeep encryption report new-key %s", path, path)
	case err != nil:
		return nil, errs.Newf(errs.Denied, "reading the key for reports: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0:
		return nil, errs.Newf(errs.Denied, "the key %s has mode %s: make it 0600, since who reads it can sign", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Newf(errs.Denied, "reading the key for reports: %w", err)
	}
	defer clear(text)
	p, _ := pem.Decode(text)
	if p == nil || p.Type != block {
		return nil, errs.Newf(errs.Invalid, "%s is no private key in PEM (PKCS#8): make one with strongkeep encryption report new-key FILE", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(p.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, errs.Newf(errs.Invalid, "%s is no Ed25519 key: make one with strongkeep encryption report new-key FILE", path)
	}
	return &Key{private: private, Now: time.Now}, nil
}

// Keys implements Signer.
func (k *Key) Keys(context.Context) (attest.Keys, error) {
	public, ok := k.private.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errs.New(errs.Internal, "the key for reports has no public half")
	}
	keys := attest.Keys{}
	return keys, keys.Add(public)
}

// Missing implements Signer: what this key signs is nowhere but in the folder.
func (k *Key) Missing(context.Context, int64) ([][]byte, error) { return nil, nil }

// Sign implements Signer.
func (k *Key) Sign(_ context.Context, last *attest.Verified, statement []byte) ([]byte, error) {
	e := attest.Entry{Name: k.Name, Seq: 1, Turn: 1, Time: k.Now().UTC(), By: attest.Author{DisplayName: k.By}, Statement: statement}
	if last == nil {
		id, err := uuid.NewRandom()
		if err != nil {
			return nil, errs.Newf(errs.Unavailable, "drawing randomness for a chain: %w", err)
		}
		e.Log = id.String()
	} else {
		if last.Name != e.Name {
			return nil, errs.Newf(errs.Conflict, "the reports before are those of %s, and this is %s: keep another cluster's in another folder", last.Name, e.Name)
		}
		e.Log, e.Seq, e.Turn, e.Previous = last.Log, last.Seq+1, last.Turn+1, last.Digest
	}
	payload, err := e.Payload()
	if err != nil {
		return nil, err
	}
	envelope, err := attest.Sign(k.private, attest.TypeEntry, payload)
	if err != nil {
		return nil, err
	}
	return envelope.Encode()
}

package sshkey

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/semaphore"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind draws keys. Make one with New.
type Kind struct {
	// slots bounds the keys that are being made: RSA of 8,192 bits takes seconds of
	// a processor, and whoever may write a generator may ask for many.
	slots *semaphore.Weighted
}

var _ generator.Drawer = Kind{}

// Keys implements generator.Drawer.
func (Kind) Keys(json.RawMessage) ([]string, error) { return []string{"privateKey", "publicKey"}, nil }

// New returns a Kind that makes one key at a time.
func New() Kind { return Kind{semaphore.NewWeighted(1)} }

// The least and the most bits of an RSA key: NIST SP 800-57 has less than 2,048
// disallowed; the API server admits no more than 8,192.
const (
	usualBits = 2048
	minBits   = 2048
	maxBits   = 8192
)

// Generate implements generator.Kind.
func (k Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	var spec v1alpha1.SSHKeySpec
	if err := generator.Decode(cfg.Spec, &spec); err != nil {
		return generator.Made{}, err
	}
	if len(spec.Comment) > 1024 || strings.ContainsFunc(spec.Comment, unicode.IsControl) {
		return generator.Made{}, errs.New(errs.Invalid, "spec.comment must be one line of at most 1024 bytes")
	}
	size := 0
	if spec.KeySize != nil {
		size = *spec.KeySize
	}
	if err := k.slots.Acquire(ctx, 1); err != nil {
		return generator.Made{}, errs.Newf(errs.Unavailable, "waiting for other keys to be made: %w", err)
	}
	defer k.slots.Release(1)
	private, err := draw(spec.KeyType, size)
	if err != nil {
		return generator.Made{}, err
	}
	return encode(private, spec.Comment)
}

func draw(kind string, size int) (crypto.Signer, error) {
	switch kind {
	case "", "rsa":
		if size == 0 {
			size = usualBits
		}
		if size < minBits || size > maxBits {
			return nil, errs.Newf(errs.Invalid, "spec.keySize is %d: for rsa it must be from %d to %d", size, minBits, maxBits)
		}
		return made(rsa.GenerateKey(rand.Reader, size))
	case "ecdsa":
		curve, ok := map[int]elliptic.Curve{0: elliptic.P256(), 256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}[size]
		if !ok {
			return nil, errs.Newf(errs.Invalid, "spec.keySize is %d: for ecdsa it must be 256, 384 or 521", size)
		}
		return made(ecdsa.GenerateKey(curve, rand.Reader))
	case "ed25519":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return made(private, err)
	}
	return nil, errs.Newf(errs.Invalid, "spec.keyType is %q: it must be rsa, ecdsa or ed25519", kind)
}

func made[K crypto.Signer](key K, err error) (crypto.Signer, error) {
	if err != nil {
		return nil, errs.Newf(errs.Internal, "drawing an SSH key: %w", err)
	}
	return key, nil
}

// encode writes the private key as OpenSSH does, and the public one as a line of
// authorized_keys.
func encode(private crypto.Signer, comment string) (generator.Made, error) {
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return generator.Made{}, errs.New(errs.Internal, "encoding an SSH key")
	}
	public, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		return generator.Made{}, errs.New(errs.Internal, "encoding the public part of an SSH key")
	}
	line := ssh.MarshalAuthorizedKey(public)
	if comment != "" {
		line = append(append(bytes.TrimSuffix(line, []byte("\n")), " "+comment...), '\n')
	}
	return generator.Made{Data: map[string]redact.Secret{
		"privateKey": redact.New(pem.EncodeToMemory(block)), "publicKey": redact.New(line),
	}}, nil
}

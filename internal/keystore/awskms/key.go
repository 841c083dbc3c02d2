package awskms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/logging"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Name is the kind of key, on disk.
const Name = "awskms"

// maxPlain is how much KMS encrypts.
const maxPlain = 4096

// Key is a key of AWS KMS. It implements keystore.Versioned.
type Key struct {
	settings Settings
	client   *kms.Client
	login    *login
}

// Open is the keystore.Opener of AWS KMS; Settings are what it takes.
func Open(raw []byte) (keystore.Versioned, error) {
	s, err := parse(raw)
	if err != nil {
		return nil, err
	}
	client := wire.NewClient(s.Region, wire.Retry{})
	k := &Key{settings: s}
	if k.login, err = s.login(client, time.Now); err != nil {
		return nil, err
	}
	k.client = kms.New(kms.Options{
		Region: s.Region, BaseEndpoint: wire.Text(s.Endpoint), HTTPClient: client.HTTP, Retryer: client.Retryer,
		Credentials: k.login, Logger: logging.Nop{}, AppID: "strongkeep",
	})
	return k, nil
}

// Name returns Name.
func (k *Key) Name() string { return Name }

// KeyID is the key's id, which no other key has and which is the same in all regions
// that it is in, or where the alias is.
func (k *Key) KeyID() string {
	if k.settings.Alias != "" {
		return k.settings.Region + "/" + k.settings.Alias
	}
	return k.settings.id
}

// Wrap implements keystore.Key.
func (k *Key) Wrap(ctx context.Context, aad []byte, plain redact.Secret) ([]byte, error) {
	if k.settings.Alias == "" {
		return k.encrypt(ctx, version{id: k.settings.id}, aad, plain)
	}
	h, err := k.History(ctx)
	if err != nil {
		return nil, err
	}
	return k.WrapAs(ctx, h.Versions[len(h.Versions)-1].ID, aad, plain)
}

// WrapAs implements keystore.Versioned.
func (k *Key) WrapAs(ctx context.Context, id string, aad []byte, plain redact.Secret) ([]byte, error) {
	v, err := parseVersion(id)
	if err != nil {
		return nil, err
	}
	return k.encrypt(ctx, v, aad, plain)
}

func (k *Key) encrypt(ctx context.Context, v version, aad []byte, plain redact.Secret) ([]byte, error) {
	name, err := k.named(v)
	if err != nil {
		return nil, err
	}
	if plain.Len() > maxPlain {
		return nil, errs.Newf(errs.TooLarge, "AWS KMS encrypts at most %d bytes, and not %d", maxPlain, plain.Len())
	}
	doing := "encrypting by " + name
	out, err := do(ctx, k, doing, func(ctx context.Context) (*kms.EncryptOutput, error) {
		return k.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &name, Plaintext: plain.Reveal(), EncryptionContext: bound(aad)})
	})
	if err != nil {
		return nil, err
	}
	if len(out.CiphertextBlob) == 0 {
		return nil, wire.NoAnswer(doing)
	}
	if err := v.same(doing, out.KeyId); err != nil {
		return nil, err
	}
	return pack(v, out.CiphertextBlob), nil
}

// Unwrap implements keystore.Key. Only keys of the settings decrypt: a blob that
// somebody made under a key of their own is refused.
func (k *Key) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	v, ciphertext, err := unpack(blob)
	if err != nil {
		return redact.Secret{}, err
	}
	name, err := k.named(v)
	if err != nil {
		return redact.Secret{}, err
	}
	doing := "decrypting by " + name
	out, err := do(ctx, k, doing, func(ctx context.Context) (*kms.DecryptOutput, error) {
		return k.client.Decrypt(ctx, &kms.DecryptInput{KeyId: &name, CiphertextBlob: ciphertext, EncryptionContext: bound(aad)})
	})
	if err != nil {
		return redact.Secret{}, err
	}
	if len(out.Plaintext) == 0 {
		return redact.Secret{}, wire.NoAnswer(doing)
	}
	if err := v.same(doing, out.KeyId); err != nil {
		clear(out.Plaintext)
		return redact.Secret{}, err
	}
	return redact.New(out.Plaintext), nil
}

// named is what KMS is to take for a version: an alias of ours or the key of the
// settings, and nothing else.
func (k *Key) named(v version) (string, error) {
	switch {
	case k.settings.Alias != "" && v.number > 0:
		return k.alias(v.number), nil
	case k.settings.Alias == "" && v.number == 0 && v.id == k.settings.id:
		return k.settings.Key, nil
	}
	return "", errs.Newf(errs.NotExist, "version %s is none of the key %s", v, k.KeyID())
}

func (k *Key) alias(number uint32) string {
	return k.settings.Alias + "/" + strconv.FormatUint(uint64(number), 10)
}

// same refuses an answer by another key than the version's.
func (v version) same(doing string, by *string) error {
	if by == nil || *by != v.id && !strings.HasSuffix(*by, ":key/"+v.id) {
		return errs.Newf(errs.Conflict, "%s: that is another key now, and not %s: point the alias at that one again", doing, v.id)
	}
	return nil
}

// bound is the encryption context: in the clear in CloudTrail, so a hash.
func bound(aad []byte) map[string]string {
	sum := sha256.Sum256(aad)
	return map[string]string{"strongkeep-aad": hex.EncodeToString(sum[:])}
}

// VersionOf implements keystore.Versioned.
func (k *Key) VersionOf(blob []byte) (string, error) {
	v, _, err := unpack(blob)
	if err != nil {
		return "", err
	}
	return v.String(), nil
}

// do makes one call, and once more with a new login where AWS does not take the one
// there is.
func do[T any](ctx context.Context, k *Key, doing string, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, k.settings.timeout)
	defer cancel()
	out, err := call(ctx)
	if wire.Stale(err) && k.login.renew() {
		out, err = call(ctx)
	}
	if err != nil {
		var none T
		return none, classify(doing, err)
	}
	return out, nil
}

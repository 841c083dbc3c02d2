package pkcs11

import (
	"context"
	"encoding/hex"
	"net/url"
	"runtime"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/helper"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Name is the kind of key, on disk.
const Name = "pkcs11"

// maxPlain is how much is encrypted: every token takes that in one call.
const maxPlain = 4096

// Key is a key of a PKCS#11 token. It implements keystore.Versioned. Its child ends with
// Close, or when nobody has the Key any more.
type Key struct {
	settings Settings
	id       string
	helper   *helper.Supervisor
}

// Open is the keystore.Opener of PKCS#11 tokens; Settings are what it takes.
func Open(raw []byte) (keystore.Versioned, error) {
	s, err := parse(raw)
	if err != nil {
		return nil, err
	}
	k := &Key{settings: s, id: s.uri(), helper: s.helper()}
	runtime.AddCleanup(k, func(h *helper.Supervisor) { go func() { _ = h.Close() }() }, k.helper)
	return k, nil
}

// uri names the key as RFC 7512 does. Fingerprints made in another way are of other
// versions, and so of another key.
func (s *Settings) uri() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+"="+url.PathEscape(value))
		}
	}
	add("token", s.Token)
	add("serial", s.Serial)
	add("object", s.Key)
	add("id", hex.EncodeToString(s.id))
	add("x-fingerprint", s.Fingerprint)
	return "pkcs11:" + strings.Join(parts, ";")
}

// Close ends the child.
func (k *Key) Close() error { return k.helper.Close() }

// Name returns Name.
func (k *Key) Name() string { return Name }

// KeyID is what the settings call the key. It is the same for copies of a token that have one label.
func (k *Key) KeyID() string { return k.id }

// call asks the child, which must not end meanwhile for want of anybody who has k.
func (k *Key) call(ctx context.Context, kind wire.Kind, fields ...[]byte) ([][]byte, error) {
	defer runtime.KeepAlive(k)
	return k.helper.Call(ctx, kind, fields...)
}

// versions are at least one.
func (k *Key) versions(ctx context.Context) ([]wire.Version, error) {
	fields, err := k.call(ctx, wire.List)
	if err != nil {
		return nil, k.failed("asking for the versions of", err)
	}
	all, err := wire.ParseVersions(fields)
	if err != nil || len(all) == 0 {
		return nil, errs.Newf(errs.Internal, "strongkeep-pkcs11 answers without versions of %s", k.id)
	}
	return all, nil
}

// failed says which key it was.
func (k *Key) failed(doing string, err error) error {
	return errs.Newf(errs.KindOf(err), "%s %s: %w", doing, k.id, err)
}

// refused is why a version encrypts nothing; nil if it does.
func (k *Key) refused(v wire.Version) error {
	if v.Refused == "" {
		return nil
	}
	return errs.Newf(errs.Unsupported, "key %s, version %s encrypts nothing: %s", k.id, v.ID, v.Refused)
}

// History implements keystore.Versioned. A key that can leave the token, or may not encrypt,
// is a version that does not wrap; if there is no other, its reason is the error.
func (k *Key) History(ctx context.Context) (keystore.History, error) {
	all, err := k.versions(ctx)
	if err != nil {
		return keystore.History{}, err
	}
	h := keystore.History{Lineage: k.id}
	wraps := false
	for _, v := range all {
		h.Versions = append(h.Versions, keystore.Version{ID: v.String(), Wraps: v.Refused == ""})
		wraps = wraps || v.Refused == ""
	}
	if !wraps {
		return keystore.History{}, k.refused(all[len(all)-1])
	}
	return h, nil
}

// Wrap implements keystore.Key.
func (k *Key) Wrap(ctx context.Context, aad []byte, plain redact.Secret) ([]byte, error) {
	all, err := k.versions(ctx)
	if err != nil {
		return nil, err
	}
	newest := all[len(all)-1]
	if err := k.refused(newest); err != nil {
		return nil, err
	}
	return k.encrypt(ctx, newest.ID, aad, plain)
}

// WrapAs implements keystore.Versioned.
func (k *Key) WrapAs(ctx context.Context, version string, aad []byte, plain redact.Secret) ([]byte, error) {
	id, err := wire.ParseID(version)
	if err != nil {
		return nil, err
	}
	return k.encrypt(ctx, id, aad, plain)
}

func (k *Key) encrypt(ctx context.Context, id wire.ID, aad []byte, plain redact.Secret) ([]byte, error) {
	if plain.Len() > maxPlain || plain.Empty() {
		return nil, errs.Newf(errs.TooLarge, "1 to %d bytes are encrypted in a PKCS#11 token, and not %d", maxPlain, plain.Len())
	}
	fields, err := k.call(ctx, wire.Wrap, id.Append(nil), bound(id, aad), plain.Reveal())
	if err != nil {
		return nil, k.failed("encrypting by", err)
	}
	if len(fields) != 2 || len(fields[0]) == 0 || len(fields[0]) > 255 || len(fields[1]) != plain.Len()+tagSize {
		return nil, errs.New(errs.Internal, "strongkeep-pkcs11 answers without what was encrypted")
	}
	return pack(id, fields[0], fields[1]), nil
}

// Unwrap implements keystore.Key.
func (k *Key) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	id, iv, ciphertext, err := unpack(blob)
	if err != nil {
		return redact.Secret{}, err
	}
	if len(ciphertext) > maxPlain+tagSize {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%d bytes are more than a PKCS#11 token has encrypted", len(ciphertext))
	}
	fields, err := k.call(ctx, wire.Unwrap, id.Append(nil), bound(id, aad), iv, ciphertext)
	if err != nil {
		return redact.Secret{}, k.failed("decrypting by", err)
	}
	if len(fields) != 1 || len(fields[0]) != len(ciphertext)-tagSize {
		return redact.Secret{}, errs.New(errs.Internal, "strongkeep-pkcs11 answers without what was decrypted")
	}
	return redact.New(fields[0]), nil
}

// VersionOf implements keystore.Versioned.
func (k *Key) VersionOf(blob []byte) (string, error) {
	id, _, _, err := unpack(blob)
	if err != nil {
		return "", err
	}
	return id.String(), nil
}

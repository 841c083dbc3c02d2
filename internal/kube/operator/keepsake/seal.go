package keepsake

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// magic begins each file; it is authenticated with the file's name.
const magic = "SKK1"

// keys are the three that one key gives.
type keys struct {
	seal   cipher.AEAD // contents
	naming []byte      // names
	equal  []byte      // digests, of values and of accesses
}

// derive makes them (HKDF-SHA256, RFC 5869).
func derive(from redact.Secret) (keys, error) {
	if from.Len() != KeySize {
		return keys{}, errs.Newf(errs.Invalid, "the key of last values has %d bytes, not %d", from.Len(), KeySize)
	}
	var each [3][]byte
	for i, purpose := range []string{"contents", "names", "digests"} {
		key, err := hkdf.Key(sha256.New, from.Reveal(), nil, "strongkeep last values: "+purpose, KeySize)
		if err != nil {
			return keys{}, errs.Newf(errs.Internal, "deriving a key: %w", err)
		}
		each[i] = key
	}
	block, err := aes.NewCipher(each[0])
	if err != nil {
		return keys{}, errs.Newf(errs.Internal, "making a cipher: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return keys{}, errs.Newf(errs.Internal, "making a cipher: %w", err)
	}
	return keys{seal, each[1], each[2]}, nil
}

// LoadKey reads a key: KeySize bytes, or those in base64.
func LoadKey(path string) (redact.Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "reading the key of last values: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(f, 1024))
	if err := errors.Join(err, f.Close()); err != nil {
		return redact.Secret{}, errs.Newf(errs.Invalid, "reading the key of last values: %w", err)
	}
	if len(raw) == KeySize {
		return redact.New(raw), nil
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(raw)))
	if err != nil || len(key) != KeySize {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%s is no key of last values: it must have %d bytes, or those in base64", path, KeySize)
	}
	return redact.New(key), nil
}

// identify says what a request reads from a store. Whoever is another store, by its
// name or by what it says of the provider, is another.
func identify(store v1.Store, req provider.Request) ([]byte, error) {
	spec, err := json.Marshal(store.StoreSpec().Provider)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a store: %w", err)
	}
	id, err := json.Marshal([]any{v1.KeyOf(store), string(spec), req})
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a request: %w", err)
	}
	return id, nil
}

// name is the file of what id names.
func (k *keys) name(id []byte) string {
	m := hmac.New(sha256.New, k.naming)
	m.Write(id)
	return hex.EncodeToString(m.Sum(nil))
}

// bound is what a value says of by what it was read. What it digests has another length
// than what digest does.
func (k *keys) bound(a provider.Access) []byte {
	m := hmac.New(sha256.New, k.equal)
	m.Write([]byte("access"))
	m.Write(a[:])
	return m.Sum(nil)
}

// digest tells values apart.
func (k *keys) digest(v provider.Value) string {
	m := hmac.New(sha256.New, k.equal)
	field := func(b []byte) {
		sum := sha256.Sum256(b)
		m.Write(sum[:])
	}
	field(v.Access[:])
	field([]byte(v.Version))
	field(v.Data.Reveal())
	for _, name := range slices.Sorted(maps.Keys(v.Parts)) {
		field([]byte(name))
		field(v.Parts[name].Reveal())
	}
	return string(m.Sum(nil))
}

func (k *keys) sealed(name string, plain []byte) []byte {
	return k.seal.Seal([]byte(magic), nil, plain, []byte(magic+name)) //nolint:gosec // the cipher draws the nonce: NewGCMWithRandomNonce
}

func (k *keys) unsealed(name string, raw []byte) ([]byte, error) {
	body, ok := bytes.CutPrefix(raw, []byte(magic))
	if !ok {
		return nil, errs.New(errs.Invalid, "the last value is spoiled: it is not of this program")
	}
	plain, err := k.seal.Open(nil, nil, body, []byte(magic+name))
	if err != nil {
		return nil, errs.New(errs.Invalid, "the last value is spoiled, or sealed with another key")
	}
	return plain, nil
}

// record is a value as it is kept.
type record struct {
	At      time.Time         `json:"at"`
	Access  []byte            `json:"access"` // as bound makes it
	Version string            `json:"version,omitempty"`
	Data    []byte            `json:"data"`
	Parts   map[string][]byte `json:"parts,omitempty"`
	Picked  bool              `json:"picked,omitempty"`
}

func encode(v provider.Value, access []byte, at time.Time) ([]byte, error) {
	r := record{At: at.UTC(), Access: access, Version: v.Version, Data: v.Data.Reveal(), Picked: v.Picked}
	if v.Parts != nil {
		r.Parts = map[string][]byte{}
		for name, part := range v.Parts {
			r.Parts[name] = part.Reveal()
		}
	}
	plain, err := json.Marshal(r)
	if err != nil {
		return nil, errs.New(errs.Internal, "encoding a value")
	}
	return plain, nil
}

func (k *keys) opened(name string, raw []byte) (record, error) {
	plain, err := k.unsealed(name, raw)
	if err != nil {
		return record{}, err
	}
	return decode(plain)
}

func decode(plain []byte) (record, error) {
	var r record
	if json.Unmarshal(plain, &r) != nil || r.At.IsZero() {
		return record{}, errs.New(errs.Invalid, "the last value is of another version of this program")
	}
	return r, nil
}

func (r record) value() provider.Value {
	v := provider.Value{Data: redact.New(r.Data), Version: r.Version, Picked: r.Picked}
	if r.Parts != nil {
		v.Parts = map[string]redact.Secret{}
		for name, part := range r.Parts {
			v.Parts[name] = redact.New(part)
		}
	}
	return v
}

// proof is the file that tells whether the key is the one before.
const proof = "key"

// proveKey refuses a key that cannot open what is there, unless the key before can:
// then the change begins.
func (k *Keeper) proveKey() error {
	path := filepath.Join(k.cfg.Dir, proof)
	raw, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return errs.Newf(errs.Unavailable, "reading %s: %w", path, err)
	case k.opens(raw):
		return nil
	case k.old == nil || !k.old.opens(raw):
		return errs.Newf(errs.Invalid, "%s was not made with this key: give the key of before (as last-values-old-key-file, to change it), or another directory", path)
	default:
		k.cfg.Log.Info("the key of last values changes: each is sealed anew when it is read", "directory", k.cfg.Dir)
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	if err := replace(path, k.sealed(proof, random), k.cfg.Clock.Now()); err != nil {
		return errs.Newf(errs.Unavailable, "writing %s: %w", path, err)
	}
	return nil
}

// opens reports whether raw is a proof of this key.
func (k *keys) opens(raw []byte) bool {
	_, err := k.unsealed(proof, raw)
	return err == nil
}

package transit

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/singleflight"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Name is the kind of key, on disk.
const Name = "transit"

// Key is a key of a transit engine. It implements keystore.Versioned.
type Key struct {
	settings  Settings
	anonymous *api.Client // without a token
	login     atomic.Pointer[login]
	flight    singleflight.Group
	now       func() time.Time
}

// Open is the keystore.Opener of transit engines; Settings are what it takes.
func Open(raw []byte) (keystore.Versioned, error) {
	s, err := parse(raw)
	if err != nil {
		return nil, err
	}
	k := &Key{settings: s, now: time.Now}
	if k.anonymous, err = s.client(); err != nil {
		return nil, err
	}
	return k, nil
}

// Name returns Name.
func (k *Key) Name() string { return Name }

// KeyID is where the key is in its vault. That the vault has it at another address
// changes nothing, so the address is not in it.
func (k *Key) KeyID() string {
	id := k.settings.Mount + "/" + k.settings.Key
	if k.settings.Namespace != "" {
		id = k.settings.Namespace + "/" + id
	}
	return id[:min(len(id), 255)]
}

// Wrap implements keystore.Key.
func (k *Key) Wrap(ctx context.Context, aad []byte, plain redact.Secret) ([]byte, error) {
	return k.encrypt(ctx, "", aad, plain)
}

// WrapAs implements keystore.Versioned.
func (k *Key) WrapAs(ctx context.Context, version string, aad []byte, plain redact.Secret) ([]byte, error) {
	if _, err := strconv.ParseUint(version, 10, 31); err != nil {
		return nil, errs.Newf(errs.Invalid, "%q is no version of a transit key", version)
	}
	blob, err := k.encrypt(ctx, version, aad, plain)
	if err != nil {
		return nil, err
	}
	if got, _, err := unpack(blob); err != nil || got != version {
		return nil, errs.Newf(errs.Internal, "the vault encrypted under version %q of %s, and not under %q as it was asked to", got, k.KeyID(), version)
	}
	return blob, nil
}

func (k *Key) encrypt(ctx context.Context, version string, aad []byte, plain redact.Secret) ([]byte, error) {
	body := map[string]any{"plaintext": base64.StdEncoding.EncodeToString(plain.Reveal()), "associated_data": base64.StdEncoding.EncodeToString(aad)}
	if version != "" {
		body["key_version"] = json.Number(version)
	}
	data, err := k.write(ctx, "encrypt", body)
	if err != nil {
		return nil, err
	}
	text, _ := data["ciphertext"].(string)
	return pack(text)
}

// Unwrap implements keystore.Key.
func (k *Key) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	_, text, err := unpack(blob)
	if err != nil {
		return redact.Secret{}, err
	}
	data, err := k.write(ctx, "decrypt", map[string]any{"ciphertext": text, "associated_data": base64.StdEncoding.EncodeToString(aad)})
	if err != nil {
		return redact.Secret{}, err
	}
	encoded, _ := data["plaintext"].(string)
	plain, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(plain) == 0 {
		return redact.Secret{}, errs.New(errs.Internal, "the vault's answer is no plaintext of its transit engine") // the error would quote it
	}
	return redact.New(plain), nil
}

// VersionOf implements keystore.Versioned.
func (k *Key) VersionOf(blob []byte) (string, error) {
	version, _, err := unpack(blob)
	return version, err
}

// History implements keystore.Versioned. The lineage is the mount's accessor and
// the key's name; that a key was deleted and made anew shows in when its versions
// were made.
func (k *Key) History(ctx context.Context) (keystore.History, error) {
	about, err := k.read(ctx, k.settings.Mount+"/keys/"+k.settings.Key)
	if err != nil {
		return keystore.History{}, err
	}
	if err := k.usable(about); err != nil {
		return keystore.History{}, err
	}
	mount, err := k.read(ctx, "sys/internal/ui/mounts/"+k.settings.Mount)
	if err != nil {
		return keystore.History{}, err
	}
	accessor, _ := mount["accessor"].(string)
	if accessor == "" {
		return keystore.History{}, errs.Newf(errs.Unsupported, "the vault does not tell the accessor of %s/: one mount cannot be told from another of its name", k.settings.Mount)
	}
	versions, err := versionsOf(about)
	if err != nil {
		return keystore.History{}, errs.Newf(errs.KindOf(err), "key %s: %w", k.KeyID(), err)
	}
	return keystore.History{Lineage: accessor + "/" + k.settings.Key, Versions: versions}, nil
}

// usable refuses keys that do not authenticate what is bound to a blob, or would
// not give another ciphertext each time.
func (k *Key) usable(about map[string]any) error {
	kind, _ := about["type"].(string)
	derived, _ := about["derived"].(bool)
	switch {
	case !slices.Contains([]string{"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"}, kind):
		return errs.Newf(errs.Unsupported, "key %s is of type %q: use aes256-gcm96", k.KeyID(), kind)
	case derived:
		return errs.Newf(errs.Unsupported, "key %s is derived, and every use of it needs a context: use one that is not", k.KeyID())
	}
	return nil
}

// versionsOf reads the versions that still decrypt, by age.
func versionsOf(about map[string]any) ([]keystore.Version, error) {
	keys, _ := about["keys"].(map[string]any)
	least := number(about["min_encryption_version"])
	type numbered struct {
		n int64
		keystore.Version
	}
	var all []numbered
	for id, made := range keys {
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil {
			return nil, errs.New(errs.Internal, "the vault's answer has a version that is no number")
		}
		all = append(all, numbered{n, keystore.Version{ID: id, Made: time.Unix(number(made), 0).UTC(), Wraps: n >= least}})
	}
	if len(all) == 0 {
		return nil, errs.New(errs.Internal, "the vault's answer has no versions")
	}
	slices.SortFunc(all, func(a, b numbered) int { return cmp.Compare(a.n, b.n) })
	versions := make([]keystore.Version, len(all))
	for i, v := range all {
		versions[i] = v.Version
	}
	return versions, nil
}

// number reads an integer of an answer; 0 if it is none.
func number(v any) int64 {
	n, ok := v.(json.Number)
	if !ok {
		return 0
	}
	i, _ := n.Int64()
	return i
}

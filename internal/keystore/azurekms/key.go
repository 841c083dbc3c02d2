package azurekms

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Name is the kind of key, on disk.
const Name = "azurekms"

// maxPlain bounds a value, as other key stores do.
const maxPlain = 64 << 10

// Key is a key of Azure Key Vault. It implements keystore.Versioned.
type Key struct {
	settings Settings
	client   *azkeys.Client
	login    *login
}

// Open is the keystore.Opener of Azure Key Vault; Settings are what it takes.
func Open(raw []byte) (keystore.Versioned, error) {
	s, err := parse(raw)
	if err != nil {
		return nil, err
	}
	k := &Key{settings: s}
	k.login = &login{settings: &k.settings, now: time.Now}
	o := azcore.ClientOptions{
		Transport: newTransport(&k.settings, k.login.refused),
		Retry:     policy.RetryOptions{MaxRetries: 2, RetryDelay: 300 * time.Millisecond, MaxRetryDelay: time.Second, StatusCodes: []int{408, 500, 502, 503, 504}},
	}
	o.Telemetry.Disabled = true
	k.login.client = o
	if k.client, err = azkeys.NewClient("https://"+s.host, k.login, &azkeys.ClientOptions{ClientOptions: o}); err != nil {
		return nil, errs.Newf(errs.Internal, "making a client of Key Vault: %w", err)
	}
	return k, nil
}

// Name returns Name.
func (k *Key) Name() string { return Name }

// KeyID is where the key is.
func (k *Key) KeyID() string { return k.settings.host + "/" + k.settings.Key }

// Wrap implements keystore.Key.
func (k *Key) Wrap(ctx context.Context, aad []byte, plain redact.Secret) ([]byte, error) {
	h, err := k.History(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range slices.Backward(h.Versions) {
		if v.Wraps {
			return k.WrapAs(ctx, v.ID, aad, plain)
		}
	}
	return nil, errs.Newf(errs.Denied, "no version of %s wraps: all have expired: make a new one (az keyvault key rotate)", k.KeyID())
}

// WrapAs implements keystore.Versioned.
func (k *Key) WrapAs(ctx context.Context, version string, aad []byte, plain redact.Secret) ([]byte, error) {
	if !isVersion(version) {
		return nil, errs.Newf(errs.Invalid, "%q is no version of a key in Key Vault", version)
	}
	if plain.Len() > maxPlain {
		return nil, errs.Newf(errs.TooLarge, "%d bytes are too many to wrap: at most %d", plain.Len(), maxPlain)
	}
	key := newDataKey()
	defer clear(key)
	doing := "wrapping by version " + version + " of " + k.KeyID()
	out, err := do(ctx, k, doing, func(ctx context.Context) (azkeys.WrapKeyResponse, error) {
		return k.client.WrapKey(ctx, k.settings.Key, version, azkeys.KeyOperationParameters{Algorithm: &algorithms[k.settings.algorithm], Value: slices.Clone(key)}, nil)
	})
	if err != nil {
		return nil, err
	}
	if err := k.same(doing, version, out.KID); err != nil {
		return nil, err
	}
	blob, err := seal(head{k.settings.algorithm, version, out.Result}, key, aad, plain.Reveal())
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "%s: %w", doing, err)
	}
	return blob, nil
}

// Unwrap implements keystore.Key.
func (k *Key) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	h, sealed, err := unpack(blob)
	if err != nil {
		return redact.Secret{}, err
	}
	doing := "unwrapping by version " + h.version + " of " + k.KeyID()
	out, err := do(ctx, k, doing, func(ctx context.Context) (azkeys.UnwrapKeyResponse, error) {
		return k.client.UnwrapKey(ctx, k.settings.Key, h.version, azkeys.KeyOperationParameters{Algorithm: &algorithms[h.algorithm], Value: h.wrapped}, nil)
	})
	if err != nil {
		return redact.Secret{}, err
	}
	defer clear(out.Result)
	if err := k.same(doing, h.version, out.KID); err != nil {
		return redact.Secret{}, err
	}
	plain, err := open(h, out.Result, aad, sealed)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.KindOf(err), "%s: %w", doing, err)
	}
	return redact.New(plain), nil
}

// same refuses an answer by another version than was asked for.
func (k *Key) same(doing, version string, kid *azkeys.ID) error {
	if kid == nil || !strings.EqualFold(string(*kid), "https://"+k.settings.host+"/keys/"+k.settings.Key+"/"+version) {
		return errs.Newf(errs.Unavailable, "%s: Key Vault answers by another key", doing)
	}
	return nil
}

// VersionOf implements keystore.Versioned.
func (k *Key) VersionOf(blob []byte) (string, error) {
	h, _, err := unpack(blob)
	return h.version, err
}

// maxPages bounds a list, which a server could make endless.
const maxPages = 1000

// History implements keystore.Versioned. A version that is disabled is none: it does
// not unwrap. One that has expired still does.
func (k *Key) History(ctx context.Context) (keystore.History, error) {
	doing := "listing the versions of " + k.KeyID()
	h := keystore.History{Lineage: k.KeyID()}
	pager := k.client.NewListKeyPropertiesVersionsPager(k.settings.Key, nil)
	total, pages := 0, 0
	for pager.More() {
		page, err := do(ctx, k, doing, pager.NextPage)
		if err != nil {
			return keystore.History{}, err
		}
		for _, p := range page.Value {
			v, listed, err := k.read(doing, p)
			if err != nil {
				return keystore.History{}, err
			}
			if listed {
				h.Versions = append(h.Versions, v)
			}
		}
		total += len(page.Value)
		if pages++; pages > maxPages {
			return keystore.History{}, noAnswer(doing)
		}
	}
	switch {
	case total == 0:
		return keystore.History{}, errs.Newf(errs.NotExist, "%s: there is none", doing)
	case len(h.Versions) == 0:
		return keystore.History{}, errs.Newf(errs.Denied, "%s: all are disabled: enable one (az keyvault key set-attributes --enabled true)", doing)
	}
	slices.SortFunc(h.Versions, func(a, b keystore.Version) int { return cmp.Or(a.Made.Compare(b.Made), strings.Compare(a.ID, b.ID)) })
	return h, k.fits(ctx, h.Versions[len(h.Versions)-1].ID)
}

// read reads one version of a list; listed is false for one that is disabled.
func (k *Key) read(doing string, p *azkeys.KeyProperties) (v keystore.Version, listed bool, err error) {
	if p == nil || p.KID == nil || p.Attributes == nil || p.Attributes.Created == nil || !isVersion(p.KID.Version()) {
		return v, false, noAnswer(doing)
	}
	if err := k.same(doing, p.KID.Version(), p.KID); err != nil {
		return v, false, err
	}
	a, now := p.Attributes, k.login.now()
	v = keystore.Version{ID: p.KID.Version(), Made: a.Created.Truncate(time.Second).UTC(), Wraps: true}
	if a.NotBefore != nil && now.Before(*a.NotBefore) || a.Expires != nil && !now.Before(*a.Expires) {
		v.Wraps = false
	}
	return v, a.Enabled == nil || *a.Enabled, nil
}

// fits refuses a key that is not for the algorithm.
func (k *Key) fits(ctx context.Context, version string) error {
	doing := "looking at " + k.KeyID()
	out, err := do(ctx, k, doing, func(ctx context.Context) (azkeys.GetKeyResponse, error) {
		return k.client.GetKey(ctx, k.settings.Key, version, nil)
	})
	switch {
	case err != nil:
		return err
	case out.Key == nil || out.Key.Kty == nil:
		return noAnswer(doing)
	case !slices.Contains(kinds[k.settings.algorithm], *out.Key.Kty):
		return errs.Newf(errs.Unsupported, "%s: it is of type %s, which is not for %s: use an RSA key for RSA-OAEP-256, a symmetric one of a Managed HSM for A256KW",
			doing, plain(string(*out.Key.Kty)), algorithms[k.settings.algorithm])
	}
	return nil
}

// do makes one call and gives its failure a kind.
func do[T any](ctx context.Context, k *Key, doing string, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, k.settings.timeout)
	defer cancel()
	out, err := call(ctx)
	if err != nil {
		var none T
		return none, classify(doing, err)
	}
	return out, nil
}

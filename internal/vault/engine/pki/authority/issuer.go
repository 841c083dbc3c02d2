package authority

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const (
	settingsKey  = "config/issuers"
	urlsKey      = "config/urls"
	issuerFolder = "issuer/"
	keyFolder    = "key/"
)

// Default is the reference by which the default issuer and key are meant.
const Default = "default"

// What becomes of a leaf that would outlive its issuer.
const (
	NotAfterErr      = "err"
	NotAfterTruncate = "truncate"
	NotAfterPermit   = "permit"
)

// Settings are the defaults, and the names of issuers and keys.
type Settings struct {
	Default     string            `json:"default"`
	Follow      bool              `json:"follow"` // the latest issuer with a key becomes the default
	DefaultKey  string            `json:"default_key"`
	IssuerNames map[string]string `json:"issuer_names,omitempty"` // to IDs
	KeyNames    map[string]string `json:"key_names,omitempty"`
	Changes     uint64            `json:"changes"`
}

// Key is a private key of issuers.
type Key struct {
	ID     string        `json:"id"`
	Name   string        `json:"name"`
	Type   string        `json:"type"`
	DER    []byte        `json:"pkcs8"`
	Signer crypto.Signer `json:"-"`
}

// URLs go into certificates.
type URLs struct {
	Issuing    []string `json:"issuing_certificates,omitempty"`
	CRL        []string `json:"crl_distribution_points,omitempty"`
	DeltaCRL   []string `json:"delta_crl_distribution_points,omitempty"`
	OCSP       []string `json:"ocsp_servers,omitempty"`
	Templating bool     `json:"enable_templating,omitempty"`
}

func (u *URLs) none() bool { return len(u.Issuing)+len(u.CRL)+len(u.OCSP)+len(u.DeltaCRL) == 0 }

// Issuer is a certificate that may issue others, if KeyID is not empty.
type Issuer struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	KeyID         string   `json:"key_id"`
	DER           []byte   `json:"certificate"`
	Chain         []string `json:"chain"` // IDs of those above, nearest first
	ManualChain   []string `json:"manual_chain,omitempty"`
	Usage         Usage    `json:"usage"`
	NotAfter      string   `json:"leaf_not_after_behavior"`
	RevocationAlg int      `json:"revocation_signature_algorithm"` // x509.SignatureAlgorithm
	URLs          URLs     `json:"urls"`
	RevokedAt     int64    `json:"revoked_at,omitempty"` // unix seconds; 0 = it is not

	Certificate *x509.Certificate `json:"-"`
	PEM         string            `json:"-"`
	Authority   string            `json:"-"` // of Authority(Certificate)
}

// Authority names who signs: issuers of one name and key share it, and with it
// their revocations. It is 32 hex digits.
func Authority(c *x509.Certificate) string {
	h := sha256.New()
	h.Write(c.RawSubject)
	h.Write(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Root reports whether the issuer is its own.
func (i *Issuer) Root() bool {
	return string(i.Certificate.RawSubject) == string(i.Certificate.RawIssuer) && i.Certificate.CheckSignatureFrom(i.Certificate) == nil
}

// Revoked returns when, the zero time if it is not.
func (i *Issuer) Revoked() time.Time {
	if i.RevokedAt == 0 {
		return time.Time{}
	}
	return time.Unix(i.RevokedAt, 0).UTC()
}

func decodeIssuer(value []byte) (*Issuer, error) {
	i := new(Issuer)
	if err := json.Unmarshal(value, i); err != nil {
		return nil, errs.New(errs.Internal, "decoding an issuer: the stored record is damaged or of a newer format")
	}
	var err error
	if i.Certificate, err = x509.ParseCertificate(i.DER); err != nil {
		return nil, errs.Newf(errs.Internal, "decoding the certificate of issuer %s: %w", i.ID, err)
	}
	i.PEM, i.Authority = keypair.PEM("CERTIFICATE", i.DER), Authority(i.Certificate)
	return i, nil
}

func decodeKey(value []byte) (*Key, error) {
	k := new(Key)
	if err := json.Unmarshal(value, k); err != nil {
		return nil, errs.New(errs.Internal, "decoding a key: the stored record is damaged or of a newer format")
	}
	signer, err := keypair.ParseDER(k.DER)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "decoding the key %s: %w", k.ID, err)
	}
	k.Signer = keypair.Signer(signer)
	return k, nil
}

func decodeSettings(value []byte) (*Settings, error) {
	s := new(Settings)
	if len(value) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(value, s); err != nil {
		return nil, errs.New(errs.Internal, "decoding config/issuers: the stored record is damaged or of a newer format")
	}
	return s, nil
}

func decodeURLs(value []byte) (*URLs, error) {
	u := new(URLs)
	if len(value) == 0 {
		return u, nil
	}
	if err := json.Unmarshal(value, u); err != nil {
		return nil, errs.New(errs.Internal, "decoding config/urls: the stored record is damaged or of a newer format")
	}
	return u, nil
}

// LoadSettings returns the settings; the result is shared: do not change it.
func LoadSettings(ctx context.Context, tx engine.Tx) (*Settings, error) {
	e, err := tx.Get(ctx, settingsKey)
	if err != nil {
		return nil, err
	}
	return store.Decode(e, decodeSettings)
}

// LoadURLs returns config/urls; shared.
func LoadURLs(ctx context.Context, tx engine.Tx) (*URLs, error) {
	e, err := tx.Get(ctx, urlsKey)
	if err != nil {
		return nil, err
	}
	return store.Decode(e, decodeURLs)
}

// StoreURLs writes config/urls.
func StoreURLs(tx engine.Tx, u *URLs) error { return put(tx, urlsKey, u) }

func put(tx engine.Tx, key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding %s: %w", key, err)
	}
	tx.Put(key, value)
	return nil
}

// Load returns the issuer that ref means: an ID, a name, or "default". The result is
// shared: do not change it. Kind Invalid: there is none.
func Load(ctx context.Context, tx engine.Tx, ref string) (*Issuer, error) {
	s, err := LoadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	id := ref
	if ref == Default || ref == "" {
		if id = s.Default; id == "" {
			return nil, errs.New(errs.Invalid, "no default issuer currently configured: make one with root/generate, import one, or name one in config/issuers")
		}
	} else if named := s.IssuerNames[strings.ToLower(ref)]; named != "" {
		id = named
	}
	i, err := byID(ctx, tx, id)
	if err == nil && i == nil {
		err = errs.New(errs.Invalid, "unable to find PKI issuer for reference: it is neither the ID nor the name of an issuer; list issuers/ for both")
	}
	return i, err
}

func byID(ctx context.Context, tx engine.Tx, id string) (*Issuer, error) {
	if !isID(id) {
		return nil, nil
	}
	e, err := tx.Get(ctx, issuerFolder+id)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, decodeIssuer)
}

// isID reports whether s has the form of a UUID, so that it is safe in a key.
func isID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range []byte(s) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// LoadKey returns the key that ref means: an ID, a name, or "default". Shared. Kind
// Invalid: there is none.
func LoadKey(ctx context.Context, tx engine.Tx, ref string) (*Key, error) {
	s, err := LoadSettings(ctx, tx)
	if err != nil {
		return nil, err
	}
	id := ref
	if ref == Default || ref == "" {
		if id = s.DefaultKey; id == "" {
			return nil, errs.New(errs.Invalid, "no default key currently configured: make one with keys/generate, or name one in config/keys")
		}
	} else if named := s.KeyNames[strings.ToLower(ref)]; named != "" {
		id = named
	}
	k, err := keyByID(ctx, tx, id)
	if err == nil && k == nil {
		err = errs.New(errs.Invalid, "unable to find PKI key for reference: it is neither the ID nor the name of a key; list keys/ for both")
	}
	return k, err
}

func keyByID(ctx context.Context, tx engine.Tx, id string) (*Key, error) {
	if !isID(id) {
		return nil, nil
	}
	e, err := tx.Get(ctx, keyFolder+id)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, decodeKey)
}

// KeyOf returns the issuer's key. Kind Invalid: it has none.
func (i *Issuer) KeyOf(ctx context.Context, tx engine.Tx) (*Key, error) {
	k, err := keyByID(ctx, tx, i.KeyID)
	if err == nil && k == nil {
		err = errs.Newf(errs.Invalid, "issuer %s has no private key here: import it, or use another issuer", i.ID)
	}
	return k, err
}

// All returns all issuers, in no order. Shared.
func All(ctx context.Context, tx engine.Tx) ([]*Issuer, error) {
	ids, err := tx.List(ctx, issuerFolder, "", 0)
	if err != nil {
		return nil, err
	}
	all := make([]*Issuer, 0, len(ids))
	for _, id := range ids {
		i, err := byID(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if i != nil {
			all = append(all, i)
		}
	}
	return all, nil
}

// AllKeys returns all keys, in no order. Shared.
func AllKeys(ctx context.Context, tx engine.Tx) ([]*Key, error) {
	ids, err := tx.List(ctx, keyFolder, "", 0)
	if err != nil {
		return nil, err
	}
	all := make([]*Key, 0, len(ids))
	for _, id := range ids {
		k, err := keyByID(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if k != nil {
			all = append(all, k)
		}
	}
	return all, nil
}

// Above returns the chain of an issuer: itself, then those above it.
func (i *Issuer) Above(ctx context.Context, tx engine.Tx) ([]*Issuer, error) {
	chain := append(make([]*Issuer, 0, 1+len(i.Chain)), i)
	for _, id := range i.Chain {
		if id == i.ID {
			continue
		}
		up, err := byID(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		if up != nil {
			chain = append(chain, up)
		}
	}
	return chain, nil
}

package keyvault

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azcertificates"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Config configures a Store. All but Retry are required.
type Config struct {
	Credential azcore.TokenCredential
	Transport  policy.Transporter
	Vault      string // its host
	Retry      provider.Retry
	Clock      clock.Clock
}

// Store is one vault with one login. It is safe for concurrent use.
type Store struct {
	cfg     Config
	secrets *azsecrets.Client
	keys    *azkeys.Client
	certs   *azcertificates.Client
	turns   push.Turns // of writes, of which none is on condition
}

// callTimeout bounds one call, retries included.
const callTimeout = 30 * time.Second

// New returns a Store. It does not connect.
func New(cfg Config) (*Store, error) {
	o := azcore.ClientOptions{Transport: cfg.Transport, Retry: retries(cfg.Retry)}
	o.Telemetry.Disabled = true
	at := "https://" + cfg.Vault
	s := &Store{cfg: cfg}
	var err error
	if s.secrets, err = azsecrets.NewClient(at, cfg.Credential, &azsecrets.ClientOptions{ClientOptions: o}); err == nil {
		if s.keys, err = azkeys.NewClient(at, cfg.Credential, &azkeys.ClientOptions{ClientOptions: o}); err == nil {
			s.certs, err = azcertificates.NewClient(at, cfg.Credential, &azcertificates.ClientOptions{ClientOptions: o})
		}
	}
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a client of Key Vault: %w", err)
	}
	return s, nil
}

// retries are three tries within about a second, or as the store says. How long a
// vault that throttles is left alone is the session's to know.
func retries(r provider.Retry) policy.RetryOptions {
	o := policy.RetryOptions{MaxRetries: 2, RetryDelay: 300 * time.Millisecond, MaxRetryDelay: time.Second, StatusCodes: []int{408, 500, 502, 503, 504}}
	if r.Max != nil {
		o.MaxRetries = int32(min(*r.Max, 100))
		if *r.Max <= 0 {
			o.MaxRetries = -1
		}
	}
	if r.Wait > 0 {
		o.RetryDelay, o.MaxRetryDelay = r.Wait, r.Wait
	}
	return o
}

// do makes one call and gives its failure a kind.
func do[T any](ctx context.Context, doing string, call func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := call(ctx)
	if err != nil {
		var none T
		return none, fail(doing, err)
	}
	return out, nil
}

// The kinds of object, by what stands in front of a key.
const (
	kindSecret = "secret"
	kindKey    = "key"
	kindCert   = "cert"
)

// What may stand in the name of an object and of a version: all else would name
// something else.
var (
	names    = regexp.MustCompile(`^[A-Za-z0-9-]{1,127}$`)
	versions = regexp.MustCompile(`^[A-Za-z0-9]{0,64}$`)
)

// parse returns what a key names: "db" and "secret/db" a secret, "key/db", "cert/db".
func parse(key string) (kind, name string, err error) {
	kind, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		kind, name = kindSecret, key
	}
	switch {
	case key == "":
		return "", "", errs.New(errs.Invalid, "key is missing")
	case kind != kindSecret && kind != kindKey && kind != kindCert:
		return "", "", errs.Newf(errs.Invalid, "key %q: there are secret/, key/ and cert/, and no other kinds of object", key)
	case !names.MatchString(name):
		return "", "", errs.Newf(errs.Invalid, "key %q is no name in Key Vault: it has letters, digits and - only", key)
	}
	return kind, name, nil
}

// object is what the three kinds have in common.
type object struct {
	data        []byte
	id          string // ends in name and version
	tags        map[string]*string
	enabled     *bool
	expires     *time.Time
	contentType *string
}

// Read reads one version of a secret, of a key's public half, or of a certificate.
func (s *Store) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	kind, name, err := parse(req.Key)
	if err != nil {
		return provider.Value{}, err
	}
	if !versions.MatchString(req.Version) {
		return provider.Value{}, errs.Newf(errs.Invalid, "version %q of %q is none of Key Vault: it has digits and letters only", req.Version, req.Key)
	}
	o, err := s.get(ctx, kind, name, req.Version)
	if err != nil {
		return provider.Value{}, explain(err, req.Key, req.Version)
	}
	v := provider.Value{Data: redact.New(o.data), Version: o.id[strings.LastIndexByte(o.id, '/')+1:]}
	if o.expires != nil {
		v.Expires = *o.expires
	}
	if !req.Metadata {
		return v, nil
	}
	raw, err := json.Marshal(tagsOf(o.tags))
	if err != nil {
		return provider.Value{}, errs.Newf(errs.Internal, "encoding the tags of %q: %w", req.Key, err)
	}
	v.Data = redact.New(raw)
	return v, nil
}

// get reads one object. What comes must be what was asked for.
func (s *Store) get(ctx context.Context, kind, name, version string) (*object, error) {
	doing := fmt.Sprintf("reading %s %q from Key Vault", kind, name)
	o, err := do(ctx, doing, func(ctx context.Context) (*object, error) {
		switch kind {
		case kindKey:
			return s.key(ctx, name, version)
		case kindCert:
			return s.certificate(ctx, name, version)
		}
		return s.secret(ctx, name, version)
	})
	switch {
	case err != nil:
		return nil, err
	case o.data == nil || !strings.Contains(strings.ToLower(o.id), "/"+strings.ToLower(name)+"/"):
		return nil, errs.Newf(errs.Unavailable, "%s: the answer is not the object that was asked for", doing)
	}
	return o, nil
}

func (s *Store) secret(ctx context.Context, name, version string) (*object, error) {
	r, err := s.secrets.GetSecret(ctx, name, version, nil)
	if err != nil {
		return nil, err
	}
	o := &object{tags: r.Tags, contentType: r.ContentType}
	if r.Value != nil {
		o.data = []byte(*r.Value)
	}
	if r.ID != nil {
		o.id = string(*r.ID)
	}
	if a := r.Attributes; a != nil {
		o.expires, o.enabled = a.Expires, a.Enabled
	}
	return o, nil
}

func (s *Store) key(ctx context.Context, name, version string) (*object, error) {
	r, err := s.keys.GetKey(ctx, name, version, nil)
	if err != nil || r.Key == nil || r.Key.Kty == nil {
		return &object{}, err
	}
	o := &object{tags: r.Tags}
	if o.data, err = json.Marshal(r.Key); err != nil {
		return nil, err
	}
	if r.Key.KID != nil {
		o.id = string(*r.Key.KID)
	}
	if a := r.Attributes; a != nil {
		o.expires, o.enabled = a.Expires, a.Enabled
	}
	return o, nil
}

func (s *Store) certificate(ctx context.Context, name, version string) (*object, error) {
	r, err := s.certs.GetCertificate(ctx, name, version, nil)
	if err != nil {
		return nil, err
	}
	o := &object{tags: r.Tags, data: r.CER}
	if r.ID != nil {
		o.id = string(*r.ID)
	}
	if a := r.Attributes; a != nil {
		o.expires, o.enabled = a.Expires, a.Enabled
	}
	return o, nil
}

func tagsOf(tags map[string]*string) map[string]string {
	m := make(map[string]string, len(tags))
	for name, value := range tags {
		if value != nil {
			m[name] = *value
		}
	}
	return m
}

package jwt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// How an issuer is asked.
const (
	fetchTimeout = 5 * time.Second  // a JWKS address that hangs holds up a login no longer
	fetchPause   = 10 * time.Second // between two fetches: unknown key IDs cost strangers nothing
	keysFresh    = time.Hour        // then the keys are fetched anew at the next login
	maxDocument  = 1 << 20          // bytes of a discovery document or JWKS
)

// issuer is whose JWTs a config believes. It is used by any number of goroutines.
type issuer struct {
	cfg    *config
	client *http.Client
	now    func() time.Time

	// fetching is held while the issuer is asked; who waits for it uses what came.
	fetching sync.Mutex
	mu       sync.Mutex
	doc      discovery
	keys     []jose.JSONWebKey
	fetched  time.Time // last success
	tried    time.Time // last try
	failure  error     // of the last try
}

// discovery is an OpenID provider's configuration, as far as it matters.
type discovery struct {
	Issuer        string `json:"issuer"`
	JWKS          string `json:"jwks_uri"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
}

func newIssuer(c *config, now func() time.Time) (*issuer, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	for _, text := range []string{c.DiscoveryCA, c.JWKSCA} {
		if text == "" {
			continue
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(text)) {
			return nil, errs.New(errs.Invalid, "the CA holds no certificate in PEM")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	return &issuer{cfg: c, now: now, client: &http.Client{
		Transport: transport, Timeout: fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// probe asks the issuer once. Kind Unavailable.
func (i *issuer) probe(ctx context.Context) error {
	if len(i.cfg.keys) > 0 {
		return nil
	}
	i.fetching.Lock()
	defer i.fetching.Unlock()
	return i.fetch(ctx)
}

// verify returns the payload of a JWT that a key of the issuer signed. Kinds:
// Denied, Unavailable (there are no keys to check with).
func (i *issuer) verify(ctx context.Context, text string) ([]byte, error) {
	bad := errs.New(errs.Denied, "error validating token: no known key signed it, or it is malformed")
	if len(text) > maxJWT || strings.Count(text, ".") != 2 {
		return nil, bad
	}
	jws, err := jose.ParseSignedCompact(text, i.cfg.algorithms())
	if err != nil {
		return nil, bad
	}
	if len(i.cfg.keys) > 0 {
		for _, key := range i.cfg.keys {
			if payload, err := jws.Verify(key); err == nil {
				return payload, nil
			}
		}
		return nil, bad
	}
	id := jws.Signatures[0].Header.KeyID
	keys, stale, failure := i.known(ctx, false)
	if payload, ok := tryKeys(jws, id, keys); ok {
		return payload, nil
	}
	if !stale {
		keys, _, failure = i.known(ctx, true) // the issuer may have a new key
		if payload, ok := tryKeys(jws, id, keys); ok {
			return payload, nil
		}
	}
	if len(keys) == 0 && failure != nil {
		return nil, failure
	}
	return nil, bad
}

// tryKeys verifies by the key with the JWT's key ID, or by all if it has none.
func tryKeys(jws *jose.JSONWebSignature, id string, keys []jose.JSONWebKey) ([]byte, bool) {
	for n := range keys {
		if id != "" && keys[n].KeyID != "" && keys[n].KeyID != id {
			continue
		}
		if payload, err := jws.Verify(keys[n].Key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// known returns the issuer's keys, fetched anew if they are old or again is set.
// While the issuer does not answer, the keys that were are returned. stale: it
// was asked just now, asking again is of no use.
func (i *issuer) known(ctx context.Context, again bool) (keys []jose.JSONWebKey, stale bool, failure error) {
	due := func() bool {
		i.mu.Lock()
		defer i.mu.Unlock()
		now := i.now()
		old := i.keys == nil || again || now.Sub(i.fetched) > keysFresh
		return old && (i.tried.IsZero() || now.Sub(i.tried) >= fetchPause)
	}
	asked := false
	if due() {
		i.fetching.Lock()
		if due() {
			asked = true
			_ = i.fetch(ctx) // kept in i.failure
		}
		i.fetching.Unlock()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys, asked, i.failure
}

// fetch asks the issuer; the caller holds fetching.
func (i *issuer) fetch(ctx context.Context) error {
	// Whoever hangs up must not decide for those who wait.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
	defer cancel()
	doc := discovery{JWKS: i.cfg.JWKS}
	var err error
	if i.cfg.Discovery != "" {
		base := strings.TrimSuffix(i.cfg.Discovery, "/")
		err = i.get(ctx, base+"/.well-known/openid-configuration", "", &doc)
		if err == nil && strings.TrimSuffix(doc.Issuer, "/") != base {
			err = errs.New(errs.Unavailable, "the discovery document is of another issuer than oidc_discovery_url")
		}
		if err == nil && doc.JWKS == "" {
			err = errs.New(errs.Unavailable, "the discovery document names no jwks_uri")
		}
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err == nil {
		err = i.get(ctx, doc.JWKS, "", &set)
	}
	keys := usable(set.Keys)
	if err == nil && len(keys) == 0 {
		err = errs.New(errs.Unavailable, "the issuer's JWKS holds no key that signs JWTs")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tried, i.failure = i.now(), err
	if err == nil {
		i.doc, i.keys, i.fetched = doc, keys, i.tried
	}
	return err
}

// usable returns the keys that sign JWTs: use is absent, "sig" or, in bundles of
// SPIFFE, "jwt-svid". Keys of sorts that are not known are left out.
func usable(raw []json.RawMessage) []jose.JSONWebKey {
	var keys []jose.JSONWebKey
	for _, r := range raw {
		var k jose.JSONWebKey
		if json.Unmarshal(r, &k) != nil || !k.IsPublic() {
			continue
		}
		switch k.Use {
		case "", "sig", "jwt-svid":
			keys = append(keys, k)
		}
	}
	return keys
}

// get reads a JSON document. Kind Unavailable; nothing of the answer is quoted.
func (i *issuer) get(ctx context.Context, address, bearer string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return errs.New(errs.Unavailable, "the issuer names an address that is none")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := i.client.Do(req)
	if err != nil {
		return unreachable(req.URL.Host, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return errs.Newf(errs.Unavailable, "the issuer at %s answered with status %d", req.URL.Host, res.StatusCode)
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	switch {
	case err != nil:
		return unreachable(req.URL.Host, err)
	case len(raw) > maxDocument:
		return errs.Newf(errs.Unavailable, "the issuer at %s answered with more than a mebibyte", req.URL.Host)
	case json.Unmarshal(raw, into) != nil:
		return errs.Newf(errs.Unavailable, "the issuer at %s answered with something that is not the JSON it should be", req.URL.Host)
	}
	return nil
}

func unreachable(host string, err error) error {
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		return errs.Newf(errs.Unavailable, "the issuer at %s shows a certificate of an unknown CA: set the config's CA", host)
	case errors.Is(err, context.DeadlineExceeded):
		return errs.Newf(errs.Unavailable, "the issuer at %s did not answer within %v", host, fetchTimeout)
	}
	return errs.Newf(errs.Unavailable, "the issuer at %s cannot be reached", host)
}

package jwt

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// config says whose JWTs are believed: exactly one of Discovery, JWKS and
// PublicKeys is set.
type config struct {
	Discovery   string   `json:"oidc_discovery_url,omitempty"`
	DiscoveryCA string   `json:"oidc_discovery_ca_pem,omitempty"`
	ClientID    string   `json:"oidc_client_id,omitempty"`
	Secret      string   `json:"oidc_client_secret,omitempty"`
	JWKS        string   `json:"jwks_url,omitempty"`
	JWKSCA      string   `json:"jwks_ca_pem,omitempty"`
	PublicKeys  []string `json:"jwt_validation_pubkeys,omitempty"`
	Issuer      string   `json:"bound_issuer,omitempty"`
	Algorithms  []string `json:"jwt_supported_algs,omitempty"`
	DefaultRole string   `json:"default_role,omitempty"`

	keys []crypto.PublicKey // of PublicKeys
}

func configFields() []engine.Field {
	return []engine.Field{
		{Name: "oidc_discovery_url", Type: engine.String, Help: "the issuer, below which .well-known/openid-configuration is"},
		{Name: "oidc_discovery_ca_pem", Type: engine.String, Help: "CAs of the issuer's TLS; the system's if absent"},
		{Name: "oidc_client_id", Type: engine.String, Help: "this server's name at the issuer, for browser logins"},
		{Name: "oidc_client_secret", Type: engine.String, Secret: true, Help: "and what proves it"},
		{Name: "jwks_url", Type: engine.String, Help: "where the issuer's keys are"},
		{Name: "jwks_ca_pem", Type: engine.String, Help: "CAs of its TLS; the system's if absent"},
		{Name: "jwt_validation_pubkeys", Type: engine.Strings, Help: "the issuer's keys themselves, in PEM"},
		{Name: "bound_issuer", Type: engine.String, Help: "what the iss claim must be"},
		{Name: "jwt_supported_algs", Type: engine.Strings, Help: "signature algorithms; all asymmetric ones if absent"},
		{Name: "default_role", Type: engine.String, Help: "the role of logins that name none"},
		{Name: "provider_config", Type: engine.Object, Help: "not available: fetching groups from vendors' own interfaces"},
		{Name: "jwks_pairs", Type: engine.Object, Help: "not available: mount the method once for each issuer"},
	}
}

// algorithms are those that prove who signed; HMAC and none do not.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.ES256, jose.ES384, jose.ES512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA,
}

const configKey = "config"

// loadConfig returns nil if there is none.
func loadConfig(ctx context.Context, tx engine.Tx) (*config, error) {
	stored, err := tx.Get(ctx, configKey)
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return store.Decode(stored, func(b []byte) (*config, error) {
		c := new(config)
		if json.Unmarshal(b, c) != nil || c.check() != nil {
			return nil, errs.New(errs.Internal, "the config of a jwt method is damaged")
		}
		return c, nil
	})
}

// settings are what was written, without what is derived from it.
func (c *config) settings() config {
	s := *c
	s.keys = nil
	return s
}

func (e *Engine) readConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil || c == nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().
		Str("bound_issuer", c.Issuer).
		Str("default_role", c.DefaultRole).
		Str("jwks_ca_pem", c.JWKSCA).
		Str("jwks_url", c.JWKS).
		Strs("jwt_supported_algs", c.Algorithms).
		Strs("jwt_validation_pubkeys", c.PublicKeys).
		Str("oidc_client_id", c.ClientID).
		Str("oidc_discovery_ca_pem", c.DiscoveryCA).
		Str("oidc_discovery_url", c.Discovery).Value()}, nil
}

// writeConfig replaces the config. An issuer with an address is asked once, so
// that a typing error is noticed now and not at the first login.
func (e *Engine) writeConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c := new(config)
	if err := c.decode(req); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	i, err := newIssuer(c, e.cfg.Now)
	if err != nil {
		return nil, err
	}
	defer i.client.CloseIdleConnections()
	if err := i.probe(ctx); err != nil {
		return nil, errs.Newf(errs.Invalid, "error checking the config: %w", err)
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a config: %w", err)
	}
	tx.Put(configKey, raw)
	return nil, nil
}

func (c *config) decode(req *engine.Request) error {
	d := req.Decode()
	*c = config{
		Discovery: d.String("oidc_discovery_url", ""), DiscoveryCA: d.String("oidc_discovery_ca_pem", ""),
		ClientID: d.String("oidc_client_id", ""), Secret: d.String("oidc_client_secret", ""),
		JWKS: d.String("jwks_url", ""), JWKSCA: d.String("jwks_ca_pem", ""),
		PublicKeys: pems(d.Strings("jwt_validation_pubkeys")), Issuer: d.String("bound_issuer", ""),
		Algorithms: d.Strings("jwt_supported_algs"), DefaultRole: strings.ToLower(d.String("default_role", "")),
	}
	for _, name := range []string{"provider_config", "jwks_pairs"} {
		if raw := d.Raw(name); raw != nil && string(raw) != "{}" && string(raw) != "[]" {
			return errs.Newf(errs.Invalid, "%s is not available on this server; see docs/auth/jwt.md", name)
		}
	}
	return d.Err()
}

// pems puts keys together again that came in one string: PEM has no commas, but
// a list of one may hold several blocks.
func pems(texts []string) []string {
	var out []string
	for _, text := range texts {
		for rest := []byte(text); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				if s := strings.TrimSpace(string(rest)); s != "" {
					out = append(out, s) // check says that it is no PEM
				}
				break
			}
			out = append(out, strings.TrimSpace(string(pem.EncodeToMemory(block))))
		}
	}
	return out
}

// check also fills in c.keys.
func (c *config) check() error {
	if err := c.checkWays(); err != nil {
		return err
	}
	if err := c.checkAddresses(); err != nil {
		return err
	}
	for _, a := range c.Algorithms {
		if !slices.Contains(algorithms, jose.SignatureAlgorithm(a)) {
			return errs.New(errs.Invalid, "jwt_supported_algs may hold RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512 and EdDSA")
		}
	}
	if c.DefaultRole != "" {
		if _, err := auth.CleanName("role", c.DefaultRole); err != nil {
			return errs.Newf(errs.Invalid, "default_role: %w", err)
		}
	}
	c.keys = nil
	for _, text := range c.PublicKeys {
		key, err := publicKey(text)
		if err != nil {
			return err
		}
		c.keys = append(c.keys, key)
	}
	return nil
}

// checkWays holds that keys come from one place, and browser logins have all they need.
func (c *config) checkWays() error {
	ways := 0
	for _, set := range []bool{c.Discovery != "", c.JWKS != "", len(c.PublicKeys) > 0} {
		if set {
			ways++
		}
	}
	if ways != 1 {
		return errs.New(errs.Invalid, "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'oidc_discovery_url' must be set")
	}
	if (c.ClientID == "") != (c.Secret == "") || c.ClientID != "" && c.Discovery == "" {
		return errs.New(errs.Invalid, "both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC, with 'oidc_discovery_url'")
	}
	return nil
}

func (c *config) checkAddresses() error {
	for name, address := range map[string]string{"oidc_discovery_url": c.Discovery, "jwks_url": c.JWKS} {
		if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil) {
			return errs.Newf(errs.Invalid, "%s must be an address such as https://issuer.example.org", name)
		}
	}
	for name, text := range map[string]string{"oidc_discovery_ca_pem": c.DiscoveryCA, "jwks_ca_pem": c.JWKSCA} {
		if text != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(text)) {
			return errs.Newf(errs.Invalid, "%s holds no certificate in PEM", name)
		}
	}
	return nil
}

// publicKey reads a public key or a certificate in PEM.
func publicKey(text string) (crypto.PublicKey, error) {
	bad := errs.New(errs.Invalid, "jwt_validation_pubkeys must hold public keys or certificates in PEM")
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, bad
	}
	var key crypto.PublicKey
	var err error
	switch block.Type {
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = cert.PublicKey
		}
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return nil, bad
	}
	if err != nil {
		return nil, bad
	}
	return key, nil
}

func (c *config) algorithms() []jose.SignatureAlgorithm {
	if len(c.Algorithms) == 0 {
		return algorithms
	}
	out := make([]jose.SignatureAlgorithm, len(c.Algorithms))
	for i, a := range c.Algorithms {
		out[i] = jose.SignatureAlgorithm(a)
	}
	return out
}

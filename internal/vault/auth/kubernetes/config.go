package kubernetes

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/netip"
	"net/url"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const configKey = "config"

// defaultIssuer is that of tokens from Secrets, the only ones when the check was invented.
const defaultIssuer = "kubernetes/serviceaccount"

// config is how the cluster is reached, as JSON in the mount's storage.
type config struct {
	Host              string   `json:"host"`              // "https://10.0.0.1:6443", no slash at the end
	CACert            string   `json:"ca_cert,omitempty"` // PEM; "" = the local one, else the system's
	ReviewerJWT       string   `json:"reviewer_jwt,omitempty"`
	PEMKeys           []string `json:"pem_keys,omitempty"`
	Issuer            string   `json:"issuer,omitempty"`
	CheckIssuer       bool     `json:"check_issuer,omitempty"`
	DisableLocalCAJWT bool     `json:"disable_local_ca_jwt,omitempty"`

	keys []crypto.PublicKey // of PEMKeys
}

func configFields() []engine.Field {
	return []engine.Field{
		{Name: "kubernetes_host", Type: engine.String, Help: "URL of the API server, https://host:port"},
		{Name: "kubernetes_ca_cert", Type: engine.String, Help: "PEM certificates to verify it by; default: those of the pod this server runs in, else the system's"},
		{Name: "token_reviewer_jwt", Type: engine.String, Secret: true, Help: "token that may create TokenReviews; default: the pod's own, else the one that logs in"},
		{Name: "pem_keys", Type: engine.Strings, Help: "PEM keys or certificates that tokens must be signed by, besides what the API server says"},
		{Name: "issuer", Type: engine.String, Help: "issuer of tokens; checked only with disable_iss_validation=false"},
		{Name: "disable_iss_validation", Type: engine.Bool, Default: "true", Help: "do not check the issuer: the API server does"},
		{Name: "disable_local_ca_jwt", Type: engine.Bool, Help: "do not use the certificate and token of the pod this server runs in"},
	}
}

func (e *Engine) writeConfig(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	c := config{
		Host:   strings.TrimRight(strings.TrimSpace(d.String("kubernetes_host", "")), "/"),
		CACert: strings.TrimSpace(d.String("kubernetes_ca_cert", "")), ReviewerJWT: strings.TrimSpace(d.String("token_reviewer_jwt", "")),
		PEMKeys: d.Strings("pem_keys"), Issuer: d.String("issuer", ""),
		CheckIssuer: !d.Bool("disable_iss_validation", true), DisableLocalCAJWT: d.Bool("disable_local_ca_jwt", false),
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding the configuration: %w", err)
	}
	tx.Put(configKey, raw)
	return nil, nil
}

// check also fills in c.keys.
func (c *config) check() error {
	if c.Host == "" {
		return errs.New(errs.Invalid, "no host provided: set kubernetes_host to the URL of the API server")
	}
	if err := checkHost(c.Host); err != nil {
		return err
	}
	if c.CACert != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CACert)) {
		return errs.New(errs.Invalid, "kubernetes_ca_cert holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
	}
	if strings.ContainsAny(c.ReviewerJWT, " \t\r\n") {
		return errs.New(errs.Invalid, "token_reviewer_jwt is not a token: it holds white space")
	}
	c.keys = nil
	for i, text := range c.PEMKeys {
		key, err := parseKey(text)
		if err != nil {
			return errs.Newf(errs.Invalid, "pem_keys: item %d of %d is neither a public key nor a certificate in PEM form", i+1, len(c.PEMKeys))
		}
		c.keys = append(c.keys, key)
	}
	return nil
}

// checkHost wants https, for logins carry tokens; http is for loopback only.
func checkHost(host string) error {
	u, err := url.Parse(host)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errs.New(errs.Invalid, "kubernetes_host must be a URL such as https://10.0.0.1:6443")
	}
	if u.Scheme == "https" {
		return nil
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "http" && err == nil && addr.IsLoopback() {
		return nil
	}
	return errs.New(errs.Invalid, "kubernetes_host must begin with https://: tokens are sent to it")
}

func parseKey(text string) (crypto.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errs.New(errs.Invalid, "no PEM")
	}
	if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
		return key, nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return cert.PublicKey, nil
}

func decodeConfig(b []byte) (*config, error) {
	c := new(config)
	if json.Unmarshal(b, c) != nil || c.check() != nil {
		return nil, errs.New(errs.Internal, "the configuration of the kubernetes auth method is damaged")
	}
	return c, nil
}

// loadConfig returns nil if there is none. The config is shared: do not change it.
func loadConfig(ctx context.Context, tx engine.Tx) (*config, error) {
	stored, err := tx.Get(ctx, configKey)
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return store.Decode(stored, decodeConfig)
}

func (e *Engine) readConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil || c == nil {
		return nil, err
	}
	data := engine.NewObject().
		Bool("disable_iss_validation", !c.CheckIssuer).
		Bool("disable_local_ca_jwt", c.DisableLocalCAJWT).
		Str("issuer", c.Issuer).
		Str("kubernetes_ca_cert", c.CACert).
		Str("kubernetes_host", c.Host).
		Strs("pem_keys", c.PEMKeys).
		Bool("token_reviewer_jwt_set", c.ReviewerJWT != "")
	return &engine.Response{Data: data.Value()}, nil
}

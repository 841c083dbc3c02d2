package vault

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/auth"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/writer"
)

// Provider opens stores on Vault. The zero Provider has no identity of its own in a
// cloud.
type Provider struct {
	// Getenv reads the operator's environment: its own identity in clouds, and other
	// endpoints of their services than their own; nil means an empty one.
	Getenv func(string) string
	// Ambient says which stores may use the operator's own identity.
	Ambient provider.Ambient

	page int // names of one LIST; 0 means pageSize
}

// callTimeout bounds one call, retries included.
const callTimeout = 30 * time.Second

// store implements provider.Store and what the package's files say beside it.
type store struct {
	*writer.Writer
	settings Settings
	page     int // names of one LIST, where the server has pages
	name     string
	scope    provider.Scope
	cluster  provider.Cluster
	clock    clock.Clock
	log      *slog.Logger
	http     *http.Client
	signed   auth.Login // by who one is in a cloud

	kv        *api.Client // with the token, in the namespace of the secrets
	self      *api.Client // with the token, in the namespace of the login
	anonymous *api.Client // without a token, in the namespace of the login

	ctx    context.Context // ends with Close; work shared by several callers runs under it
	cancel context.CancelFunc
	flight singleflight.Group

	mu     sync.Mutex
	login  *login               // nil: none yet, or no longer good
	forced time.Time            // when a 403 last led to a new login
	held   map[string]time.Time // by accessor, when tokens end; zero: never
}

// Open reads the settings and certificates. It does not log in.
func (p Provider) Open(ctx context.Context, cfg provider.Config) (provider.Store, error) {
	var settings Settings
	if err := provider.DecodeSettings(Name, cfg.Settings, &settings); err != nil {
		return nil, err
	}
	if err := settings.check(); err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.provider.vault: %w", err)
	}
	s := &store{
		settings: settings, page: cmp.Or(p.page, pageSize), name: cfg.Scope.Store().String(),
		scope: cfg.Scope, cluster: cfg.Cluster, clock: cfg.Clock, log: cfg.Log, held: map[string]time.Time{},
	}
	var err error
	if err = s.prepare(ctx, p, cfg); err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.provider.vault: %w", err)
	}
	if s.kv, err = s.client(cfg.Retry); err != nil {
		return nil, err
	}
	s.self = s.kv.WithNamespace(orElse(settings.Auth.Namespace, settings.Namespace))
	s.anonymous = s.kv.WithNamespace(orElse(settings.Auth.Namespace, settings.Namespace))
	s.Writer = writer.New(writer.Config{API: s, V1: settings.Version == "v1", Paths: s.paths, Canonical: canonical})
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return s, nil
}

// prepare makes what logins are made with.
func (s *store) prepare(ctx context.Context, p Provider, cfg provider.Config) error {
	var err error
	s.signed, err = s.settings.Auth.Cloud(cfg, auth.Clouds{
		AWS: aws.Provider{Getenv: p.Getenv, Ambient: p.Ambient}, Google: gcp.Provider{Getenv: p.Getenv, Ambient: p.Ambient},
	})
	if err != nil {
		return err
	}
	tlsConfig, err := s.tlsConfig(ctx)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = tlsConfig
	transport.MaxIdleConnsPerHost = 32
	s.http = &http.Client{Transport: bounded{transport}, CheckRedirect: checkRedirect}
	return nil
}

// bounded ends every answer after maxBody: the client reads logins and errors
// whole, and the server is whoever a SecretStore names.
type bounded struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := b.Transport.RoundTrip(req)
	if err == nil && answer.StatusCode != http.StatusSwitchingProtocols { // that body is the connection
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxBody)
	}
	return answer, err
}

// checkRedirect lets a standby send us to the active server, once, and never
// from TLS to plain text: the token goes along.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > 1 {
		return errs.New(errs.Unavailable, "the server that it redirects to redirects again")
	}
	if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errs.New(errs.Unavailable, "it redirects from https to http, which would send the token in plain text")
	}
	return nil
}

// client makes the official client. What it would take from the environment is
// overwritten: the operator's environment is not the store's.
func (s *store) client(retry provider.Retry) (*api.Client, error) {
	cfg := &api.Config{
		Address:        s.settings.Server,
		HttpClient:     s.http,
		MaxRetries:     2,
		MinRetryWait:   200 * time.Millisecond,
		MaxRetryWait:   time.Second,
		Timeout:        callTimeout,
		ReadYourWrites: s.settings.ReadYourWrites,
	}
	if retry.Max != nil {
		cfg.MaxRetries = *retry.Max
	}
	if retry.Wait > 0 {
		cfg.MinRetryWait, cfg.MaxRetryWait = retry.Wait, retry.Wait
	}
	c, err := api.NewClient(cfg)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "spec.provider.vault.server %q: %w", s.settings.Server, err)
	}
	c.ClearToken()
	c.ClearNamespace()
	headers := http.Header{api.RequestHeaderName: {"true"}}
	for name, value := range s.settings.Headers {
		headers.Set(name, value)
	}
	if s.settings.ForwardInconsistent {
		headers.Set("X-Vault-Inconsistent", "forward-active-node")
	}
	c.SetHeaders(headers)
	if s.settings.Namespace != "" {
		c.SetNamespace(s.settings.Namespace)
	}
	return c, nil
}

func (s *store) tlsConfig(ctx context.Context) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	pem, err := s.authorities(ctx)
	if err != nil {
		return nil, err
	}
	if len(pem) > 0 {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errs.New(errs.Invalid, "caBundle or caProvider: no PEM certificate in it")
		}
	}
	if own := s.certificate(); own != nil {
		if _, err := own(ctx); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) { return own(info.Context()) }
	}
	return cfg, nil
}

func (s *store) authorities(ctx context.Context) ([]byte, error) {
	from := s.settings.CAProvider
	if from == nil {
		return s.settings.CABundle, nil
	}
	ref, err := s.scope.Ref("caProvider", from.Namespace, from.Name)
	if err != nil {
		return nil, err
	}
	switch from.Type {
	case v1.CAProviderConfigMap:
		text, err := s.cluster.ConfigMapKey(ctx, ref, orElse(from.Key, "ca.crt"))
		return []byte(text), err
	case v1.CAProviderSecret:
		secret, err := s.cluster.SecretKey(ctx, ref, orElse(from.Key, "ca.crt"))
		return secret.Reveal(), err
	}
	return nil, errs.Newf(errs.Invalid, "caProvider.type is %q: it must be Secret or ConfigMap", from.Type)
}

// certificate returns how to read the certificate that connections have, nil for
// none. It is read for each connection: such Secrets are renewed.
func (s *store) certificate() func(ctx context.Context) (*tls.Certificate, error) {
	if c := s.settings.Auth.Cert; c != nil {
		return func(ctx context.Context) (*tls.Certificate, error) {
			return s.keyPair(ctx, "auth.cert.clientCert", &c.ClientCert, "auth.cert.secretRef", &c.SecretRef)
		}
	}
	if t := s.settings.TLS; t.CertSecretRef != nil {
		return func(ctx context.Context) (*tls.Certificate, error) {
			return s.keyPair(ctx, "tls.certSecretRef", t.CertSecretRef, "tls.keySecretRef", t.KeySecretRef)
		}
	}
	return nil
}

func (s *store) keyPair(ctx context.Context, certField string, certRef *v1.SecretKeySelector, keyField string, keyRef *v1.SecretKeySelector) (*tls.Certificate, error) {
	cert, err := s.SecretKey(ctx, certField, certRef, "tls.crt")
	if err != nil {
		return nil, err
	}
	key, err := s.SecretKey(ctx, keyField, keyRef, "tls.key")
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert.Reveal(), key.Reveal())
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "%s and %s: the certificate and key do not fit together or are not PEM", certField, keyField)
	}
	return &pair, nil
}

// Check logs in and looks the token up.
func (s *store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l, err := s.current(ctx)
	if err != nil {
		return err
	}
	if _, err = s.self.Auth().Token().LookupSelfWithContext(ctx); err == nil {
		return nil
	}
	if errs.Is(classify(err, ""), errs.Denied) && s.afterDenied(ctx, l) {
		_, err = s.self.Auth().Token().LookupSelfWithContext(ctx)
	}
	return classify(err, fmt.Sprintf("looking up the token at %s with %s", s.settings.Server, s.settings.Auth))
}

// Close revokes the token if it is one we made.
func (s *store) Close(ctx context.Context) error {
	s.cancel()
	s.mu.Lock()
	l := s.login
	s.login = nil
	s.mu.Unlock()
	defer s.http.CloseIdleConnections()
	if l == nil || !l.own {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.self.Auth().Token().RevokeSelfWithContext(ctx, ""); err != nil {
		s.log.Info("the Vault token was not revoked and ends with its TTL", "store", s.name, "error", classify(err, "revoking it"))
	}
	return nil
}

package transit

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// login is one token and what is known of its life.
type login struct {
	client    *api.Client // with the token
	made      time.Time
	renewAt   time.Time // zero: never
	renewable bool
}

// reloginAfter is the least age of a login that a refusal replaces: what policy
// forbids must not become a login per call.
const reloginAfter = 10 * time.Second

// maxBody bounds an answer: a key with thousands of versions.
const maxBody = 1 << 20

// client makes the official client, of which nothing comes from the environment.
func (s *Settings) client() (*api.Client, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "reading ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errs.Newf(errs.Invalid, "ca_file %q has no PEM certificate", s.CAFile)
		}
	}
	if c := s.Auth.Cert; c != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.pair() }
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = cfg
	transport.MaxIdleConnsPerHost = 32
	client, err := api.NewClient(&api.Config{
		Address: s.Address, HttpClient: &http.Client{Transport: bounded{transport}, CheckRedirect: checkRedirect},
		MaxRetries: 1, MinRetryWait: 50 * time.Millisecond, MaxRetryWait: 200 * time.Millisecond, Timeout: s.timeout,
	})
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "address %q: %w", s.Address, err)
	}
	client.ClearToken()
	client.ClearNamespace()
	client.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	if s.Namespace != "" {
		client.SetNamespace(s.Namespace)
	}
	return client, nil
}

// pair reads the certificate of a connection.
func (c *Cert) pair() (*tls.Certificate, error) {
	key, err := credential.Read(c.KeyFile)
	if err != nil {
		return nil, err
	}
	path, err := credential.Resolve(c.CertFile)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading cert_file: %w", err)
	}
	pair, err := tls.X509KeyPair(pem, key.Reveal())
	if err != nil {
		return nil, errs.New(errs.Invalid, "cert_file and key_file do not fit together or are not PEM")
	}
	return &pair, nil
}

type bounded struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := b.Transport.RoundTrip(req)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxBody)
	}
	return answer, err
}

// checkRedirect lets a standby send us to the active server, once, and never from
// TLS to plain text: the token goes along.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > 1 || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return errs.New(errs.Unavailable, "it redirects more than once, or to plain text")
	}
	return nil
}

func (k *Key) read(ctx context.Context, path string) (map[string]any, error) {
	return k.call(ctx, "reading "+path, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		return c.Logical().ReadWithContext(ctx, path)
	})
}

// write does one of the key's operations.
func (k *Key) write(ctx context.Context, operation string, body map[string]any) (map[string]any, error) {
	path := k.settings.Mount + "/" + operation + "/" + k.settings.Key
	return k.call(ctx, "writing "+path, func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, errs.New(errs.Internal, "the request is no JSON") // the error may quote it
		}
		return c.Logical().WriteBytesWithContext(ctx, path, raw)
	})
}

// call makes one request, and once more with a new login where the token is not
// known any more.
func (k *Key) call(ctx context.Context, doing string, request func(context.Context, *api.Client) (*api.Secret, error)) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, k.settings.timeout)
	defer cancel()
	doing += " at " + k.settings.Address
	l, err := k.current(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := request(ctx, l.client)
	if errs.Is(classify(err, ""), errs.Denied) && k.now().Sub(l.made) >= reloginAfter {
		if l, err = k.refresh(ctx, l, false); err != nil {
			return nil, err
		}
		answer, err = request(ctx, l.client)
	}
	switch {
	case err != nil:
		return nil, classify(err, doing)
	case answer == nil || answer.Data == nil:
		return nil, errs.Newf(errs.NotExist, "%s: there is nothing: has the key been deleted, or is mount or key misspelt?", doing)
	}
	return answer.Data, nil
}

// current returns a login that is good for now.
func (k *Key) current(ctx context.Context) (*login, error) {
	l := k.login.Load()
	if l != nil && (l.renewAt.IsZero() || k.now().Before(l.renewAt)) {
		return l, nil
	}
	return k.refresh(ctx, l, true)
}

// refresh replaces the login old (nil: none), by renewing it if it may. Concurrent
// callers share that.
func (k *Key) refresh(ctx context.Context, old *login, renew bool) (*login, error) {
	done := k.flight.DoChan("login", func() (_ any, err error) {
		defer func() {
			if v := recover(); v != nil { // it would end the process: the goroutine is nobody's
				err = errs.Panicked(v)
			}
		}()
		if l := k.login.Load(); l != old {
			return l, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.settings.timeout)
		defer cancel()
		var l *login
		if renew && old != nil && old.renewable {
			l = k.renew(ctx, old)
		}
		if l == nil {
			if l, err = k.enter(ctx); err != nil {
				return nil, errs.Newf(unlessMissing(err), "logging in at %s: %w", k.settings.Address, err)
			}
		}
		k.login.Store(l)
		return l, nil
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*login), nil
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "logging in at %s: %w", k.settings.Address, ctx.Err())
	}
}

// unlessMissing is the kind of a login's failure: a credential that is not there is
// not a key that is not there.
func unlessMissing(err error) errs.Kind {
	if kind := errs.KindOf(err); kind != errs.NotExist {
		return kind
	}
	return errs.Unavailable
}

// renew returns nil if the token is not to be renewed.
func (k *Key) renew(ctx context.Context, old *login) *login {
	answer, err := old.client.Auth().Token().RenewSelfWithContext(ctx, 0)
	if err != nil || answer == nil || answer.Auth == nil || answer.Auth.LeaseDuration < 1 {
		return nil
	}
	l := k.newLogin(redact.FromString(old.client.Token()), answer.Auth.LeaseDuration, answer.Auth.Renewable)
	return l
}

// enter logs in anew.
func (k *Key) enter(ctx context.Context) (*login, error) {
	a := &k.settings.Auth
	switch {
	case a.AppRole != nil:
		secret, err := credential.Read(a.AppRole.SecretIDFile)
		if err != nil {
			return nil, err
		}
		return k.post(ctx, a.AppRole.Mount, map[string]any{"role_id": a.AppRole.RoleID, "secret_id": secret.RevealString()})
	case a.Cert != nil:
		body := map[string]any{}
		if a.Cert.Role != "" {
			body["name"] = a.Cert.Role
		}
		return k.post(ctx, a.Cert.Mount, body)
	}
	token, err := credential.Read(a.TokenFile)
	if err != nil {
		return nil, err
	}
	return k.given(ctx, token)
}

func (k *Key) post(ctx context.Context, mount string, body map[string]any) (*login, error) {
	answer, err := k.anonymous.Logical().WriteWithContext(ctx, "auth/"+mount+"/login", body)
	if err != nil {
		return nil, classify(err, "auth/"+mount+"/login")
	}
	if answer == nil || answer.Auth == nil || answer.Auth.ClientToken == "" {
		return nil, errs.Newf(errs.Unsupported, "auth/%s/login answers without a token", mount)
	}
	return k.newLogin(redact.FromString(answer.Auth.ClientToken), answer.Auth.LeaseDuration, answer.Auth.Renewable), nil
}

// given asks how long a token lives. A server that does not let it look itself up
// tells nothing, which is no error: its first use shows whether it is good.
func (k *Key) given(ctx context.Context, token redact.Secret) (*login, error) {
	l := k.newLogin(token, 0, false)
	about, err := l.client.Auth().Token().LookupSelfWithContext(ctx)
	if err = classify(err, "looking up the token"); errs.Is(err, errs.Denied) {
		return l, nil
	}
	if err != nil {
		return nil, err
	}
	ttl, err := about.TokenTTL()
	if err != nil || ttl < time.Second {
		return l, nil
	}
	renewable, _ := about.TokenIsRenewable()
	return k.newLogin(token, int(ttl/time.Second), renewable), nil
}

// newLogin makes a login that wants renewing after two thirds of its life.
func (k *Key) newLogin(token redact.Secret, seconds int, renewable bool) *login {
	l := &login{made: k.now(), renewable: renewable}
	if seconds > 0 {
		l.renewAt = l.made.Add(time.Duration(seconds) * time.Second * 2 / 3)
	}
	l.client = k.anonymous.WithNamespace(k.settings.Namespace) // a copy
	l.client.SetToken(token.RevealString())
	return l
}

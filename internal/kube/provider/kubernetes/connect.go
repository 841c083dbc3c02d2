package kubernetes

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/kube/remote/connection"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// callTimeout bounds one call.
const callTimeout = 15 * time.Second

// opening is a store while it is opened.
type opening struct {
	Provider
	provider.Config
	settings Settings
}

// connect fills in what reaches the server.
func (o opening) connect(ctx context.Context, st *store) error {
	cfg, own, err := o.target(ctx)
	if err != nil {
		return err
	}
	if a := o.settings.Auth; a != nil && a.ServiceAccount != nil {
		if st.login, err = o.account(*a.ServiceAccount, own); err != nil {
			return err
		}
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &bearer{next, st.login} })
	}
	st.token = func(context.Context) (redact.Secret, error) { return redact.FromString(cfg.BearerToken), nil }
	if st.login != nil {
		st.token = func(ctx context.Context) (redact.Secret, error) {
			t, err := st.login.Token(ctx)
			return t.Value, err
		}
	}
	cfg.Timeout, cfg.QPS, cfg.UserAgent, cfg.WarningHandler = callTimeout, -1, "strongkeep-operator", rest.NoWarnings{}
	if st.http, err = connection.Client(cfg, connection.Options{Outbound: o.Outbound, Own: own}); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return errs.Newf(errs.Internal, "making a client of the API server: %w", err)
	}
	cfg.ContentConfig = rest.ContentConfig{
		GroupVersion: &corev1.SchemeGroupVersion, ContentType: runtime.ContentTypeJSON,
		NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion(),
	}
	cfg.APIPath = "/api"
	if st.rest, err = rest.RESTClientForConfigAndClient(cfg, st.http); err != nil {
		return errs.New(errs.Invalid, "no client can be made for server.url")
	}
	st.where = cfg.Host
	return nil
}

// target returns what names the server, and the credentials that lie in Secrets. own
// says that it is the operator's own API server.
func (o opening) target(ctx context.Context) (cfg *rest.Config, own bool, err error) {
	if o.settings.AuthRef != nil {
		raw, err := o.key(ctx, "authRef", *o.settings.AuthRef, "")
		if err != nil {
			return nil, false, err
		}
		cfg, err = connection.Kubeconfig(raw.Reveal())
		return cfg, false, err
	}
	if cfg, own, err = o.server(ctx); err != nil {
		return nil, false, err
	}
	switch a := o.settings.Auth; {
	case a.Token != nil:
		token, err := o.key(ctx, "auth.token.bearerToken", a.Token.BearerToken, "")
		if err != nil {
			return nil, false, err
		}
		if cfg.BearerToken = strings.TrimSpace(token.RevealString()); cfg.BearerToken == "" || strings.ContainsAny(cfg.BearerToken, "\r\n\x00") {
			return nil, false, errs.New(errs.Invalid, "auth.token.bearerToken: what the key holds is no token")
		}
	case a.Cert != nil:
		cert, err := o.key(ctx, "auth.cert.clientCert", a.Cert.ClientCert, corev1.TLSCertKey)
		if err != nil {
			return nil, false, err
		}
		key, err := o.key(ctx, "auth.cert.clientKey", a.Cert.ClientKey, corev1.TLSPrivateKeyKey)
		if err != nil {
			return nil, false, err
		}
		cfg.CertData, cfg.KeyData = cert.Reveal(), key.Reveal()
	}
	return cfg, own, nil
}

// server returns a configuration without credentials.
func (o opening) server(ctx context.Context) (cfg *rest.Config, own bool, err error) {
	address, err := o.settings.Server.address()
	if err != nil {
		return nil, false, err
	}
	authorities, err := o.Authorities(ctx, o.settings.Server.CABundle, o.settings.Server.CAProvider)
	if err != nil {
		return nil, false, errs.Newf(errs.KindOf(err), "server.%w", err)
	}
	if o.Own != nil && (address == "" || provider.Authority(address) == provider.Authority(o.Own.Host)) {
		cfg = rest.AnonymousClientConfig(o.Own)
		if len(authorities) > 0 {
			cfg.CAData, cfg.CAFile = authorities, ""
		}
		return cfg, true, nil
	}
	if address == "" {
		return nil, false, errs.New(errs.Unsupported, "server.url is the operator's own API server, which only the operator knows: name its address to read the store elsewhere")
	}
	cfg = &rest.Config{Host: address}
	cfg.CAData = authorities
	return cfg, false, nil
}

func (o opening) key(ctx context.Context, field string, sel v1.SecretKeySelector, usualKey string) (redact.Secret, error) {
	ref, err := o.Scope.Ref(field, sel.Namespace, sel.Name)
	if err != nil {
		return redact.Secret{}, err
	}
	key := cmp.Or(sel.Key, usualKey)
	if key == "" {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%s: key is missing", field)
	}
	v, err := o.Cluster.SecretKey(ctx, ref, key)
	if err != nil {
		return v, errs.Newf(errs.KindOf(err), "%s: %w", field, err)
	}
	return v, nil
}

// account keeps tokens of a ServiceAccount of our own cluster. Without an audience they
// are good at our own API server, so they go nowhere else.
func (o opening) account(sel v1.ServiceAccountSelector, own bool) (*login.Keeper, error) {
	const field = "auth.serviceAccount"
	ref, err := o.Scope.Ref(field, sel.Namespace, sel.Name)
	if err != nil {
		return nil, err
	}
	if !own && len(sel.Audiences) == 0 {
		return nil, errs.New(errs.Invalid, field+".audiences is missing: without one the token would be good at this cluster's own API server too, and it is sent to another; name the audience that the other server takes")
	}
	return login.New("the API server", func(ctx context.Context) (login.Token, error) {
		token, err := o.Cluster.ServiceAccountToken(ctx, ref, sel.Audiences)
		if err != nil {
			return login.Token{}, errs.Newf(errs.KindOf(err), field+": %w", err)
		}
		return login.Token{Value: token, Expires: expiry(token)}, nil
	}, o.Clock), nil
}

// expiry returns when a token says it ends (RFC 7519 §4.1.4); the zero time when it
// says nothing. It is believed for renewing in time and for nothing else.
func expiry(token redact.Secret) time.Time {
	parts := strings.Split(token.RevealString(), ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil || claims.Expires <= 0 || claims.Expires > math.MaxInt32*100 {
		return time.Time{}
	}
	return time.Unix(int64(claims.Expires), 0)
}

// unknown is a login that failed before anything was asked.
type unknown struct{ error }

// Unwrap returns why.
func (u *unknown) Unwrap() error { return u.error }

// bearer adds the token of a login to each request, and replaces one that was refused.
type bearer struct {
	next  http.RoundTripper
	login *login.Keeper
}

// RoundTrip implements http.RoundTripper.
func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := b.login.Token(req.Context())
	if err != nil {
		return nil, &unknown{err}
	}
	answer, err := b.send(req, token)
	if err != nil || answer.StatusCode != http.StatusUnauthorized || req.Body != nil && req.GetBody == nil {
		return answer, err
	}
	if again, err := b.login.Renew(req.Context(), token); err != nil || !again {
		return answer, nil //nolint:nilerr // the answer says what is wrong
	}
	if token, err = b.login.Token(req.Context()); err != nil {
		return answer, nil //nolint:nilerr // the answer says what is wrong
	}
	_ = answer.Body.Close()
	return b.send(req, token)
}

func (b *bearer) send(req *http.Request, token login.Token) (*http.Response, error) {
	sent := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		sent.Body = body
	}
	sent.Header.Set("Authorization", "Bearer "+token.Value.RevealString())
	return b.next.RoundTrip(sent)
}

// CloseIdleConnections lets the client's reach the transport.
func (b *bearer) CloseIdleConnections() {
	if t, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

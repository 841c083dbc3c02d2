package azurekms

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	azcloud "github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"golang.org/x/sync/singleflight"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const (
	// reloginAfter is the least time between two logins that refusals led to.
	reloginAfter = 10 * time.Second
	// leeway is how long before its end a token is not used any more.
	leeway = 5 * time.Minute
)

// login gives tokens for vaults. It implements azcore.TokenCredential and is safe for
// concurrent use.
type login struct {
	settings *Settings
	client   azcore.ClientOptions
	now      func() time.Time
	flight   singleflight.Group

	mu      sync.Mutex
	token   redact.Secret
	expires time.Time
	forced  time.Time // when a refusal last led to a new login
}

// GetToken implements azcore.TokenCredential. A vault that asks for a token for
// something else than vaults gets none.
func (l *login) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if scope := l.scope(); len(o.Scopes) != 1 || o.Scopes[0] != scope {
		return azcore.AccessToken{}, errs.New(errs.Unavailable, "the vault asks for a token that is not for vaults")
	}
	l.mu.Lock()
	t := azcore.AccessToken{Token: l.token.RevealString(), ExpiresOn: l.expires}
	l.mu.Unlock()
	if t.Token != "" && l.now().Add(leeway).Before(t.ExpiresOn) {
		return t, nil
	}
	done := l.flight.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.settings.timeout)
		defer cancel()
		t, err := l.enter(ctx)
		if err != nil {
			return t, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.token, l.expires = redact.FromString(t.Token), t.ExpiresOn
		return t, nil
	})
	select {
	case r := <-done:
		t, _ := r.Val.(azcore.AccessToken)
		return t, r.Err
	case <-ctx.Done():
		return azcore.AccessToken{}, errs.Newf(errs.Unavailable, "signing in at Azure: %w", ctx.Err())
	}
}

func (l *login) scope() string { return "https://" + l.settings.cloud.domain + "/.default" }

// refused forgets a token that the vault did not take.
func (l *login) refused(token string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); token == l.token.RevealString() && now.Sub(l.forced) >= reloginAfter {
		l.forced, l.token = now, redact.Secret{}
	}
}

// enter signs in anew: nothing that a library keeps is used.
func (l *login) enter(ctx context.Context) (azcore.AccessToken, error) {
	options := l.client
	a := &attempt{Transporter: options.Transport}
	options.Transport = a
	cred, err := l.credential(options)
	if err != nil {
		return azcore.AccessToken{}, errs.Newf(unlessMissing(err), "auth: %w", err)
	}
	t, err := cred.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{l.scope()}})
	if err != nil {
		return t, l.failed(ctx, a.status)
	}
	return t, nil
}

// attempt is one login: it remembers what was answered last, of which the errors of
// libraries do not always tell.
type attempt struct {
	policy.Transporter
	status int
}

// Do implements the SDK's Transporter.
func (a *attempt) Do(req *http.Request) (*http.Response, error) {
	a.status = 0
	answer, err := a.Transporter.Do(req)
	if err == nil {
		a.status = answer.StatusCode
	}
	return answer, err
}

// unlessMissing is the kind of a login's failure: a credential that is not there is
// not a key that is not there.
func unlessMissing(err error) errs.Kind {
	if kind := errs.KindOf(err); kind != errs.NotExist {
		return kind
	}
	return errs.Unavailable
}

func (l *login) credential(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	a := &l.settings.Auth
	if a.Tenant == "" {
		o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
		if a.Client != "" {
			o.ID = azidentity.ClientID(a.Client)
		}
		cred, err := azidentity.NewManagedIdentityCredential(o)
		return cred, hide(err)
	}
	options.Cloud = azcloud.Configuration{ActiveDirectoryAuthorityHost: "https://" + l.settings.cloud.authority + "/"}
	if a.SecretFile != "" {
		secret, err := credential.Read(a.SecretFile)
		if err != nil {
			return nil, err
		}
		cred, err := azidentity.NewClientSecretCredential(a.Tenant, a.Client, secret.RevealString(),
			&azidentity.ClientSecretCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true})
		return cred, hide(err)
	}
	raw, err := credential.Read(a.CertificateFile)
	if err != nil {
		return nil, err
	}
	certs, key, err := azidentity.ParseCertificates(raw.Reveal(), nil)
	if err != nil { // it may quote the key
		return nil, errs.New(errs.Invalid, "certificate_file holds no certificate with its key, as PEM or PKCS#12 without a password")
	}
	cred, err := azidentity.NewClientCertificateCredential(a.Tenant, a.Client, certs, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: options, DisableInstanceDiscovery: true, SendCertificateChain: true})
	return cred, hide(err)
}

// hide keeps what a library says of settings with secrets to itself.
func hide(err error) error {
	if err == nil {
		return nil
	}
	return errs.New(errs.Invalid, "tenant, client and what signs in do not fit together")
}

// failed gives a failure to sign in a kind and a text: a library's quotes answers.
// status is of the last answer, 0: there was none.
func (l *login) failed(ctx context.Context, status int) error {
	doing, advice := "asking the machine for its managed identity", "assign one to it, or set auth"
	if l.settings.Auth.Tenant != "" {
		doing, advice = "signing in as client "+plain(l.settings.Auth.Client), "correct the secret or certificate, or make a new one of the application"
	}
	switch {
	case ctx.Err() != nil:
		return errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
	case status >= http.StatusBadRequest && status < http.StatusInternalServerError && status != http.StatusTooManyRequests:
		return errs.Newf(errs.Unauthenticated, "%s: refused with status %d: %s", doing, status, advice)
	}
	return errs.Newf(errs.Unavailable, "%s: no token: %s", doing, advice)
}

package acr

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind asks Azure.
type Kind struct{ Azure azure.Provider }

var _ generator.Kind = Kind{}

// spec is v1alpha1.ACRAccessTokenSpec, with the login as the provider reads it.
type spec struct {
	Auth            auth   `json:"auth"`
	TenantID        string `json:"tenantId,omitempty"`
	Registry        string `json:"registry"`
	Scope           string `json:"scope,omitempty"`
	EnvironmentType string `json:"environmentType,omitempty"`
}

type auth struct {
	ServicePrincipal *struct {
		SecretRef struct {
			ClientID     v1.SecretKeySelector `json:"clientId"`
			ClientSecret v1.SecretKeySelector `json:"clientSecret"`
		} `json:"secretRef"`
	} `json:"servicePrincipal,omitempty"`
	ManagedIdentity *struct {
		IdentityID string `json:"identityId,omitempty"`
	} `json:"managedIdentity,omitempty"`
	WorkloadIdentity *struct {
		ServiceAccountRef *v1.ServiceAccountSelector `json:"serviceAccountRef,omitempty"`
	} `json:"workloadIdentity,omitempty"`
}

func (s spec) login() azure.RegistryLogin {
	l := azure.RegistryLogin{Registry: s.Registry, Environment: s.EnvironmentType, TenantID: s.TenantID}
	if p := s.Auth.ServicePrincipal; p != nil {
		l.Principal = &azure.AuthSecretRef{ClientID: &p.SecretRef.ClientID, ClientSecret: &p.SecretRef.ClientSecret}
	}
	if m := s.Auth.ManagedIdentity; m != nil {
		l.Managed = &azure.ManagedLogin{ID: m.IdentityID}
	}
	if w := s.Auth.WorkloadIdentity; w != nil {
		l.Workload = &azure.WorkloadLogin{Account: w.ServiceAccountRef}
	}
	return l
}

const (
	// user is what Azure's registries want to hear with a token.
	user = "00000000-0000-0000-0000-000000000000"
	// timeout bounds each question to a registry.
	timeout = 20 * time.Second
	// life is how long a token is taken to be good that does not say: less than those
	// that registries give, 75 minutes and three hours.
	life = time.Hour
)

// scopes are such as repository:shop/app:pull,push, several of them with spaces between.
var scopes = regexp.MustCompile(`^[a-z]+:[A-Za-z0-9*._/-]+:[a-z_*]+(,[a-z_*]+)*( [a-z]+:[A-Za-z0-9*._/-]+:[a-z_*]+(,[a-z_*]+)*)*$`)

// Generate implements generator.Kind.
func (k Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	var s spec
	if err := generator.Decode(cfg.Spec, &s); err != nil {
		return generator.Made{}, err
	}
	if s.Scope != "" && (len(s.Scope) > 1024 || !scopes.MatchString(s.Scope)) {
		return generator.Made{}, errs.New(errs.Invalid, "spec.scope must be such as repository:shop/app:pull,push")
	}
	registry, err := k.Azure.Registry(provider.Config{Scope: cfg.Scope, Cluster: cfg.Cluster, Clock: cfg.Clock, Log: cfg.Log}, s.login())
	if err != nil {
		return generator.Made{}, errs.Newf(errs.KindOf(err), "spec: %w", err)
	}
	defer registry.Close()
	login, err := registry.Token(ctx)
	if err != nil {
		return generator.Made{}, errs.Newf(errs.KindOf(err), "spec.auth: %w", err)
	}
	form := url.Values{"grant_type": {"access_token"}, "service": {registry.Host}, "access_token": {login.Value.RevealString()}}
	if s.TenantID != "" {
		form.Set("tenant", s.TenantID)
	}
	token, err := exchange(ctx, registry, "/oauth2/exchange", form)
	if err == nil && s.Scope != "" {
		token, err = exchange(ctx, registry, "/oauth2/token", url.Values{
			"grant_type": {"refresh_token"}, "service": {registry.Host}, "scope": strings.Fields(s.Scope), "refresh_token": {token.RevealString()},
		})
	}
	if err != nil {
		return generator.Made{}, err
	}
	return generator.Made{Expires: ends(token, cfg.Clock.Now()), Data: map[string]redact.Secret{
		"username": redact.FromString(user), "password": token,
	}}, nil
}

// exchange has the registry take a token for one of its own. Nothing of its answers is
// told: they may quote what was sent.
func exchange(ctx context.Context, r *azure.Registry, path string, form url.Values) (redact.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	doing := "asking registry " + r.Host + " for a token (" + path + ")"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.Host+path, strings.NewReader(form.Encode()))
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "%s: it cannot be made", doing)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := r.Client.Do(req)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "%s: no answer; is spec.registry its name?", doing)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "%s: no whole answer", doing)
	}
	if answer.StatusCode != http.StatusOK {
		return redact.Secret{}, refusal(doing, answer.StatusCode)
	}
	return tokenOf(doing, text)
}

func refusal(doing string, status int) error {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return errs.Newf(errs.Denied, "%s: status %d: give the identity a role at the registry, such as AcrPull, and check spec.tenantId and spec.scope", doing, status)
	case status == http.StatusTooManyRequests:
		return errs.Newf(errs.Exhausted, "%s: status %d", doing, status)
	case status == http.StatusBadRequest, status == http.StatusNotFound:
		return errs.Newf(errs.Invalid, "%s: status %d: check spec.registry, spec.tenantId and spec.scope", doing, status)
	}
	return errs.Newf(errs.Unavailable, "%s: status %d", doing, status)
}

func tokenOf(doing string, text []byte) (redact.Secret, error) {
	var answer struct {
		Refresh string `json:"refresh_token"`
		Access  string `json:"access_token"`
	}
	if json.Unmarshal(text, &answer) != nil || answer.Refresh == "" && answer.Access == "" {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "%s: the answer has no token", doing)
	}
	if answer.Access != "" {
		return redact.FromString(answer.Access), nil
	}
	return redact.FromString(answer.Refresh), nil
}

// ends returns when a token ends, as it says itself: they are JSON Web Tokens, whose
// signature is the registry's affair.
func ends(token redact.Secret, now time.Time) time.Time {
	parts := strings.Split(token.RevealString(), ".")
	usual := now.Add(life)
	if len(parts) != 3 {
		return usual
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Expires float64 `json:"exp"`
	}
	if err != nil || json.Unmarshal(raw, &claims) != nil {
		return usual
	}
	end := time.Unix(int64(claims.Expires), 0)
	if !end.After(now) || end.After(now.Add(24*time.Hour)) { // none, or clocks that differ
		return usual
	}
	return end
}

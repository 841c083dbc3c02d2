package azure

import (
	"context"
	"net/http"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/keyvault"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Provider opens stores on Azure Key Vault.
type Provider struct {
	// Getenv reads the operator's environment: its own identity, and other endpoints
	// of the services than Azure's own; nil means an empty one.
	Getenv func(string) string
	// Ambient says which stores may use the operator's own identity.
	Ambient provider.Ambient
}

var (
	_ provider.Provider = Provider{}
	_ provider.Locator  = (*store)(nil)
)

// The annotations of a ServiceAccount that Azure's webhook reads too, and the audience
// of its tokens.
const (
	annotationClient = "azure.workload.identity/client-id"
	annotationTenant = "azure.workload.identity/tenant-id"
	audience         = "api://AzureADTokenExchange"
)

// Rate returns a tenth of what Azure allows a vault, 4,000 transactions in ten seconds.
func (Provider) Rate() (perSecond float64, burst int) { return 40, 100 }

// store implements provider.Store, provider.Finder and provider.Writer.
type store struct {
	*keyvault.Store
	login  *login.Keeper
	client *access.Client
	listen func(address string) (*listener, error)
	ear    *listener // nil: none
}

// Open reads the settings. It does not log in.
func (p Provider) Open(_ context.Context, cfg provider.Config) (provider.Store, error) {
	var s Settings
	if err := provider.DecodeSettings(Name, cfg.Settings, &s); err != nil {
		return nil, err
	}
	st, err := p.open(cfg, s)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "spec.provider.azurekv: %w", err)
	}
	return st, nil
}

func (p Provider) open(cfg provider.Config, s Settings) (provider.Store, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	e, err := environmentOf(s.EnvironmentType)
	if err != nil {
		return nil, err
	}
	vault, err := s.vault(e)
	if err != nil {
		return nil, err
	}
	client, err := access.NewClient(p.getenv, vault, e.authority)
	if err != nil {
		return nil, err
	}
	scope := "https://" + e.vaults + "/.default"
	source, err := p.source(cfg, s, by{client, scope, ofStores})
	if err != nil {
		return nil, err
	}
	st := &store{login: login.New("Azure", source, cfg.Clock), client: client}
	st.listen = func(address string) (*listener, error) { return p.listener(cfg, s, vault, address) }
	client.Refused = func(req *http.Request, token string) {
		_, _ = st.login.Renew(req.Context(), login.Token{Value: redact.FromString(token)}) // what comes of it the next use tells
	}
	st.Store, err = keyvault.New(keyvault.Config{
		Credential: access.Credential{Keeper: st.login, Scope: scope}, Transport: client, Vault: vault, Retry: cfg.Retry, Clock: cfg.Clock,
	})
	return st, err
}

func (p Provider) getenv(name string) string {
	if p.Getenv == nil {
		return ""
	}
	return p.Getenv(name)
}

// fields are what messages call those of settings.
type fields struct{ secrets, account, managed, own string }

var ofStores = fields{
	secrets: "authSecretRef.", account: "serviceAccountRef",
	managed: "spec.provider.azurekv.authType: WorkloadIdentity", own: "spec.provider.azurekv.serviceAccountRef",
}

// by is how a login is made, and for what.
type by struct {
	client *access.Client
	scope  string
	fields fields
}

// source returns what logs in. References that cross a namespace are refused here, and
// not only when they are followed.
func (p Provider) source(cfg provider.Config, s Settings, b by) (login.Source, error) {
	who, err := secrets(cfg, s, b.fields.secrets)
	if err != nil {
		return nil, err
	}
	switch {
	case s.AuthType == ManagedIdentity:
		if err := p.Ambient.Admit(cfg.Scope, b.fields.managed); err != nil {
			return nil, err
		}
		return access.ManagedIdentity(b.client, b.scope, s.IdentityID), nil
	case s.AuthType == WorkloadIdentity && s.ServiceAccountRef == nil:
		if err := p.Ambient.Admit(cfg.Scope, b.fields.own); err != nil {
			return nil, err
		}
		return access.Login(b.client, b.scope, access.Own(p.getenv)), nil
	case s.AuthType == WorkloadIdentity:
		if who, err = p.account(cfg, b.fields.account, *s.ServiceAccountRef, who); err != nil {
			return nil, err
		}
	}
	return access.Login(b.client, b.scope, who), nil
}

// secrets returns what reads a service principal out of the settings and Secrets.
func secrets(cfg provider.Config, s Settings, at string) (func(context.Context) (access.Principal, error), error) {
	a := s.AuthSecretRef
	if a == nil {
		a = &AuthSecretRef{}
	}
	type part struct {
		read func(context.Context) (redact.Secret, error)
		put  func(*access.Principal, redact.Secret)
	}
	var parts []part
	for _, x := range []struct {
		field string
		sel   *v1.SecretKeySelector
		put   func(*access.Principal, redact.Secret)
	}{
		{at + "clientId", a.ClientID, func(p *access.Principal, v redact.Secret) { p.Client = v.RevealString() }},
		{at + "tenantId", a.TenantID, func(p *access.Principal, v redact.Secret) { p.Tenant = v.RevealString() }},
		{at + "clientSecret", a.ClientSecret, func(p *access.Principal, v redact.Secret) { p.Secret = v }},
		{at + "clientCertificate", a.ClientCertificate, func(p *access.Principal, v redact.Secret) { p.Certificate = v }},
	} {
		if x.sel == nil {
			continue
		}
		ref, err := cfg.Scope.Ref(x.field, x.sel.Namespace, x.sel.Name)
		if err != nil {
			return nil, err
		}
		if x.sel.Key == "" {
			return nil, errs.Newf(errs.Invalid, "%s: key is missing", x.field)
		}
		parts = append(parts, part{func(ctx context.Context) (redact.Secret, error) { return cfg.Cluster.SecretKey(ctx, ref, x.sel.Key) }, x.put})
	}
	return func(ctx context.Context) (access.Principal, error) {
		p := access.Principal{Tenant: s.TenantID}
		for _, x := range parts {
			v, err := x.read(ctx)
			if err != nil {
				return p, err
			}
			x.put(&p, v)
		}
		return p, nil
	}, nil
}

// account returns who a ServiceAccount stands for: what from says, else its annotations.
func (p Provider) account(cfg provider.Config, field string, sel v1.ServiceAccountSelector, from func(context.Context) (access.Principal, error)) (func(context.Context) (access.Principal, error), error) {
	ref, err := cfg.Scope.Ref(field, sel.Namespace, sel.Name)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (access.Principal, error) {
		who, err := from(ctx)
		if err != nil {
			return who, err
		}
		annotations, err := cfg.Cluster.ServiceAccountAnnotations(ctx, ref)
		if err != nil {
			return who, err
		}
		for _, x := range []struct {
			field      *string
			annotation string
			fallback   string
		}{{&who.Client, annotationClient, ""}, {&who.Tenant, annotationTenant, p.getenv("AZURE_TENANT_ID")}} {
			named := annotations[x.annotation]
			switch {
			case *x.field != "" && named != "" && *x.field != named:
				return who, errs.Newf(errs.Invalid, "ServiceAccount %q has another %s than the store: keep one", ref, x.annotation)
			case *x.field == "" && named != "":
				*x.field = named
			case *x.field == "":
				*x.field = x.fallback
			}
			if *x.field == "" {
				return who, errs.Newf(errs.Invalid, "ServiceAccount %q: annotate it with %s, or say it in the store", ref, x.annotation)
			}
		}
		who.Secret, who.Certificate = redact.Secret{}, redact.Secret{}
		who.Token = func(ctx context.Context) (redact.Secret, error) {
			return cfg.Cluster.ServiceAccountToken(ctx, ref, append([]string{audience}, sel.Audiences...))
		}
		return who, nil
	}, nil
}

// Close ends a login that is under way. What Azure gave ends by itself.
func (s *store) Close(context.Context) error {
	s.login.Close()
	s.client.Close()
	if s.ear != nil {
		s.ear.close()
	}
	return nil
}

package azure

import (
	"context"
	"regexp"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

// RegistryLogin says who logs in to which container registry. One of Principal,
// Managed and Workload is set.
type RegistryLogin struct {
	Registry    string // its host
	Environment string // PublicCloud when empty
	TenantID    string
	Principal   *AuthSecretRef
	Managed     *ManagedLogin
	Workload    *WorkloadLogin
}

// ManagedLogin is an identity of the node; an empty ID is the only one.
type ManagedLogin struct{ ID string }

// WorkloadLogin is a ServiceAccount's identity, or without one the operator's own.
type WorkloadLogin struct{ Account *v1.ServiceAccountSelector }

// Registry speaks to a container registry. The caller closes it.
type Registry struct {
	Host   string
	Client *access.Client
	login  *login.Keeper
}

// registryHosts are such as shop and shop.westeurope.geo, before the domain of
// Azure's registries.
var registryHosts = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]{1,32}\.geo)?$`)

var ofRegistries = fields{
	secrets: "auth.servicePrincipal.secretRef.", account: "auth.workloadIdentity.serviceAccountRef",
	managed: "spec.auth.workloadIdentity", own: "spec.auth.workloadIdentity.serviceAccountRef",
}

// Registry reads who logs in. It does not log in. Tokens are sent to the registry, so
// it must be one of Azure's.
func (p Provider) Registry(cfg provider.Config, l RegistryLogin) (*Registry, error) {
	e, err := environmentOf(l.Environment)
	if err != nil {
		return nil, err
	}
	host := strings.ToLower(l.Registry)
	if name, ok := strings.CutSuffix(host, "."+e.registries); !ok || !registryHosts.MatchString(name) {
		return nil, errs.Newf(errs.Invalid, "registry is %q: it must be NAME.%s", l.Registry, e.registries)
	}
	s, err := l.settings()
	if err != nil {
		return nil, err
	}
	client, err := access.NewRegistryClient(p.getenv, host, e.authority)
	if err != nil {
		return nil, err
	}
	source, err := p.source(cfg, s, by{client, e.images + "/.default", ofRegistries})
	if err != nil {
		return nil, err
	}
	return &Registry{Host: host, Client: client, login: login.New("Azure", source, cfg.Clock)}, nil
}

// settings says the same as that of a store does.
func (l RegistryLogin) settings() (Settings, error) {
	s := Settings{TenantID: l.TenantID}
	if l.TenantID != "" && !tenants.MatchString(l.TenantID) {
		return s, errs.Newf(errs.Invalid, "tenantId is %q: give the id of a tenant", l.TenantID)
	}
	n := 0
	if a := l.Principal; a != nil {
		n++
		s.AuthType, s.AuthSecretRef = ServicePrincipal, a
		if l.TenantID == "" {
			return s, errs.New(errs.Invalid, "tenantId is missing: it is needed with auth.servicePrincipal")
		}
	}
	if l.Managed != nil {
		n++
		s.AuthType, s.IdentityID = ManagedIdentity, l.Managed.ID
	}
	if l.Workload != nil {
		n++
		s.AuthType, s.ServiceAccountRef = WorkloadIdentity, l.Workload.Account
	}
	if n != 1 {
		return s, errs.New(errs.Invalid, "auth needs one of workloadIdentity, servicePrincipal and managedIdentity")
	}
	return s, nil
}

// Token logs in and returns a token for Azure's registries. Its failures are never
// NotExist.
func (r *Registry) Token(ctx context.Context) (login.Token, error) { return r.login.Token(ctx) }

// Close ends a login that is under way, and the connections.
func (r *Registry) Close() {
	r.login.Close()
	r.Client.Close()
}

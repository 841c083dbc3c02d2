package azure

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Name is the key under spec.provider.
const Name = "azurekv"

// The ways to log in.
const (
	ServicePrincipal = "ServicePrincipal"
	ManagedIdentity  = "ManagedIdentity"
	WorkloadIdentity = "WorkloadIdentity"
)

// Settings is the value of spec.provider.azurekv.
type Settings struct {
	VaultURL          string                     `json:"vaultUrl"`
	AuthType          string                     `json:"authType,omitempty"` // ServicePrincipal when empty
	TenantID          string                     `json:"tenantId,omitempty"`
	EnvironmentType   string                     `json:"environmentType,omitempty"`
	AuthSecretRef     *AuthSecretRef             `json:"authSecretRef,omitempty"`
	ServiceAccountRef *v1.ServiceAccountSelector `json:"serviceAccountRef,omitempty"`
	IdentityID        string                     `json:"identityId,omitempty"`        // client id of a managed identity
	UseAzureSDK       *bool                      `json:"useAzureSDK,omitempty"`       // it is used in any case
	CustomCloudConfig json.RawMessage            `json:"customCloudConfig,omitempty"` // not supported
}

// AuthSecretRef is a service principal in Secrets.
type AuthSecretRef struct {
	ClientID          *v1.SecretKeySelector `json:"clientId,omitempty"`
	TenantID          *v1.SecretKeySelector `json:"tenantId,omitempty"`
	ClientSecret      *v1.SecretKeySelector `json:"clientSecret,omitempty"`
	ClientCertificate *v1.SecretKeySelector `json:"clientCertificate,omitempty"`
}

// environment is one of Azure's clouds.
type environment struct {
	authority  string // host that gives tokens
	vaults     string // what hosts of vaults end in
	registries string // what hosts of container registries end in
	images     string // for whom tokens for registries are
	queues     string // what hosts of storage accounts end in, for their queues
}

// environmentOf returns a cloud by its name.
func environmentOf(name string) (environment, error) {
	switch name {
	case "", "PublicCloud":
		return environment{"login.microsoftonline.com", "vault.azure.net", "azurecr.io", "https://containerregistry.azure.net", "queue.core.windows.net"}, nil
	case "USGovernmentCloud":
		return environment{"login.microsoftonline.us", "vault.usgovcloudapi.net", "azurecr.us", "https://management.usgovcloudapi.net", "queue.core.usgovcloudapi.net"}, nil
	case "ChinaCloud":
		return environment{"login.chinacloudapi.cn", "vault.azure.cn", "azurecr.cn", "https://management.chinacloudapi.cn", "queue.core.chinacloudapi.cn"}, nil
	case "AzureStackCloud", "GermanCloud":
		return environment{}, errs.Newf(errs.Unsupported, "environmentType %s is not supported: PublicCloud, USGovernmentCloud and ChinaCloud are", name)
	}
	return environment{}, errs.Newf(errs.Invalid, "environmentType is %q: it must be PublicCloud, USGovernmentCloud or ChinaCloud", name)
}

var (
	vaultNames = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)
	tenants    = regexp.MustCompile(`^[A-Za-z0-9.-]{1,128}$`)
)

// vault returns the host of the vault, which must be one: tokens are sent there.
func (s *Settings) vault(e environment) (string, error) {
	u, err := url.Parse(s.VaultURL)
	if err == nil {
		name, ok := strings.CutSuffix(strings.ToLower(u.Host), "."+e.vaults)
		if ok && u.Scheme == "https" && vaultNames.MatchString(name) && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.User == nil {
			return name + "." + e.vaults, nil
		}
	}
	return "", errs.Newf(errs.Invalid, "vaultUrl is %q: it must be https://NAME.%s", s.VaultURL, e.vaults)
}

func (s *Settings) check() error { //nolint:cyclop // flat: a case after the other
	if len(s.CustomCloudConfig) > 0 && string(s.CustomCloudConfig) != "null" {
		return errs.New(errs.Unsupported, "customCloudConfig is not supported: credentials are sent to Azure's own clouds only")
	}
	if s.TenantID != "" && !tenants.MatchString(s.TenantID) {
		return errs.Newf(errs.Invalid, "tenantId is %q: give the id of a tenant", s.TenantID)
	}
	a := s.AuthSecretRef
	switch s.AuthType {
	case "", ServicePrincipal:
		switch {
		case a == nil || a.ClientID == nil:
			return errs.New(errs.Invalid, "authSecretRef.clientId is missing")
		case (a.ClientSecret == nil) == (a.ClientCertificate == nil):
			return errs.New(errs.Invalid, "authSecretRef needs one of clientSecret and clientCertificate")
		case s.TenantID == "" && a.TenantID == nil:
			return errs.New(errs.Invalid, "tenantId is missing")
		}
	case ManagedIdentity:
	case WorkloadIdentity:
		if s.ServiceAccountRef == nil && a != nil {
			return errs.New(errs.Invalid, "serviceAccountRef is missing: authSecretRef names its client and tenant")
		}
	default:
		return errs.Newf(errs.Invalid, "authType is %q: it must be ServicePrincipal, ManagedIdentity or WorkloadIdentity", s.AuthType)
	}
	return nil
}

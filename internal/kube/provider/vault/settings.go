package vault

import (
	"encoding/json"
	"fmt"
	"net/url"
	"sort"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Name is the key under spec.provider.
const Name = "vault"

// Settings is the value of spec.provider.vault.
type Settings struct {
	Server string `json:"server"`
	// Path is the mount of the KV engine. When empty, a key's first segment is.
	Path string `json:"path,omitempty"`
	// Version of the KV engine: "v1" or "v2" (default).
	Version   string            `json:"version,omitempty"`
	Namespace string            `json:"namespace,omitempty"`
	Auth      *Auth             `json:"auth,omitempty"`
	Headers   map[string]string `json:"headers,omitempty"`

	CABundle   []byte         `json:"caBundle,omitempty"` // PEM, base64 in JSON
	CAProvider *v1.CAProvider `json:"caProvider,omitempty"`
	TLS        ClientTLS      `json:"tls,omitzero"`

	ReadYourWrites      bool `json:"readYourWrites,omitempty"`
	ForwardInconsistent bool `json:"forwardInconsistent,omitempty"`
	// CheckAndSet is about pushing and has no effect on reads.
	CheckAndSet *CheckAndSet `json:"checkAndSet,omitempty"`
}

// CheckAndSet says whether a push must match the version it replaces.
type CheckAndSet struct {
	Required bool `json:"required,omitempty"`
}

// ClientTLS is a client certificate and its key.
type ClientTLS struct {
	CertSecretRef *v1.SecretKeySelector `json:"certSecretRef,omitempty"`
	KeySecretRef  *v1.SecretKeySelector `json:"keySecretRef,omitempty"`
}

// Auth says how to log in. Exactly one method is set.
type Auth struct {
	// Namespace to log in to, when not that of the secrets.
	Namespace      string                `json:"namespace,omitempty"`
	TokenSecretRef *v1.SecretKeySelector `json:"tokenSecretRef,omitempty"`
	AppRole        *AppRole              `json:"appRole,omitempty"`
	Kubernetes     *Kubernetes           `json:"kubernetes,omitempty"`

	// Methods this provider does not have yet; named in the error.
	LDAP     json.RawMessage `json:"ldap,omitempty"`
	UserPass json.RawMessage `json:"userPass,omitempty"`
	JWT      json.RawMessage `json:"jwt,omitempty"`
	Cert     json.RawMessage `json:"cert,omitempty"`
	IAM      json.RawMessage `json:"iam,omitempty"`
	GCP      json.RawMessage `json:"gcp,omitempty"`
}

// AppRole logs in with a role ID, given or from a Secret, and a secret ID.
type AppRole struct {
	Path      string                `json:"path,omitempty"` // default "approle"
	RoleID    string                `json:"roleId,omitempty"`
	RoleRef   *v1.SecretKeySelector `json:"roleRef,omitempty"`
	SecretRef v1.SecretKeySelector  `json:"secretRef"`
}

// Kubernetes logs in with a ServiceAccount's token: one asked for from the API
// server, or one that lies in a Secret.
type Kubernetes struct {
	MountPath         string                     `json:"mountPath,omitempty"` // default "kubernetes"
	Role              string                     `json:"role"`
	ServiceAccountRef *v1.ServiceAccountSelector `json:"serviceAccountRef,omitempty"`
	SecretRef         *v1.SecretKeySelector      `json:"secretRef,omitempty"` // key default "token"
}

// normalise checks what says where secrets are, and fills defaults in.
func (s *Settings) normalise() error {
	if err := checkServer(s.Server); err != nil {
		return err
	}
	switch s.Version {
	case "":
		s.Version = "v2"
	case "v1", "v2":
	default:
		return errs.Newf(errs.Invalid, "version is %q: it must be v1 or v2", s.Version)
	}
	s.Path = strings.Trim(s.Path, "/")
	return nil
}

// check finds what can never work, and fills defaults in.
func (s *Settings) check() error {
	if err := s.normalise(); err != nil {
		return err
	}
	if len(s.CABundle) > 0 && s.CAProvider != nil {
		return errs.New(errs.Invalid, "caBundle and caProvider are both set: keep one")
	}
	if (s.TLS.CertSecretRef == nil) != (s.TLS.KeySecretRef == nil) {
		return errs.New(errs.Invalid, "tls needs both certSecretRef and keySecretRef")
	}
	for name := range s.Headers {
		if strings.HasPrefix(strings.ToLower(name), "x-vault-") {
			return errs.Newf(errs.Invalid, "headers: %q is the client's own: use namespace, readYourWrites or forwardInconsistent", name)
		}
	}
	if s.Auth == nil {
		return errs.New(errs.Invalid, "auth is missing: add tokenSecretRef, kubernetes or appRole")
	}
	return s.Auth.check()
}

// checkServer refuses what is not a server on the network: the client knows
// unix: too, which would be the operator's own machine. The address stands in
// messages, so it may not hold a password, and none is quoted here.
func checkServer(address string) error {
	if address == "" {
		return errs.New(errs.Invalid, "server is missing: give the address, such as https://vault.example:8200")
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return errs.New(errs.Invalid, "server must be the address of a server without user and password, such as https://vault.example:8200")
	}
	return nil
}

func (a *Auth) check() error {
	var methods, unsupported []string
	for name, set := range map[string]bool{
		"tokenSecretRef": a.TokenSecretRef != nil, "appRole": a.AppRole != nil, "kubernetes": a.Kubernetes != nil,
	} {
		if set {
			methods = append(methods, name)
		}
	}
	for name, raw := range map[string]json.RawMessage{
		"ldap": a.LDAP, "userPass": a.UserPass, "jwt": a.JWT, "cert": a.Cert, "iam": a.IAM, "gcp": a.GCP,
	} {
		if raw != nil {
			unsupported = append(unsupported, "auth."+name)
		}
	}
	sort.Strings(unsupported)
	switch {
	case len(unsupported) > 0:
		return errs.Newf(errs.Unsupported, "%s is not supported: use auth.tokenSecretRef, auth.kubernetes or auth.appRole", strings.Join(unsupported, ", "))
	case len(methods) != 1:
		return errs.Newf(errs.Invalid, "auth needs exactly one of tokenSecretRef, kubernetes and appRole, and has %d", len(methods))
	case a.Kubernetes != nil:
		return a.Kubernetes.check()
	case a.AppRole != nil && (a.AppRole.RoleID == "") == (a.AppRole.RoleRef == nil):
		return errs.New(errs.Invalid, "auth.appRole needs exactly one of roleId and roleRef")
	}
	return nil
}

func (k *Kubernetes) check() error {
	if k.Role == "" {
		return errs.New(errs.Invalid, "auth.kubernetes.role is missing")
	}
	if (k.ServiceAccountRef == nil) == (k.SecretRef == nil) {
		return errs.New(errs.Invalid, "auth.kubernetes needs exactly one of serviceAccountRef and secretRef: the operator lends nobody its own ServiceAccount")
	}
	return nil
}

// String describes the login for messages; it names nothing secret.
func (a *Auth) String() string {
	switch {
	case a.Kubernetes != nil && a.Kubernetes.ServiceAccountRef != nil:
		return fmt.Sprintf("role %q at auth/%s as ServiceAccount %q", a.Kubernetes.Role, a.Kubernetes.mount(), a.Kubernetes.ServiceAccountRef.Name)
	case a.Kubernetes != nil:
		return fmt.Sprintf("role %q at auth/%s", a.Kubernetes.Role, a.Kubernetes.mount())
	case a.AppRole != nil:
		return fmt.Sprintf("the role ID at auth/%s", a.AppRole.mount())
	}
	return fmt.Sprintf("the token in Secret %q", a.TokenSecretRef.Name)
}

func (k *Kubernetes) mount() string { return orElse(strings.Trim(k.MountPath, "/"), "kubernetes") }
func (r *AppRole) mount() string    { return orElse(strings.Trim(r.Path, "/"), "approle") }

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

package auth

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/auth/gcp"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/auth/iam"
)

// Auth says how to log in. Exactly one method is set.
type Auth struct {
	// Namespace to log in to, when not that of the secrets.
	Namespace      string                `json:"namespace,omitempty"`
	TokenSecretRef *v1.SecretKeySelector `json:"tokenSecretRef,omitempty"`
	AppRole        *AppRole              `json:"appRole,omitempty"`
	Kubernetes     *Kubernetes           `json:"kubernetes,omitempty"`
	LDAP           *User                 `json:"ldap,omitempty"`
	UserPass       *User                 `json:"userPass,omitempty"`
	JWT            *JWT                  `json:"jwt,omitempty"`
	Cert           *Cert                 `json:"cert,omitempty"`
	IAM            *iam.Settings         `json:"iam,omitempty"`
	GCP            *gcp.Settings         `json:"gcp,omitempty"`
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

// User logs in with a name and a password.
type User struct {
	Path      string               `json:"path,omitempty"` // default "ldap", "userpass"
	Username  string               `json:"username"`
	SecretRef v1.SecretKeySelector `json:"secretRef"` // key default "password"
}

// JWT logs in with a token: one that lies in a Secret, or a ServiceAccount's.
type JWT struct {
	Path           string                `json:"path,omitempty"` // default "jwt"
	Role           string                `json:"role,omitempty"` // default: the method's own
	SecretRef      *v1.SecretKeySelector `json:"secretRef,omitempty"`
	ServiceAccount *AccountToken         `json:"kubernetesServiceAccountToken,omitempty"`
}

// AccountToken is a token that the API server makes for a ServiceAccount.
type AccountToken struct {
	ServiceAccountRef v1.ServiceAccountSelector `json:"serviceAccountRef"`
	// Audiences are added to those of ServiceAccountRef; none at all mean "vault".
	Audiences []string `json:"audiences,omitempty"`
	// ExpirationSeconds has no effect: the operator asks for short tokens.
	ExpirationSeconds *int64 `json:"expirationSeconds,omitempty"`
}

// Cert logs in with a client certificate, which every connection to the server has.
type Cert struct {
	Path       string               `json:"path,omitempty"`      // default "cert"
	Role       string               `json:"vaultRole,omitempty"` // default: the server looks for one that fits
	ClientCert v1.SecretKeySelector `json:"clientCert"`          // key default "tls.crt"
	SecretRef  v1.SecretKeySelector `json:"secretRef"`           // of the key; key default "tls.key"
}

// names of the methods, as they stand in a manifest.
func (a *Auth) names() (names []string) {
	for name, set := range map[string]bool{
		"tokenSecretRef": a.TokenSecretRef != nil, "appRole": a.AppRole != nil, "kubernetes": a.Kubernetes != nil,
		"ldap": a.LDAP != nil, "userPass": a.UserPass != nil, "jwt": a.JWT != nil, "cert": a.Cert != nil,
		"iam": a.IAM != nil, "gcp": a.GCP != nil,
	} {
		if set {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Check finds what can never work. Kinds: Invalid, Unsupported.
func (a *Auth) Check() error {
	if a == nil {
		return errs.New(errs.Invalid, "auth is missing: add tokenSecretRef, kubernetes, appRole, jwt, cert, iam, gcp, userPass or ldap")
	}
	names := a.names()
	if len(names) != 1 {
		return errs.Newf(errs.Invalid, "auth needs exactly one of tokenSecretRef, kubernetes, appRole, jwt, cert, iam, gcp, userPass and ldap, and has %d: %s",
			len(names), strings.Join(names, ", "))
	}
	for part := range strings.SplitSeq(a.Mount(), "/") {
		if !clean(part) {
			return errs.Newf(errs.Invalid, "auth.%s: %q cannot be the path of an auth method", names[0], a.Mount())
		}
	}
	if c := a.cloud(); c != nil {
		return c.Check()
	}
	return a.checkMethod()
}

func (a *Auth) checkMethod() error {
	switch {
	case a.Kubernetes != nil:
		return a.Kubernetes.check()
	case a.AppRole != nil && (a.AppRole.RoleID == "") == (a.AppRole.RoleRef == nil):
		return errs.New(errs.Invalid, "auth.appRole needs exactly one of roleId and roleRef")
	case a.LDAP != nil:
		return a.LDAP.check("ldap")
	case a.UserPass != nil:
		return a.UserPass.check("userPass")
	case a.JWT != nil && (a.JWT.SecretRef == nil) == (a.JWT.ServiceAccount == nil):
		return errs.New(errs.Invalid, "auth.jwt needs exactly one of secretRef and kubernetesServiceAccountToken")
	case a.Cert != nil && (a.Cert.ClientCert.Name == "" || a.Cert.SecretRef.Name == ""):
		return errs.New(errs.Invalid, "auth.cert needs clientCert, the certificate, and secretRef, its key")
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

// check refuses names that would be another path of the server.
func (u *User) check(method string) error {
	switch {
	case u.Username == "":
		return errs.Newf(errs.Invalid, "auth.%s.username is missing", method)
	case !clean(u.Username) || strings.Contains(u.Username, "/"):
		return errs.Newf(errs.Invalid, "auth.%s.username cannot be the name of a user: it may hold no slash and no control character", method)
	}
	return nil
}

// clean reports whether part names something of its own in a path.
func clean(part string) bool {
	return part != "." && part != ".." && !strings.ContainsFunc(part, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Mount returns where the method is in the vault, below auth/; "" for a given token.
func (a *Auth) Mount() string {
	at := func(path, usual string) string {
		if path = strings.Trim(path, "/"); path != "" {
			return path
		}
		return usual
	}
	if c := a.cloud(); c != nil {
		return at(c.MountPath())
	}
	switch {
	case a.Kubernetes != nil:
		return at(a.Kubernetes.MountPath, "kubernetes")
	case a.AppRole != nil:
		return at(a.AppRole.Path, "approle")
	case a.LDAP != nil:
		return at(a.LDAP.Path, "ldap")
	case a.UserPass != nil:
		return at(a.UserPass.Path, "userpass")
	case a.JWT != nil:
		return at(a.JWT.Path, "jwt")
	case a.Cert != nil:
		return at(a.Cert.Path, "cert")
	}
	return ""
}

// RolePath returns where the vault keeps what a login is bound to.
func (a *Auth) RolePath() string {
	at := "auth/" + a.Mount()
	if c := a.cloud(); c != nil {
		return at + "/role/" + c.RoleName()
	}
	switch {
	case a.Kubernetes != nil:
		return at + "/role/" + a.Kubernetes.Role
	case a.LDAP != nil:
		return at + "/users/" + a.LDAP.Username
	case a.UserPass != nil:
		return at + "/users/" + a.UserPass.Username
	case a.JWT != nil:
		return at + "/role/" + orElse(a.JWT.Role, "NAME")
	case a.Cert != nil:
		return at + "/certs/" + orElse(a.Cert.Role, "NAME")
	}
	return at + "/role/NAME"
}

// role names a role of the method for messages.
func (a *Auth) role(name string) string {
	if name == "" {
		return "the usual role at auth/" + a.Mount()
	}
	return fmt.Sprintf("role %q at auth/%s", name, a.Mount())
}

// String describes the login for messages; it names nothing secret.
func (a *Auth) String() string {
	at := "at auth/" + a.Mount()
	if c := a.cloud(); c != nil {
		return a.role(c.RoleName()) + " as " + c.Who()
	}
	switch {
	case a.Kubernetes != nil && a.Kubernetes.ServiceAccountRef != nil:
		return fmt.Sprintf("%s as ServiceAccount %q", a.role(a.Kubernetes.Role), a.Kubernetes.ServiceAccountRef.Name)
	case a.Kubernetes != nil:
		return a.role(a.Kubernetes.Role)
	case a.AppRole != nil:
		return "the role ID " + at
	case a.LDAP != nil:
		return fmt.Sprintf("user %q %s", a.LDAP.Username, at)
	case a.UserPass != nil:
		return fmt.Sprintf("user %q %s", a.UserPass.Username, at)
	case a.JWT != nil && a.JWT.ServiceAccount != nil:
		return fmt.Sprintf("%s as ServiceAccount %q", a.role(a.JWT.Role), a.JWT.ServiceAccount.ServiceAccountRef.Name)
	case a.JWT != nil:
		return a.role(a.JWT.Role)
	case a.Cert != nil:
		return a.role(a.Cert.Role) + fmt.Sprintf(" with the certificate in Secret %q", a.Cert.ClientCert.Name)
	}
	return fmt.Sprintf("the token in Secret %q", a.TokenSecretRef.Name)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

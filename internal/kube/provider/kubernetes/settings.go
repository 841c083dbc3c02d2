package kubernetes

import (
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Name is the key under spec.provider.
const Name = "kubernetes"

// Settings is the value of spec.provider.kubernetes.
type Settings struct {
	Server Server `json:"server,omitzero"`
	Auth   *Auth  `json:"auth,omitempty"`
	// AuthRef is a key of a Secret that holds a kubeconfig, in place of Server and Auth.
	AuthRef *v1.SecretKeySelector `json:"authRef,omitempty"`
	// RemoteNamespace is where the Secrets are; "default" when empty.
	RemoteNamespace string `json:"remoteNamespace,omitempty"`
}

// Server is an API server.
type Server struct {
	URL        string         `json:"url,omitempty"`      // the operator's own when empty
	CABundle   []byte         `json:"caBundle,omitempty"` // PEM, base64 in JSON
	CAProvider *v1.CAProvider `json:"caProvider,omitempty"`
}

// Auth says how to log in. Exactly one method is set.
type Auth struct {
	Cert           *Cert                      `json:"cert,omitempty"`
	Token          *Token                     `json:"token,omitempty"`
	ServiceAccount *v1.ServiceAccountSelector `json:"serviceAccount,omitempty"`
}

// Cert is a client certificate and its key, in PEM.
type Cert struct {
	ClientCert v1.SecretKeySelector `json:"clientCert"`
	ClientKey  v1.SecretKeySelector `json:"clientKey"`
}

// Token is a bearer token that lies in a Secret.
type Token struct {
	BearerToken v1.SecretKeySelector `json:"bearerToken"`
}

// check checks what can be without reading anything, and fills defaults in.
func (s *Settings) check() error {
	if s.RemoteNamespace == "" {
		s.RemoteNamespace = "default"
	}
	if problems := validation.IsDNS1123Label(s.RemoteNamespace); len(problems) > 0 {
		return errs.Newf(errs.Invalid, "remoteNamespace is %.80q, which is no name of a namespace", s.RemoteNamespace)
	}
	if s.AuthRef != nil {
		return s.checkRef()
	}
	a := s.Auth
	if a == nil {
		return errs.New(errs.Invalid, "auth is missing: set auth.serviceAccount, auth.token or auth.cert, or authRef; the operator's own rights are nobody's to use")
	}
	set := 0
	for _, is := range []bool{a.Cert != nil, a.Token != nil, a.ServiceAccount != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return errs.Newf(errs.Invalid, "auth has %d methods: set exactly one of serviceAccount, token and cert", set)
	}
	return nil
}

func (s *Settings) checkRef() error {
	switch {
	case s.Auth != nil:
		return errs.New(errs.Invalid, "auth and authRef are both set: keep one")
	case !s.Server.unset():
		return errs.New(errs.Invalid, "authRef's kubeconfig names the server and its authorities: remove server")
	}
	return nil
}

// usual is what External Secrets writes into manifests that name no server.
const usual = "kubernetes.default"

// unset reports whether s says nothing.
func (s *Server) unset() bool {
	return (s.URL == "" || s.URL == usual) && len(s.CABundle) == 0 && s.CAProvider == nil
}

// address returns the server's URL; "" is the operator's own.
func (s *Server) address() (string, error) {
	text := s.URL
	if text == "" {
		return "", nil
	}
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil || !plain(u) {
		return "", errs.New(errs.Invalid, "server.url must be https://HOST:PORT without user and query") // it may hold a password
	}
	switch host := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); host {
	case "kubernetes", usual, usual + ".svc", usual + ".svc.cluster.local":
		if port := u.Port(); (port == "" || port == "443") && strings.Trim(u.Path, "/") == "" {
			return "", nil
		}
	}
	return text, nil
}

// plain reports whether u is an address of a server and nothing else.
func plain(u *url.URL) bool {
	return u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && u.Opaque == ""
}

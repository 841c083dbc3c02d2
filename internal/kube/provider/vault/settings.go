package vault

import (
	"net/url"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/auth"
)

// Name is the key under spec.provider. OpenBao is another for the same: messages
// say Name.
const (
	Name    = "vault"
	OpenBao = "openBao"
)

// Settings is the value of spec.provider.vault.
type Settings struct {
	Server string `json:"server"`
	// Path is the mount of the KV engine. When empty, a key's first segment is.
	Path string `json:"path,omitempty"`
	// Version of the KV engine: "v1" or "v2" (default).
	Version   string            `json:"version,omitempty"`
	Namespace string            `json:"namespace,omitempty"`
	Auth      *auth.Auth        `json:"auth,omitempty"`
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
	if err := s.Auth.Check(); err != nil {
		return err
	}
	if s.Auth.Cert != nil && s.TLS.CertSecretRef != nil {
		return errs.New(errs.Invalid, "auth.cert and tls.certSecretRef are both set: a connection has one certificate, keep one")
	}
	return nil
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

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

package transit

import (
	"cmp"
	"net/url"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
)

// Settings say which key, and how to get at it.
type Settings struct {
	// Address of the vault, such as https://vault.example.com:8200.
	Address string `json:"address"`
	// CAFile has the authorities of its certificate, PEM; default: the system's.
	CAFile string `json:"ca_file,omitzero"`
	// Namespace of the mount and the login; default: none.
	Namespace string `json:"namespace,omitzero"`
	// Mount of the engine; default transit.
	Mount string `json:"mount,omitzero"`
	// Key is its name. It must be of an authenticated type, and neither derived nor
	// convergent.
	Key string `json:"key"`
	// Timeout of a call, a Go duration; default 2s, less than an API server's patience.
	Timeout string `json:"timeout,omitzero"`
	Auth    Auth   `json:"auth"`

	timeout time.Duration
}

// Auth has exactly one way to log in. Files are read at each login.
type Auth struct {
	// TokenFile has a token, which is renewed if it can be.
	TokenFile string   `json:"token_file,omitzero"`
	AppRole   *AppRole `json:"approle,omitzero"`
	Cert      *Cert    `json:"cert,omitzero"`
}

// AppRole logs in by a role and its secret.
type AppRole struct {
	Mount        string `json:"mount,omitzero"` // default approle
	RoleID       string `json:"role_id"`
	SecretIDFile string `json:"secret_id_file"`
}

// Cert logs in by the certificate that the connection has.
type Cert struct {
	Mount    string `json:"mount,omitzero"` // default cert
	Role     string `json:"role,omitzero"`  // default: any that takes it
	CertFile string `json:"cert_file"`
	KeyFile  string `json:"key_file"`
}

const defaultTimeout = 2 * time.Second

func parse(raw []byte) (Settings, error) {
	var s Settings
	if err := keystore.Decode(raw, &s); err != nil {
		return s, err
	}
	if err := checkAddress(s.Address); err != nil {
		return s, err
	}
	s.Mount = strings.Trim(cmp.Or(s.Mount, "transit"), "/")
	for name, value := range map[string]string{"mount": s.Mount, "key": s.Key} {
		if err := segment(name, value); err != nil {
			return s, err
		}
	}
	if strings.Contains(s.Key, "/") {
		return s, errs.Newf(errs.Invalid, "key %q: a key's name has no slash", s.Key)
	}
	var err error
	if s.timeout, err = time.ParseDuration(cmp.Or(s.Timeout, defaultTimeout.String())); err != nil || s.timeout <= 0 {
		return s, errs.Newf(errs.Invalid, "timeout %q: use a positive duration such as 2s", s.Timeout)
	}
	return s, s.Auth.check()
}

func checkAddress(address string) error {
	at, err := url.Parse(address)
	if err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || strings.Trim(at.Path, "/") != "" || at.User != nil {
		return errs.New(errs.Invalid, "address must be https://HOST:PORT, of the vault")
	}
	if at.Scheme == "http" && !loopback(at.Hostname()) {
		return errs.Newf(errs.Invalid, "address %q: keys and tokens would go over the network in plain text; use https", address)
	}
	return nil
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// segment refuses what would be another path.
func segment(name, value string) error {
	if value == "" {
		return errs.Newf(errs.Invalid, "%s is missing", name)
	}
	for part := range strings.SplitSeq(value, "/") {
		if part == "" || part == "." || part == ".." || strings.ContainsFunc(part, func(r rune) bool { return r <= ' ' || r == '?' || r == '#' || r == '%' || r == 0x7f }) {
			return errs.Newf(errs.Invalid, "%s %q is no path in a vault", name, value)
		}
	}
	return nil
}

func (a *Auth) check() error {
	ways := 0
	if a.TokenFile != "" {
		ways++
	}
	if r := a.AppRole; r != nil {
		ways++
		r.Mount = strings.Trim(cmp.Or(r.Mount, "approle"), "/")
		if r.RoleID == "" || r.SecretIDFile == "" {
			return errs.New(errs.Invalid, "auth.approle needs role_id and secret_id_file")
		}
		if err := segment("auth.approle.mount", r.Mount); err != nil {
			return err
		}
	}
	if c := a.Cert; c != nil {
		ways++
		c.Mount = strings.Trim(cmp.Or(c.Mount, "cert"), "/")
		if c.CertFile == "" || c.KeyFile == "" {
			return errs.New(errs.Invalid, "auth.cert needs cert_file and key_file")
		}
		if err := segment("auth.cert.mount", c.Mount); err != nil {
			return err
		}
	}
	if ways != 1 {
		return errs.Newf(errs.Invalid, "auth has %d ways to log in, not one: token_file, approle or cert", ways)
	}
	return nil
}

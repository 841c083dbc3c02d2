package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// connection is what the global flags say of the server. Flags win over
// STRONGKEEP_*, which wins over VAULT_*.
type connection struct {
	address, caCert, clientCert, clientKey, serverName, namespace string
	skipVerify                                                    bool
}

const defaultAddress = "https://127.0.0.1:8200"

// client makes the official client. The token is that of the environment, else
// the one login kept.
func (a *app) client() (*vault.Client, error) {
	cfg := vault.DefaultConfig()
	if cfg.Error != nil {
		return nil, errs.Newf(errs.Invalid, "reading VAULT_* settings: %w", cfg.Error)
	}
	c := a.conn
	cfg.Address = first(c.address, a.env.lookup("ADDR"), defaultAddress)
	skip, _ := strconv.ParseBool(a.env.lookup("SKIP_VERIFY"))
	err := cfg.ConfigureTLS(&vault.TLSConfig{
		CACert:        first(c.caCert, a.env.lookup("CACERT")),
		CAPath:        a.env.lookup("CAPATH"),
		ClientCert:    first(c.clientCert, a.env.lookup("CLIENT_CERT")),
		ClientKey:     first(c.clientKey, a.env.lookup("CLIENT_KEY")),
		TLSServerName: first(c.serverName, a.env.lookup("TLS_SERVER_NAME")),
		Insecure:      c.skipVerify || skip,
	})
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "setting up TLS: %w", err)
	}
	if v := a.env.lookup("CLIENT_TIMEOUT"); v != "" {
		if cfg.Timeout, err = timeout(v); err != nil {
			return nil, err
		}
	}
	client, err := vault.NewClient(cfg)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "address %q: %w", cfg.Address, err)
	}
	if ns := first(c.namespace, a.env.lookup("NAMESPACE")); ns != "" {
		client.SetNamespace(ns)
	}
	token, err := a.token()
	if err != nil {
		return nil, err
	}
	client.SetToken(token)
	return client, nil
}

func timeout(v string) (time.Duration, error) {
	if seconds, err := strconv.Atoi(v); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, errs.Newf(errs.Invalid, "CLIENT_TIMEOUT %q: use seconds or a duration such as 30s", v)
	}
	return d, nil
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (a *app) tokenFile() string {
	if a.env.Home == "" {
		return ""
	}
	return filepath.Join(a.env.Home, ".vault-token")
}

func (a *app) token() (string, error) {
	if t := a.env.lookup("TOKEN"); t != "" {
		return t, nil
	}
	raw, err := os.ReadFile(a.tokenFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) && a.tokenFile() != "" {
		return "", errs.Newf(errs.Invalid, "reading the token that login kept: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// keepToken stores a token where the official command looks for it too.
func (a *app) keepToken(token string) error {
	path := a.tokenFile()
	if path == "" {
		return errs.New(errs.Invalid, "there is no home directory to keep the token in: use -no-store and set VAULT_TOKEN")
	}
	if err := os.WriteFile(path+".new", []byte(token), 0o600); err != nil {
		return errs.Newf(errs.Invalid, "keeping the token: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return errs.Newf(errs.Invalid, "keeping the token: %w", err)
	}
	return nil
}

// explain turns what the client library reports into a message with a next
// step and the kind that decides the exit code.
func (a *app) explain(err error) error {
	var response *vault.ResponseError
	if errors.As(err, &response) {
		return a.explainResponse(response)
	}
	var (
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		record   tls.RecordHeaderError
		dial     *net.OpError
	)
	address := first(a.conn.address, a.env.lookup("ADDR"), defaultAddress)
	switch {
	case errors.As(err, &unknown):
		return errs.Newf(errs.Unavailable, "the certificate of %s is not signed by a CA known here: set VAULT_CACERT to the ca.pem of the server (DATA_DIR/tls/ca.pem)", address)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return errs.Newf(errs.Unavailable, "the certificate of %s has expired or is not valid yet: renew it, or check this machine's clock", address)
	case errors.As(err, &hostname):
		return errs.Newf(errs.Unavailable, "the certificate of %s is for other names: %w; use one of them, or set tls_names on the server", address, hostname)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return errs.Newf(errs.Unavailable, "%s does not speak TLS: if it is a development server use http:// in VAULT_ADDR", address)
	case errors.As(err, &dial):
		return errs.Newf(errs.Unavailable, "cannot reach %s: %w; is the server running (strongkeep server), and VAULT_ADDR right?", address, dial.Err)
	}
	return err
}

func (a *app) explainResponse(r *vault.ResponseError) error {
	texts := make([]string, 0, len(r.Errors))
	for _, t := range r.Errors {
		texts = append(texts, strings.TrimSpace(strings.TrimPrefix(t, "1 error occurred:\n\t* ")))
	}
	text := strings.Join(texts, "; ")
	if text == "" {
		text = http.StatusText(r.StatusCode)
	}
	kind, hint := errs.Internal, ""
	switch r.StatusCode {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		kind = errs.Invalid
	case http.StatusForbidden:
		kind, hint = errs.Denied, "; log in (strongkeep login) or ask for a policy that allows it"
		if strings.Contains(text, " ") && text != "permission denied" && text != "bad token" {
			hint = ""
		}
	case http.StatusNotFound:
		kind = errs.NotExist
	case http.StatusMethodNotAllowed:
		kind = errs.Unsupported
	case http.StatusRequestEntityTooLarge:
		kind = errs.TooLarge
	case http.StatusTooManyRequests:
		kind = errs.Exhausted
	case http.StatusServiceUnavailable:
		kind = errs.Unavailable
		if strings.Contains(text, "sealed") {
			kind, hint = errs.Sealed, "; unseal it (strongkeep operator unseal), or initialise it (strongkeep operator init)"
		}
	}
	return errs.New(kind, fmt.Sprintf("%s%s (%s %s: %d)", text, hint, r.HTTPMethod, pathOf(r.URL), r.StatusCode))
}

// pathOf leaves scheme, host and query out: the query may hold values.
func pathOf(url string) string {
	if _, after, ok := strings.Cut(url, "/v1/"); ok {
		path, _, _ := strings.Cut(after, "?")
		return path
	}
	return "request"
}

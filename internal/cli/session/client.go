package session

import (
	"context"
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

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Connection is what the global flags say of the server. Flags win over
// STRONGKEEP_*, which wins over VAULT_*.
type Connection struct {
	Address, Namespace, ServerName string
	CACert, ClientCert, ClientKey  string // files, PEM
	CAPath                         string // directory of CAs, PEM
	SkipVerify                     bool
	WrapTTL                        string   // asks for answers wrapped for so long; "" = as they are
	Headers                        []string // NAME=VALUE, sent with every request
	OutputCurl, OutputPolicy       bool     // print what would be asked, or the policy it needs, and do not ask
}

// DefaultAddress is where a server listens that was told nothing else.
const DefaultAddress = "https://127.0.0.1:8200"

// Client makes the official client. The token is that of the environment, else
// the one login kept.
func (s *Session) Client() (*vault.Client, error) {
	cfg := vault.DefaultConfig()
	if cfg.Error != nil {
		return nil, errs.Newf(errs.Invalid, "reading VAULT_* settings: %w", cfg.Error)
	}
	c := s.Conn
	cfg.Address = First(c.Address, s.Env.Lookup("ADDR"), DefaultAddress)
	skip, _ := strconv.ParseBool(s.Env.Lookup("SKIP_VERIFY"))
	err := cfg.ConfigureTLS(&vault.TLSConfig{
		CACert:        First(c.CACert, s.Env.Lookup("CACERT")),
		CAPath:        First(c.CAPath, s.Env.Lookup("CAPATH")),
		ClientCert:    First(c.ClientCert, s.Env.Lookup("CLIENT_CERT")),
		ClientKey:     First(c.ClientKey, s.Env.Lookup("CLIENT_KEY")),
		TLSServerName: First(c.ServerName, s.Env.Lookup("TLS_SERVER_NAME")),
		Insecure:      c.SkipVerify || skip,
	})
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "setting up TLS: %w", err)
	}
	if v := s.Env.Lookup("CLIENT_TIMEOUT"); v != "" {
		if cfg.Timeout, err = timeout(v); err != nil {
			return nil, err
		}
	}
	client, err := vault.NewClient(cfg)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "address %q: %w", cfg.Address, err)
	}
	if ns := First(c.Namespace, s.Env.Lookup("NAMESPACE")); ns != "" {
		client.SetNamespace(ns)
	}
	token, err := s.token()
	if err != nil {
		return nil, err
	}
	client.SetToken(token)
	return client, s.shape(client)
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

// First returns the first value that is not empty.
func First(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// TokenFile is where a token is kept, "" without a home directory.
func (s *Session) TokenFile() string {
	if s.Env.Home == "" {
		return ""
	}
	return filepath.Join(s.Env.Home, ".vault-token")
}

func (s *Session) token() (string, error) {
	if t := s.Env.Lookup("TOKEN"); t != "" {
		return t, nil
	}
	raw, err := os.ReadFile(s.TokenFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) && s.TokenFile() != "" {
		return "", errs.Newf(errs.Invalid, "reading the token that login kept: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// KeepToken stores a token where the official command looks for it too.
func (s *Session) KeepToken(token string) error {
	path := s.TokenFile()
	if path == "" {
		return errs.New(errs.Invalid, "there is no home directory to keep the token in: use -no-store and set VAULT_TOKEN")
	}
	if err := WritePrivate(path, []byte(token)); err != nil {
		return errs.Newf(errs.Invalid, "keeping the token: %w", err)
	}
	return nil
}

// WritePrivate writes a file in one step. Nobody else may read it, whatever was there
// before.
func WritePrivate(path string, content []byte) error { return draft.Write(path, content, 0o600) }

// Interrupted is the error of a command that was told to end while it waited for
// something that goes on without it.
type Interrupted struct{ Left string } // what, and how to see it

func (e Interrupted) Error() string { return "interrupted: " + e.Left }

// Unwrap has it count as what it is.
func (Interrupted) Unwrap() error { return context.Canceled }

// Explain turns what the client library reports into a message with a next
// step and the kind that decides the exit code.
func (s *Session) Explain(err error) error {
	var response *vault.ResponseError
	if errors.As(err, &response) {
		return s.explainResponse(response)
	}
	if own, ok := ours(err); ok {
		return own
	}
	address := First(s.Conn.Address, s.Env.Lookup("ADDR"), DefaultAddress)
	if errors.Is(err, context.DeadlineExceeded) { // before kinds, for it has one too
		return errs.Newf(errs.Unavailable, "no answer from %s in time: is it that server, and not too busy? VAULT_CLIENT_TIMEOUT is how long to wait (default 60s)", address)
	}
	if errs.KindOf(err) != errs.Internal {
		return err // one of ours, which says what to do
	}
	var (
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		record   tls.RecordHeaderError
		dial     *net.OpError
	)
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

// ours is an error that no server has to do with: the command was interrupted, or what it uses itself failed.
func ours(err error) (error, bool) {
	var left Interrupted
	var local Local
	switch {
	case errors.As(err, &left):
		return left, true
	case errors.Is(err, context.Canceled):
		return errs.New(errs.Unavailable, "interrupted; what was asked for may have happened"), true
	case errors.As(err, &local):
		return err, true
	}
	return nil, false
}

// kinds says what an HTTP status means; what is not here is Internal.
var kinds = map[int]errs.Kind{
	http.StatusBadRequest:            errs.Invalid,
	http.StatusUnsupportedMediaType:  errs.Invalid,
	http.StatusForbidden:             errs.Denied,
	http.StatusNotFound:              errs.NotExist,
	http.StatusMethodNotAllowed:      errs.Unsupported,
	http.StatusRequestEntityTooLarge: errs.TooLarge,
	http.StatusTooManyRequests:       errs.Exhausted,
	http.StatusServiceUnavailable:    errs.Unavailable,
}

func (s *Session) explainResponse(r *vault.ResponseError) error {
	texts := make([]string, 0, len(r.Errors))
	for _, t := range r.Errors {
		texts = append(texts, strings.TrimSpace(strings.TrimPrefix(t, "1 error occurred:\n\t* ")))
	}
	said := First(strings.Join(texts, "; "), http.StatusText(r.StatusCode))
	kind, hint := s.advise(r, said)
	return errs.New(kind, fmt.Sprintf("%s%s (%s %s: %d)", said, hint, r.HTTPMethod, pathOf(r.URL), r.StatusCode))
}

// advise returns what a response means, and what to do next if that can be told.
func (s *Session) advise(r *vault.ResponseError, said string) (kind errs.Kind, hint string) {
	kind = kinds[r.StatusCode]
	switch kind {
	case errs.Denied:
		return s.adviseDenied(pathOf(r.URL), said)
	case errs.Unavailable:
		if strings.Contains(said, "sealed") {
			return errs.Sealed, "; unseal it (strongkeep operator unseal), or initialise it (strongkeep operator init)"
		}
	case errs.Invalid:
		if strings.HasPrefix(said, "Client sent an HTTP request to an HTTPS server") {
			return kind, " Use https:// in VAULT_ADDR"
		}
	}
	return kind, ""
}

func (s *Session) adviseDenied(path, said string) (errs.Kind, string) {
	switch {
	case strings.HasPrefix(path, "auth/") && strings.Contains(path, "/login"):
		return errs.Denied, "; is an auth method mounted there (-path), and may you log in?"
	case s.anonymous():
		return errs.Unauthenticated, "; there is no token: log in (strongkeep login), or set VAULT_TOKEN"
	case said == "permission denied" || said == "bad token":
		return errs.Denied, "; the token is unknown or has ended (strongkeep login), or its policies do not allow this"
	}
	return errs.Denied, ""
}

// anonymous reports whether requests are made without a token.
func (s *Session) anonymous() bool {
	token, err := s.token()
	return err == nil && token == ""
}

// pathOf leaves scheme, host and query out: the query may hold values.
func pathOf(url string) string {
	if _, after, ok := strings.Cut(url, "/v1/"); ok {
		path, _, _ := strings.Cut(after, "?")
		return path
	}
	return "request"
}

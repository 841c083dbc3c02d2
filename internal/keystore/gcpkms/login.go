package gcpkms

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
)

const (
	scope = "https://www.googleapis.com/auth/cloud-platform"
	// envFile and envMetadata are Google's own names.
	envFile     = "GOOGLE_APPLICATION_CREDENTIALS"
	envMetadata = "GCE_METADATA_HOST"
	// reloginAfter is the least time between two logins that refusals led to.
	reloginAfter = 10 * time.Second
	maxBody      = 64 << 10
)

// login gives tokens. It is safe for concurrent use.
type login struct {
	file string // "": the machine's identity
	http *http.Client
	now  func() time.Time

	mu     sync.Mutex
	tokens auth.TokenProvider // keeps one until near its end; nil: none was made yet
	forced time.Time          // when a refusal last led to a new login
}

func newLogin(s *Settings) *login {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // the metadata server is on the machine
	return &login{file: cmp.Or(s.CredentialsFile, os.Getenv(envFile)), now: time.Now, http: &http.Client{
		Transport: transport, Timeout: s.timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// token returns what signs a call. Its failures have kinds.
func (l *login) token(ctx context.Context) (string, error) {
	tokens, err := l.provider()
	if err != nil {
		return "", err
	}
	t, err := tokens.Token(ctx)
	switch {
	case err == nil:
		return t.Value, nil
	case errs.KindOf(err) != errs.Internal:
		return "", err
	}
	return "", errs.New(errs.Invalid, "the key of the service account cannot sign: is credentials_file as Google gave it?") // the library's may quote it
}

// provider makes, or returns, who gives tokens.
func (l *login) provider() (auth.TokenProvider, error) {
	l.mu.Lock()
	tokens := l.tokens
	l.mu.Unlock()
	if tokens != nil {
		return tokens, nil
	}
	if l.file == "" {
		tokens = auth.NewCachedTokenProvider(machine{l.http}, &auth.CachedTokenProviderOptions{DisableAutoRefresh: true, ExpireEarly: time.Minute})
	} else {
		var err error
		if tokens, err = fromFile(l.file); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tokens = tokens
	return tokens, nil
}

// renew has the next call log in anew, and reports whether it does.
func (l *login) renew() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.forced) >= reloginAfter {
		l.forced, l.tokens = now, nil
		return true
	}
	return false
}

// fromFile signs tokens by the key of a service account: nobody is asked for them.
func fromFile(path string) (auth.TokenProvider, error) {
	raw, err := credential.Read(path)
	if err != nil {
		if errs.Is(err, errs.NotExist) { // a credential that is not there is not a key that is not there
			err = errs.As(errs.Unavailable, err)
		}
		return nil, errs.Newf(errs.KindOf(err), "credentials_file: %w", err)
	}
	var is struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(raw.Reveal(), &is) != nil || is.Type != string(credentials.ServiceAccount) {
		return nil, errs.New(errs.Invalid, "credentials_file must be the key of a service account, as Google gives it: JSON of type service_account")
	}
	creds, err := credentials.NewCredentialsFromJSON(credentials.ServiceAccount, raw.Reveal(), &credentials.DetectOptions{
		Scopes: []string{scope}, UseSelfSignedJWT: true, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil { // it may quote the key
		return nil, errs.New(errs.Invalid, "credentials_file is no key of a service account that can be used: is it as Google gave it?")
	}
	return creds, nil
}

// machine asks the machine's metadata server for tokens.
type machine struct{ http *http.Client }

// Token implements auth.TokenProvider.
func (m machine) Token(ctx context.Context) (*auth.Token, error) {
	const doing = "asking the machine for its identity (the metadata server)"
	host := cmp.Or(os.Getenv(envMetadata), "169.254.169.254")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+"/computeMetadata/v1/instance/service-accounts/default/token", http.NoBody)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "%s: %s is no host", doing, envMetadata)
	}
	req.Header.Set("Metadata-Flavor", "Google") //nolint:misspell // the header of Google
	answer, err := m.http.Do(req)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "%s: nobody answers: set credentials_file where the machine is not Google's", doing)
	}
	defer func() { _ = answer.Body.Close() }()
	var is struct {
		Token   string `json:"access_token"`
		Seconds int    `json:"expires_in"`
	}
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	switch {
	case answer.StatusCode == http.StatusNotFound, answer.StatusCode == http.StatusForbidden:
		return nil, errs.Newf(errs.Unauthenticated, "%s: it has none: give the machine a service account, or set credentials_file", doing)
	case err != nil || answer.StatusCode != http.StatusOK || json.Unmarshal(raw, &is) != nil || is.Token == "":
		return nil, errs.Newf(errs.Unavailable, "%s: status %d, and no token", doing, answer.StatusCode)
	}
	return &auth.Token{Value: is.Token, Type: "Bearer", Expiry: time.Now().Add(time.Duration(is.Seconds) * time.Second)}, nil
}

package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

// The scope of every token.
const scope = "https://www.googleapis.com/auth/cloud-platform"

// maxBody bounds an answer.
const maxBody = 1 << 20

// Client makes the requests of logins.
type Client struct {
	transport *http.Transport
	instead   *url.URL // in place of Google's token services; nil: none
	metadata  string   // host of the metadata server
}

// What the operator's environment may say.
const (
	envTokens   = "GCP_TOKEN_ENDPOINT"
	envMetadata = "GCE_METADATA_HOST" // Google's own name for it
)

// NewClient returns a Client. GCP_TOKEN_ENDPOINT of the operator's environment
// stands in for Google's token services, GCE_METADATA_HOST for the metadata server.
func NewClient(getenv func(string) string) (*Client, error) {
	c := &Client{transport: http.DefaultTransport.(*http.Transport).Clone(), metadata: "169.254.169.254"}
	if host := getenv(envMetadata); host != "" {
		c.metadata = host
	}
	at := getenv(envTokens)
	if at == "" {
		return c, nil
	}
	var err error
	c.instead, err = login.Endpoint(envTokens, at)
	return c, err
}

// Close ends idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// tokenHosts are Google's token services.
func tokenHost(host string) bool {
	switch host {
	case "oauth2.googleapis.com", "accounts.google.com", "www.googleapis.com", "sts.googleapis.com", "securetoken.googleapis.com", "iamcredentials.googleapis.com":
		return true
	}
	return false
}

// attempt is one login: its HTTP client remembers what was answered last.
type attempt struct {
	*Client
	http *http.Client

	mu   sync.Mutex
	last login.Answer
}

func (c *Client) attempt() *attempt {
	a := &attempt{Client: c}
	a.http = &http.Client{Transport: a, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return a
}

// quiet keeps libraries from logging requests, which a variable of the environment
// would have them do.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// RoundTrip implements http.RoundTripper.
func (a *attempt) RoundTrip(req *http.Request) (*http.Response, error) {
	if a.instead != nil && tokenHost(req.URL.Host) {
		req = req.Clone(req.Context())
		req.URL.Scheme, req.URL.Host, req.Host = a.instead.Scheme, a.instead.Host, ""
	}
	answer, err := a.transport.RoundTrip(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(answer.Body, maxBody))
		_ = answer.Body.Close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = login.Answer{Failed: err}
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	if a.last.Status = answer.StatusCode; a.last.Status >= http.StatusBadRequest {
		a.last.Code = codeOf(body)
	}
	if a.last.Code == "RESOURCE_EXHAUSTED" { // of whatever status
		a.last.Status = http.StatusTooManyRequests
	}
	return answer, nil
}

// codeOf returns the code of a refusal: that of OAuth, or the status of Google's
// other services. "" is no answer of Google.
func codeOf(body []byte) string {
	var oauth struct {
		Error string `json:"error"`
	}
	var google struct {
		Error struct {
			Status string `json:"status"`
		} `json:"error"`
	}
	code := ""
	if json.Unmarshal(body, &oauth) == nil {
		code = oauth.Error
	} else if json.Unmarshal(body, &google) == nil {
		code = google.Error.Status
	}
	if len(code) > 64 || strings.Trim(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return ""
	}
	return code
}

// refused gives the failure err of the attempt a kind and a text: nothing of err,
// which may quote an answer. advice says what to do about a refusal.
func (a *attempt) refused(doing string, err error, advice string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last.Refused("Google", doing, advice)
}

// call sends a request and decodes its JSON answer.
func (a *attempt) call(req *http.Request, doing, advice string, answer any) error {
	resp, err := a.http.Do(req)
	if err != nil {
		return a.refused(doing, err, advice)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK || json.NewDecoder(resp.Body).Decode(answer) != nil {
		return a.refused(doing, nil, advice)
	}
	return nil
}

func (a *attempt) post(ctx context.Context, at string, body any) (*http.Request, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a request for a token: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(raw))
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "making a request for a token: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req, nil
}

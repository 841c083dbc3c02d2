package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

// maxBody bounds an answer: a page of secrets with their tags.
const maxBody = 4 << 20

// metadataHost is the instance metadata service of a node.
const metadataHost = "169.254.169.254"

// Client makes the requests of one store. It implements the SDK's Transporter.
type Client struct {
	http      *http.Client
	transport *http.Transport
	authority string   // host that gives tokens
	vault     string   // host of the store
	tokensAt  *url.URL // in place of authority and metadataHost; nil: none
	vaultAt   *url.URL // in place of vault; nil: none
	// Refused is told of a token that the vault did not accept; nil: nobody is.
	Refused func(req *http.Request, token string)
}

// NewClient returns a Client for a vault and who gives its tokens, by their hosts.
// AZURE_KEYVAULT_ENDPOINT and AZURE_TOKEN_ENDPOINT of the operator's environment stand
// in for them.
func NewClient(getenv func(string) string, vault, authority string) (*Client, error) {
	return newClient(getenv, "AZURE_KEYVAULT_ENDPOINT", vault, authority)
}

// NewRegistryClient returns a Client for a container registry in place of a vault.
// AZURE_CONTAINERREGISTRY_ENDPOINT of the operator's environment stands in for it.
func NewRegistryClient(getenv func(string) string, registry, authority string) (*Client, error) {
	return newClient(getenv, "AZURE_CONTAINERREGISTRY_ENDPOINT", registry, authority)
}

func newClient(getenv func(string) string, instead, vault, authority string) (*Client, error) {
	c := &Client{transport: http.DefaultTransport.(*http.Transport).Clone(), vault: vault, authority: authority}
	c.transport.MaxIdleConnsPerHost = 32
	c.http = &http.Client{Transport: c.transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var err error
	if c.vaultAt, err = endpoint(getenv, instead); err != nil {
		return nil, err
	}
	c.tokensAt, err = endpoint(getenv, "AZURE_TOKEN_ENDPOINT")
	return c, err
}

// endpoint reads an address that the operator's environment names: TLS, or this
// machine, since credentials are sent there.
func endpoint(getenv func(string) string, name string) (*url.URL, error) {
	at := getenv(name)
	if at == "" {
		return nil, nil //nolint:nilnil // none is named
	}
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, errs.Newf(errs.Invalid, "%s of the operator is neither https://HOST nor http:// at an address of this machine", name)
	}
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Close ends idle connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// challenges are such as the SDK reads, of which it takes the fourth part to be there.
var challenges = regexp.MustCompile(`^Bearer authorization="https://[a-z0-9.-]+/[A-Za-z0-9.-]+"`)

// Do implements the SDK's Transporter. A request to any other host than the store's
// and those that give its tokens does not leave: the vault itself names where its
// next page is.
func (c *Client) Do(req *http.Request) (*http.Response, error) { //nolint:cyclop // flat: a case after the other
	to := *req.URL
	var instead *url.URL
	switch {
	case req.URL.Host == c.vault && req.URL.Scheme == "https":
		instead = c.vaultAt
	case req.URL.Host == c.authority && req.URL.Scheme == "https", req.URL.Host == metadataHost && req.URL.Scheme == "http":
		instead = c.tokensAt
	default:
		return nil, errs.New(errs.Unavailable, "the answer names another server, which is not asked")
	}
	sent := req
	if instead != nil {
		sent = req.Clone(req.Context())
		sent.URL.Scheme, sent.URL.Host, sent.Host = instead.Scheme, instead.Host, req.URL.Host
	}
	answer, err := c.http.Do(sent)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody+1))
	_ = answer.Body.Close()
	switch {
	case err != nil:
		return nil, err
	case len(body) > maxBody:
		return nil, errs.Newf(errs.TooLarge, "the answer is over %d MiB", maxBody>>20)
	}
	answer.Body, answer.Request = io.NopCloser(bytes.NewReader(body)), req
	if to.Host == c.vault && answer.StatusCode == http.StatusUnauthorized {
		if !challenges.MatchString(answer.Header.Get("WWW-Authenticate")) {
			answer.Header.Del("WWW-Authenticate")
		}
		if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok && c.Refused != nil {
			c.Refused(req, token)
		}
	}
	return answer, nil
}

// attempt is one login: it remembers what was answered last, for the errors of
// libraries quote answers.
type attempt struct {
	*Client
	status int
	code   string // of a refusal of Entra's shape
	failed error
}

// Do implements the SDK's Transporter.
func (a *attempt) Do(req *http.Request) (*http.Response, error) {
	answer, err := a.Client.Do(req)
	a.status, a.code, a.failed = 0, "", err
	if err != nil {
		return nil, err
	}
	if a.status = answer.StatusCode; a.status >= http.StatusBadRequest {
		body, _ := io.ReadAll(answer.Body)
		answer.Body = io.NopCloser(bytes.NewReader(body))
		a.code = codeOf(body)
	}
	return answer, nil
}

// The code of a refusal, and the number of Entra's error within its words.
var (
	codes   = regexp.MustCompile(`^[a-z_]{1,64}$`)
	numbers = regexp.MustCompile(`^AADSTS[0-9]{1,9}`)
)

func codeOf(body []byte) string {
	var refusal struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &refusal) != nil || !codes.MatchString(refusal.Error) {
		return ""
	}
	if number := numbers.FindString(refusal.Description); number != "" {
		return refusal.Error + " (" + number + ")"
	}
	return refusal.Error
}

// refused gives the failure of the attempt a kind and a text: nothing of err, which
// may quote an answer. advice says what to do about a refusal.
func (a *attempt) refused(doing string, advice string) error {
	var dial *url.Error
	switch {
	case errors.As(a.failed, &dial):
		return errs.Newf(errs.Unavailable, "%s: %s", doing, plain(dial.Err.Error()))
	case a.failed != nil:
		return errs.Newf(errs.Unavailable, "%s: no answer", doing)
	case a.status == http.StatusTooManyRequests:
		return errs.Newf(errs.Exhausted, "%s: Microsoft Entra says too many requests", doing)
	case a.status >= http.StatusBadRequest && a.status < http.StatusInternalServerError && a.code != "":
		return errs.Newf(errs.Unauthenticated, "%s: Microsoft Entra says %s; %s", doing, a.code, advice)
	case a.status != 0:
		return errs.Newf(errs.Unavailable, "%s: status %d, and no token", doing, a.status)
	}
	return errs.Newf(errs.Unauthenticated, "%s: there is nothing that can be sent; %s", doing, advice)
}

// plain makes a text fit for a message.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 256)]
}

var _ login.Source // what this package makes

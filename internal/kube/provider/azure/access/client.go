package access

import (
	"bytes"
	"encoding/json"
	"io"
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

// NewQueueClient returns a Client for the queues of a storage account in place of a vault.
// AZURE_STORAGE_QUEUE_ENDPOINT of the operator's environment stands in for it.
func NewQueueClient(getenv func(string) string, account, authority string) (*Client, error) {
	return newClient(getenv, "AZURE_STORAGE_QUEUE_ENDPOINT", account, authority)
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

// endpoint reads an address that the operator's environment names.
func endpoint(getenv func(string) string, name string) (*url.URL, error) {
	at := getenv(name)
	if at == "" {
		return nil, nil //nolint:nilnil // none is named
	}
	return login.Endpoint(name, at)
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

// attempt is one login: it remembers what was answered last.
type attempt struct {
	*Client
	last login.Answer
}

// Do implements the SDK's Transporter.
func (a *attempt) Do(req *http.Request) (*http.Response, error) {
	answer, err := a.Client.Do(req)
	a.last = login.Answer{Failed: err}
	if err != nil {
		return nil, err
	}
	if a.last.Status = answer.StatusCode; a.last.Status >= http.StatusBadRequest {
		body, _ := io.ReadAll(answer.Body)
		answer.Body = io.NopCloser(bytes.NewReader(body))
		a.last.Code = codeOf(body)
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

// refused gives the failure of the attempt a kind and a text: nothing of the error of a
// library, which may quote an answer.
func (a *attempt) refused(doing, advice string) error {
	return a.last.Refused("Microsoft Entra", doing, advice)
}

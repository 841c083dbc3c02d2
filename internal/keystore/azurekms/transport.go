package azurekms

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// maxBody bounds an answer: a page of versions.
const maxBody = 1 << 20

// metadataHost is the instance metadata service of a machine.
const metadataHost = "169.254.169.254"

// transport implements the SDK's Transporter. A request to another host than the
// vault and those that give its tokens does not leave: a vault itself names where its
// next page is.
type transport struct {
	http    *http.Client
	machine *http.Client // asks this machine, by no proxy, which would have the identity of its own machine to give
	vault   string
	token   string            // the host that gives them
	instead map[string]string // addresses in place of hosts
	refused func(token string)
}

func newTransport(s *Settings, refused func(string)) *transport {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxIdleConnsPerHost = 32
	direct := base.Clone()
	direct.Proxy = nil
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t := &transport{
		vault: s.host, token: s.cloud.authority, instead: map[string]string{}, refused: refused,
		http: &http.Client{Transport: base, CheckRedirect: stay}, machine: &http.Client{Transport: direct, CheckRedirect: stay},
	}
	if s.Endpoint != "" {
		t.instead[t.vault] = s.Endpoint
	}
	if s.TokenEndpoint != "" {
		t.instead[t.token], t.instead[metadataHost] = s.TokenEndpoint, s.TokenEndpoint
	}
	return t
}

// Do implements the SDK's Transporter.
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	host := req.URL.Host
	if host != t.vault && host != t.token && host != metadataHost && !loopback(req.URL.Hostname()) { // loopback: Azure Arc's agent
		return nil, errs.New(errs.Unavailable, "the answer names another server, which is not asked")
	}
	answer, err := t.send(req)
	if err != nil {
		return nil, err
	}
	if token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok && host == t.vault && answer.StatusCode == http.StatusUnauthorized {
		t.refused(token)
	}
	return answer, nil
}

// send makes a request, and reads the answer to its end.
func (t *transport) send(req *http.Request) (*http.Response, error) {
	sent, by := req, t.http
	if req.URL.Host == metadataHost || loopback(req.URL.Hostname()) {
		by = t.machine
	}
	if at, ok := t.instead[req.URL.Host]; ok {
		u, err := url.Parse(at)
		if err != nil {
			return nil, err
		}
		sent = req.Clone(req.Context())
		sent.URL.Scheme, sent.URL.Host, sent.Host = u.Scheme, u.Host, req.URL.Host
	}
	answer, err := by.Do(sent)
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
	return answer, nil
}

package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const (
	apiTimeout  = 10 * time.Second // of one call, connecting included
	maxResponse = 1 << 20
)

// clients keeps one http.Client, and with it its connections, for as long as
// host and certificates stay the same.
type clients struct {
	mu     sync.Mutex // guards the fields below
	host   string
	ca     string
	client *http.Client
}

func (c *clients) get(host, ca string) (*http.Client, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil && c.host == host && c.ca == ca {
		return c.client, nil
	}
	var pool *x509.CertPool // nil = the system's
	if ca != "" {
		pool = x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(ca)) {
			return nil, errs.New(errs.Unavailable, "the local ca.crt holds no certificate: set kubernetes_ca_cert")
		}
	}
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
	c.host, c.ca = host, ca
	c.client = &http.Client{
		Timeout: apiTimeout,
		// Whoever redirects gets the caller's token; an API server never does.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: apiTimeout / 2}).DialContext,
			TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: apiTimeout / 2,
			ForceAttemptHTTP2:   true,
			MaxConnsPerHost:     64,
			MaxIdleConnsPerHost: 16,
			IdleConnTimeout:     90 * time.Second,
		},
	}
	return c.client, nil
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client != nil {
		c.client.CloseIdleConnections()
	}
}

// api is the API server for one login: where, and on whose behalf.
type api struct {
	client *http.Client
	host   string
	bearer string
	own    bool // bearer is the very token that logs in
}

func (e *Engine) server(c *config, jwt string) (*api, error) {
	ca, bearer := c.CACert, c.ReviewerJWT
	if !c.DisableLocalCAJWT {
		if ca == "" {
			ca = e.local.ca()
		}
		if bearer == "" {
			bearer = e.local.token()
		}
	}
	client, err := e.api.get(c.Host, ca)
	if err != nil {
		return nil, err
	}
	a := &api{client: client, host: c.Host, bearer: bearer}
	if bearer == "" {
		a.bearer, a.own = jwt, true
	}
	return a, nil
}

// call sends one request and decodes the answer into out. Kind Unavailable: the
// API server does not answer, or not like one; the text names the host.
func (a *api) call(ctx context.Context, method, path string, in, out any) (status int, err error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return 0, errs.Newf(errs.Internal, "encoding a request to the API server: %w", err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.host+path, body)
	if err != nil {
		return 0, errs.Newf(errs.Internal, "making a request to the API server: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+a.bearer)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := a.client.Do(req)
	if err != nil {
		return 0, a.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }() // read to its end or given up
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	if err != nil {
		return 0, a.unreachable(err)
	}
	if res.StatusCode/100 != 2 {
		return res.StatusCode, nil
	}
	if len(raw) > maxResponse || json.Unmarshal(raw, out) != nil {
		return 0, errs.Newf(errs.Unavailable, "what answers at %s is not a Kubernetes API server", a.host)
	}
	return res.StatusCode, nil
}

// unreachable keeps the cause's text: it is of the network or of TLS, and holds
// addresses and names, nothing of the request.
func (a *api) unreachable(err error) error {
	var wrapper *url.Error // repeats method and URL
	if errors.As(err, &wrapper) {
		err = wrapper.Err
	}
	return errs.Newf(errs.Unavailable, "the Kubernetes API server at %s cannot be reached: %w", a.host, err)
}

package connection

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
)

const (
	// pause is how long a server that did not answer is left alone: whoever asks
	// meanwhile hears the same at once, and waits for nothing.
	pause = 5 * time.Second
	// maxAnswer bounds one answer. Lists are asked for in pages, which a server may
	// not mind.
	maxAnswer = 64 << 20
)

// Options are how a server is reached.
type Options struct {
	// Outbound is whom a connection may reach.
	Outbound outbound.Config
	// Own says that it is the operator's own API server, which is reached as cfg says.
	Own bool
	// Clock, when set, is by which a server that did not answer is left alone for a
	// few seconds.
	Clock clock.PassiveClock
	// Denied, when set, is called when a login was refused.
	Denied func()
}

// Client returns a client for cfg, to which it adds what Options say: it reaches nobody
// else, follows no redirect, uses no proxy of the operator's environment, and ends
// answers that are too long. Invalid, without a word of them, are certificates or keys
// that are none.
func Client(cfg *rest.Config, o Options) (*http.Client, error) {
	if !o.Own {
		cfg.Dial = o.Outbound.Dialer(callTimeout).DialContext
		cfg.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // none: it would dial for us
	}
	if o.Denied == nil {
		o.Denied = func() {}
	}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return &careful{next: next, clock: o.Clock, denied: o.Denied}
	})
	by, err := rest.HTTPClientFor(cfg)
	if err != nil { // its text may quote what it could not use
		return nil, errs.New(errs.Invalid, "the certificates or key cannot be used: see that they are PEM, and that key and certificate belong together")
	}
	by.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return by, nil
}

// careful is the transport to one server of somebody else's.
type careful struct {
	next   http.RoundTripper
	clock  clock.PassiveClock // nil: it is asked each time
	denied func()             // the login was refused

	mu    sync.Mutex
	until time.Time
	err   error
}

func (c *careful) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := c.resting(); err != nil {
		return nil, err
	}
	answer, err := c.next.RoundTrip(req)
	if err != nil {
		if !errors.Is(err, context.Canceled) { // else the caller gave up
			c.rest(err)
		}
		return nil, err
	}
	if answer.StatusCode == http.StatusUnauthorized {
		c.denied()
	}
	answer.Body = &bounded{ReadCloser: answer.Body, left: maxAnswer}
	return answer, nil
}

// CloseIdleConnections lets the client's reach the transport.
func (c *careful) CloseIdleConnections() {
	if t, ok := c.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

func (c *careful) resting() error {
	if c.clock == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil && c.clock.Now().Before(c.until) {
		return c.err
	}
	return nil
}

func (c *careful) rest(err error) {
	if c.clock == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.until = err, c.clock.Now().Add(pause)
}

// bounded ends an answer that is too long.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errs.New(errs.TooLarge, "the answer is longer than 64 MiB")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

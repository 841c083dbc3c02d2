package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const (
	// pause is how long a server that did not answer is left alone: whoever asks
	// meanwhile hears the same at once, and waits for nothing.
	pause = 5 * time.Second
	// maxAnswer bounds one answer. Lists are asked for in pages, which a server may
	// not mind.
	maxAnswer = 64 << 20
)

// careful is the transport to one server of somebody else's.
type careful struct {
	next   http.RoundTripper
	clock  clock.PassiveClock
	denied func() // the login was refused

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

func (c *careful) resting() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil && c.clock.Now().Before(c.until) {
		return c.err
	}
	return nil
}

func (c *careful) rest(err error) {
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

package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// reach returns when an endpoint answers and is fit. It waits for one that
// refuses connections, since etcd may be starting, too; for nothing else.
func (c *Config) reach(ctx context.Context, secure *tls.Config) error {
	for first, began := true, time.Now(); ; first = false {
		var problems []error
		fit := 0
		for _, e := range c.Endpoints {
			err := c.dial(ctx, e, secure)
			if err == nil {
				err = c.examine(ctx, e, secure)
			}
			switch {
			case err == nil:
				fit++
			case !errs.Is(err, errs.Unavailable):
				return err
			default:
				problems = append(problems, err)
			}
		}
		all := errors.Join(problems...)
		if fit > 0 {
			if all != nil {
				c.Log.Warn("not every endpoint of etcd can be used", slog.Any("error", all))
			}
			return nil
		}
		if first {
			c.Log.Warn("waiting for etcd", slog.Any("error", all), slog.Duration("at_most", c.StartTimeout))
		}
		if time.Since(began) > c.StartTimeout || !pause(ctx, min(500*time.Millisecond, c.StartTimeout)) {
			return errs.Newf(errs.Unavailable, "no endpoint of etcd could be used within %v: %w", c.StartTimeout, all)
		}
	}
}

// dial connects to an endpoint and no more: what goes wrong here has a clearer
// cause than what gRPC makes of it.
func (c *Config) dial(ctx context.Context, endpoint string, secure *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	u, err := url.Parse(endpoint)
	if err != nil {
		return errEndpoint(endpoint)
	}
	network, address := "tcp", u.Host
	switch {
	case u.Scheme == "unix":
		network, address = "unix", u.Host+u.Path
	case u.Port() == "":
		return errs.Newf(errs.Invalid, "endpoint %q names no port; etcd's is usually 2379", endpoint)
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return errs.Newf(errs.Unavailable, "reaching etcd at %s: %w", endpoint, err)
	}
	defer func() { _ = conn.Close() }()
	if u.Scheme == "https" {
		secure = secure.Clone()
		secure.ServerName, secure.NextProtos = u.Hostname(), []string{"h2"}
		conn = tls.Client(conn, secure)
	}
	return c.greeted(endpoint, greet(ctx, conn))
}

// settings is how a client of HTTP/2 begins (RFC 9113 §3.4), with no settings.
const settings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

var errProtocol = errors.New("it does not speak HTTP/2")

// greet begins HTTP/2. Only what is read after a handshake says whether the
// other end takes the client's certificate (TLS 1.3).
func greet(ctx context.Context, conn net.Conn) error {
	until, _ := ctx.Deadline()
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, settings); err != nil {
		return err
	}
	var head [9]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	if head[3] != settings[len(settings)-6] {
		return errProtocol
	}
	return nil
}

// greeted says what to mend.
func (c *Config) greeted(endpoint string, err error) error {
	var untrusted *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	var remote *net.OpError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &untrusted):
		return errs.Newf(errs.Invalid, "etcd at %s is not trusted; is this its CA (%s), and its name in the certificate? %w", endpoint, orSystem(c.CAFile), err)
	case errors.As(err, &plain), errors.Is(err, errProtocol):
		return errs.Newf(errs.Invalid, "%s is no etcd; is it http where https is meant, or the other way round? %w", endpoint, err)
	case errors.As(err, &remote) && remote.Op == "remote error": // crypto/tls: the other end said so
		return errs.Newf(errs.Unauthenticated, "etcd at %s refuses the client certificate, or that there is none; it must be signed by the CA that etcd trusts: %w", endpoint, err)
	}
	if errors.Is(err, io.EOF) {
		return errs.Newf(errs.Unavailable, "%s hangs up; is etcd still starting, or is it http where https is meant, or the other way round? %w", endpoint, err)
	}
	return errs.Newf(errs.Unavailable, "greeting etcd at %s: %w", endpoint, err)
}

func orSystem(ca string) string {
	if ca == "" {
		return "the system's"
	}
	return ca
}

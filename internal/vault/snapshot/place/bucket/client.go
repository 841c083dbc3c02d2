package bucket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// stall is how long nothing may move on a connection before it is given up.
const stall = 2 * time.Minute

// Client goes by the proxies of the environment and follows no redirect: signatures are
// for one host. It trusts the authorities in ca, PEM, beside the machine's.
func Client(ca string) (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 4
	if ca != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(ca)) {
			return nil, errs.New(errs.Invalid, "the CA holds no certificate in PEM")
		}
		t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return moving{c}, nil
	}
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// moving is a connection that ends when nothing moves on it, in either direction.
type moving struct{ net.Conn }

// Read implements net.Conn.
func (m moving) Read(b []byte) (int, error) {
	if err := m.SetDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return m.Conn.Read(b)
}

// Write implements net.Conn. It moves the deadline of a Read that waits, too.
func (m moving) Write(b []byte) (int, error) {
	if err := m.SetDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return m.Conn.Write(b)
}

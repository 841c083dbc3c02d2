package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Config is whom a Client may reach.
type Config struct {
	// CABundle in PEM replaces the system's authorities. Empty: the system's.
	CABundle string
	// Timeout of one request, its answer included; 10 seconds when 0.
	Timeout time.Duration
	// Loopback allows addresses of this machine. For tests.
	Loopback bool
}

const (
	usualTimeout = 10 * time.Second
	// MaxAnswer is the most that is read of an answer, in bytes.
	MaxAnswer  = 256 << 10
	maxHeaders = 16 << 10
)

// Client returns a client that keeps no connection. Invalid is a CABundle that
// is none.
func Client(cfg Config) (*http.Client, error) {
	pool, err := roots(cfg.CABundle)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = usualTimeout
	}
	dialer := &net.Dialer{Timeout: cfg.Timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return permit(address, cfg.Loopback)
	}}
	return &http.Client{
		Timeout: cfg.Timeout,
		Transport: limited{&http.Transport{
			DialContext: dialer.DialContext, Proxy: nil, DisableKeepAlives: true, DisableCompression: true,
			ForceAttemptHTTP2: true, TLSHandshakeTimeout: cfg.Timeout, MaxResponseHeaderBytes: maxHeaders,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func roots(bundle string) (*x509.CertPool, error) {
	if bundle == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(bundle)) {
		return nil, errs.New(errs.Invalid, "there is no certificate in PEM")
	}
	return pool, nil
}

// permit looks at the address that a name was resolved to, so that a name cannot
// be one address when it is checked and another when it is reached.
func permit(address string, loopback bool) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return errs.Newf(errs.Invalid, "%q is no address", address)
	}
	ip := to.Addr().Unmap().WithZone("")
	switch {
	case ip.IsLoopback() && loopback:
		return nil
	case ip.IsLoopback(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), ip == awsMetadata, ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return errs.Newf(errs.Denied, "%s is an address of the operator's own machine or network: it is not reached for others", ip)
	}
	return nil
}

// awsMetadata is the metadata service of EC2 by IPv6; that by IPv4 is link-local.
var awsMetadata = netip.AddrFrom16([16]byte{0xfd, 0x00, 0x0e, 0xc2, 14: 0x02, 15: 0x54})

// URL checks an address: https, a host, and nothing that is not sent as it is
// written. field names it in the error.
func URL(field, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, errs.Newf(errs.Invalid, "%s must be https://HOST/PATH without user and fragment", field) // it may hold a password
	}
	return u, nil
}

// limited bounds answers.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := l.next.RoundTrip(req)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, MaxAnswer)
	}
	return answer, err
}

// ReadAll reads an answer; TooLarge when it is above MaxAnswer.
func ReadAll(answer *http.Response) ([]byte, error) {
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		return text, nil
	}
	if len(text) >= MaxAnswer {
		return nil, errs.Newf(errs.TooLarge, "the answer is above %d bytes", MaxAnswer)
	}
	return nil, errs.New(errs.Unavailable, "the answer broke off")
}

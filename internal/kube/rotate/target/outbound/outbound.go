package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
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
	// Private are the private networks that may be reached; none when empty.
	Private []netip.Prefix
	// Loopback allows addresses of this machine. For tests.
	Loopback bool
	// MaxAnswer is the most that is read of an answer, in bytes; the constant when 0.
	MaxAnswer int64
	// Idle is how many connections are kept for later requests; none when 0.
	Idle int
	// HTTP1 is never HTTP/2, in which requests have no connection of their own.
	HTTP1 bool
}

const (
	usualTimeout = 10 * time.Second
	// MaxAnswer is the most that is usually read of an answer, in bytes.
	MaxAnswer  = 256 << 10
	maxHeaders = 16 << 10
)

// Client returns a client. Who keeps connections closes the idle ones. Invalid is a CABundle that
// is none.
func Client(cfg Config) (*http.Client, error) {
	pool, err := roots(cfg.CABundle)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = usualTimeout
	}
	if cfg.MaxAnswer <= 0 {
		cfg.MaxAnswer = MaxAnswer
	}
	dialer := cfg.Dialer(cfg.Timeout)
	return &http.Client{
		Timeout: cfg.Timeout,
		Transport: limited{max: cfg.MaxAnswer, next: &http.Transport{
			DialContext: dialer.DialContext, Proxy: nil, DisableKeepAlives: cfg.Idle == 0, MaxIdleConnsPerHost: cfg.Idle, IdleConnTimeout: time.Minute, DisableCompression: true,
			ForceAttemptHTTP2: !cfg.HTTP1, TLSHandshakeTimeout: cfg.Timeout, MaxResponseHeaderBytes: maxHeaders,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// Dialer returns one that reaches whom cfg allows, and nobody else.
func (cfg Config) Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		return cfg.permit(address)
	}}
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
func (cfg Config) permit(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return errs.Newf(errs.Invalid, "%q is no address", address)
	}
	ip := plain(to.Addr())
	switch {
	case ip.IsLoopback() && cfg.Loopback:
		return nil
	case ip.IsLoopback(), ip.IsUnspecified(), ip.IsMulticast(), ip.IsLinkLocalUnicast(), within(ip, never):
		return errs.Newf(errs.Denied, "%s is an address of the operator's own machine or network: it is not reached for others", to.Addr())
	case within(ip, private) && !within(ip, cfg.Private):
		return errs.Newf(errs.Denied, "%s is an address of a private network: let the operator reach it with --private-networks=%s, or a wider one", to.Addr(), netip.PrefixFrom(ip, ip.BitLen()))
	}
	return nil
}

// plain is the IPv4 address that an IPv6 address stands for, if it does: mapped
// (RFC 4291), translated (RFC 6052) or tunnelled (RFC 3056).
func plain(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	if !ip.Is6() {
		return ip
	}
	b := ip.As16()
	switch {
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// never are addresses where clouds tell machines who they are, beside the
// link-local ones, and those that reach everybody or nobody.
var never = prefixes(
	"0.0.0.0/8", "255.255.255.255/32",
	"fd00:ec2::/32",      // EC2
	"fd20:ce::254/128",   // Google
	"168.63.129.16/32",   // Azure
	"100.100.100.200/32", // Alibaba
	"192.0.0.192/32",     // Oracle
)

// private are networks that are not the Internet (RFC 1918, 4193, 6598, 2544, 6890).
var private = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "198.18.0.0/15", "192.0.0.0/24", "240.0.0.0/4", "fc00::/7", "fec0::/10", "64:ff9b:1::/48")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

func within(ip netip.Addr, networks []netip.Prefix) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// Networks reads networks such as "10.96.0.0/12", or single addresses; Invalid
// is one that is none.
func Networks(texts []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			ip, again := netip.ParseAddr(text)
			if again != nil || ip.Zone() != "" {
				return nil, errs.Newf(errs.Invalid, "private-networks: %q is no network: write it as 10.96.0.0/12", text)
			}
			p = netip.PrefixFrom(ip, ip.BitLen())
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

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
type limited struct {
	next *http.Transport
	max  int64
}

// CloseIdleConnections lets the client's reach the transport.
func (l limited) CloseIdleConnections() { l.next.CloseIdleConnections() }

func (l limited) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := l.next.RoundTrip(req)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, l.max)
	}
	return answer, err
}

// ReadAll reads an answer; TooLarge when it is above what the client reads.
func ReadAll(answer *http.Response) ([]byte, error) {
	text, err := io.ReadAll(answer.Body)
	if err == nil {
		return text, nil
	}
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return nil, errs.Newf(errs.TooLarge, "the answer is above %d bytes", long.Limit)
	}
	return nil, errs.New(errs.Unavailable, "the answer broke off")
}

// Unreached gives the error of a request that had no answer its kind, and a text
// without the address's path and query, which may hold a token. who names the server.
func Unreached(who string, err error) error {
	if errs.Is(err, errs.Denied) {
		return errs.Newf(errs.Denied, "%s is not reached: %w", who, deepest(err))
	}
	var fault *tls.CertificateVerificationError
	if errors.As(err, &fault) && fault.Err != nil {
		return errs.Newf(errs.Unavailable, "%s is not known by the authorities: %s", who, fault.Err)
	}
	return errs.Newf(errs.Unavailable, "%s does not answer: it is tried again", who)
}

// deepest returns the last error of the chain that has a kind of its own, without
// what a client puts before it: the URL.
func deepest(err error) error {
	var wrapped *net.OpError
	if errors.As(err, &wrapped) && wrapped.Err != nil {
		return wrapped.Err
	}
	return errs.New(errs.Denied, "it has an address of the operator's own machine or network")
}

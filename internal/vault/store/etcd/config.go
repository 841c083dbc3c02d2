package etcd

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// Config says which etcd and where in it. Only Endpoints is needed, or Client.
type Config struct {
	// Client is used instead of Endpoints and all that says how to reach them. It is of
	// an etcd that we have set up ourselves, and stays open when the Store is closed.
	Client *clientv3.Client
	// Endpoints are https://HOST:PORT, http://HOST:PORT or unix:///PATH. All are
	// of one cluster; one that can be reached is enough.
	Endpoints []string
	// Prefix of all keys; a slash is added. Default "strongkeep/".
	Prefix string

	CAFile   string        // PEM; default: the system's
	CertFile string        // PEM, of the client; read at every connection
	KeyFile  string        // PEM
	Username string        // of etcd's own authentication
	Password redact.Secret // of Username

	// Exclusive makes this process the only one that writes below Prefix, for
	// as long as it lives. Opening waits for a predecessor's lease to end. Without, the
	// prefix is one that several write to, from then on for good.
	Exclusive bool
	LeaseTTL  time.Duration // of the owner; whole seconds, 0 = 10 s

	Timeout      time.Duration // of one request to etcd; 0 = 5 s
	StartTimeout time.Duration // until an endpoint must have answered; 0 = 30 s
	History      feed.Config   // what watches can go back to
	Log          *slog.Logger  // nil = slog.Default()
}

// How often signs of life come, and how old one may be for what is kept in memory to be believed
// (cached.Config.MaxSilence). Both are measured from the question that proves it, so that neither
// a slow etcd nor a watch that lags adds to it.
//
// Of a store that several use: what one has written is believed elsewhere for MaxSilenceShared at most,
// whatever fails; a token that is revoked is refused everywhere within a second.
//
// Of a store of one owner: its lease is renewed each third of its time, so one that is cut off has a lease
// for two thirds of it, 6.7 s, at least. Nobody who takes over finds another that believes what it keeps.
const (
	MaxSilenceShared = 900 * time.Millisecond
	MaxSilence       = 6 * time.Second

	pulseShared = 200 * time.Millisecond
	pulseOwned  = time.Second
)

// pulse is how often signs of life come.
func (c *Config) pulse() time.Duration {
	if c.Exclusive {
		return pulseOwned
	}
	return pulseShared
}

const defaultLease = 10 * time.Second

const defaultPrefix = "strongkeep/"

// maxPrefix keeps stored keys short: every one of them bears it.
const maxPrefix = 128

// complete fills in defaults and checks what can be checked without the network.
func (c *Config) complete() error {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	c.Prefix = strings.TrimSuffix(c.Prefix, "/") + "/"
	setDefault(&c.LeaseTTL, defaultLease)
	setDefault(&c.Timeout, 5*time.Second)
	setDefault(&c.StartTimeout, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if err := checkPrefix(c.Prefix); err != nil {
		return err
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errs.New(errs.Invalid, "the client certificate and its key go together: set both or neither")
	}
	if (c.Username == "") != c.Password.Empty() {
		return errs.New(errs.Invalid, "user name and password go together: set both or neither")
	}
	if c.Client != nil {
		return nil
	}
	return c.checkEndpoints()
}

func setDefault(d *time.Duration, v time.Duration) {
	if *d <= 0 {
		*d = v
	}
}

func checkPrefix(p string) error {
	control := strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
	if p == "/" || len(p) > maxPrefix || control || strings.Contains(p, "//") {
		return errs.Newf(errs.Invalid, "the key prefix %q must be a path such as %q: at most %d bytes, no empty segment, no control characters", p, defaultPrefix, maxPrefix)
	}
	return nil
}

func (c *Config) checkEndpoints() error {
	if len(c.Endpoints) == 0 {
		return errs.New(errs.Invalid, "no endpoint of etcd is given; name one such as https://127.0.0.1:2379")
	}
	schemes := map[string]bool{}
	for _, e := range c.Endpoints {
		u, err := parseEndpoint(e)
		if err != nil {
			return err
		}
		schemes[u.Scheme] = true
		if u.Scheme == "http" && !loopback(u.Hostname()) && c.Username != "" {
			return errs.Newf(errs.Invalid, "endpoint %s: a password must not cross the network in the clear; use https", e)
		}
	}
	if schemes["https"] && len(schemes) > 1 {
		return errs.New(errs.Invalid, "some endpoints are https and some are not; a cluster is one or the other")
	}
	if !schemes["https"] && (c.CAFile != "" || c.CertFile != "") {
		return errs.New(errs.Invalid, "certificates are given and no endpoint is https")
	}
	return nil
}

func parseEndpoint(e string) (*url.URL, error) {
	u, err := url.Parse(e)
	if err != nil || !usable(u) || !strings.HasPrefix(e, u.Scheme+"://") { // lower case, as etcd's client wants it
		return nil, errEndpoint(e)
	}
	return u, nil
}

// usable reports whether u names a server and nothing else.
func usable(u *url.URL) bool {
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	if u.Scheme == "unix" {
		return u.Host+u.Path != ""
	}
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && strings.Trim(u.Path, "/") == ""
}

// errEndpoint does not quote an endpoint that may have a password in it.
func errEndpoint(e string) error {
	if strings.Contains(e, "@") {
		return errs.New(errs.Invalid, "an endpoint holds a user; give user name and password by their own settings")
	}
	return errs.Newf(errs.Invalid, "endpoint %q: use https://HOST:PORT, http://HOST:PORT or unix:///PATH", e)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tls returns how to speak to https endpoints, nil if there are none.
func (c *Config) tls() (*tls.Config, error) {
	if !strings.HasPrefix(c.Endpoints[0], "https:") { // all are alike
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "reading the CA of etcd: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errs.Newf(errs.Invalid, "%s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile == "" {
		return t, nil
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "loading the client certificate for etcd (%s, %s): %w", c.CertFile, c.KeyFile, err)
		}
		return &pair, nil
	}
	t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	_, err := load()
	return t, err
}

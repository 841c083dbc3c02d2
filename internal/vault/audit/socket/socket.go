package socket

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
)

// defaultTimeout is that of the option write_timeout.
const defaultTimeout = 2 * time.Second

// Socket writes lines, each ended by a newline, to a socket.
type Socket struct {
	link   Link
	target string
}

// New makes a device of type "socket". Its options:
//
//	address        required; HOST:PORT, or the absolute path of a Unix socket
//	socket_type    tcp (the default), tls, udp or unix
//	write_timeout  of connecting and of each write; default 2s
//	tls_ca         certificates in PEM that the other side must chain to; default the system's
//	tls_server_name  the name it must have; default the address's host
//	allow_lossy    true admits a required device over UDP
func New(setup audit.Setup) (audit.Device, error) {
	o := Options{Type: "socket", Values: setup.Options}
	network := o.Take("socket_type")
	if network == "" {
		network = "tcp"
	}
	address := o.Take("address")
	link, err := Connect(&o, network, address, setup.Required)
	if err != nil {
		return nil, err
	}
	if err := o.Rest(); err != nil {
		return nil, err
	}
	return &Socket{link, network + "://" + address}, nil
}

// Write sends lines.
func (s *Socket) Write(lines []byte) error { return s.link.Send(lines, newline) }

func newline(dst, line []byte, _ bool) []byte { return append(append(dst, line...), '\n') }

// Reload connects anew.
func (s *Socket) Reload() error { return s.link.Reload() }

// Target returns TYPE://ADDRESS.
func (s *Socket) Target() string { return s.target }

// Close ends the connection.
func (s *Socket) Close() error { return s.link.Close() }

// Options are those of a device, to be taken one by one.
type Options struct {
	Type   string // of the device, for messages
	Values map[string]string
}

// Take returns an option and removes it; "" if it is not given.
func (o *Options) Take(name string) string {
	v := o.Values[name]
	delete(o.Values, name)
	return v
}

// Rest refuses what nobody took.
func (o *Options) Rest() error {
	for name := range o.Values {
		return errs.Newf(errs.Invalid, "unknown option %q of an audit device of type %s", name, o.Type)
	}
	return nil
}

// Connect takes the options of a connection, write_timeout, tls_ca,
// tls_server_name and allow_lossy, and returns a link that is not connected.
// network is tcp, tls, udp or unix. A required device over UDP is refused
// unless allow_lossy says that lines may be lost without anybody noticing.
func Connect(o *Options, network, address string, required bool) (Link, error) {
	timeout, err := o.timeout()
	if err != nil {
		return Link{}, err
	}
	lossy, err := o.flag("allow_lossy")
	if err != nil {
		return Link{}, err
	}
	if err := checkAddress(network, address); err != nil {
		return Link{}, err
	}
	if network == "udp" && required && !lossy {
		return Link{}, errs.New(errs.Invalid, "UDP loses lines without anybody noticing, which a required audit device must not: "+
			"use required=false, a tcp or tls socket, or allow_lossy=true if requests may go unaudited")
	}
	link := Link{Timeout: timeout}
	if network != "tls" {
		link.Dial = func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, network, address) }
		return link, nil
	}
	config, err := o.tls(address)
	if err != nil {
		return Link{}, err
	}
	dialer := &tls.Dialer{Config: config}
	link.Dial = func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", address) }
	return link, nil
}

func checkAddress(network, address string) error {
	switch network {
	case "tcp", "udp", "tls":
		host, port, err := net.SplitHostPort(address)
		if n, numErr := strconv.ParseUint(port, 10, 16); err != nil || numErr != nil || n == 0 || host == "" {
			return errs.Newf(errs.Invalid, "address %q must be HOST:PORT", address)
		}
	case "unix":
		if !filepath.IsAbs(address) || strings.ContainsRune(address, 0) {
			return errs.Newf(errs.Invalid, "address %q must be the absolute path of a Unix socket", address)
		}
	default:
		return errs.Newf(errs.Invalid, "socket_type %q: use tcp, tls, udp or unix", network)
	}
	return nil
}

// timeout reads write_timeout: a duration, or a number of seconds as Vault has it.
func (o *Options) timeout() (time.Duration, error) {
	text := o.Take("write_timeout")
	if text == "" {
		return defaultTimeout, nil
	}
	d, err := time.ParseDuration(text)
	if n, numErr := strconv.ParseUint(text, 10, 16); numErr == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < time.Millisecond || d > time.Minute {
		return 0, errs.Newf(errs.Invalid, "write_timeout %q must be a duration of at most a minute, such as 2s", text)
	}
	return d, nil
}

func (o *Options) flag(name string) (bool, error) {
	text := o.Take(name)
	if text == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		return false, errs.Newf(errs.Invalid, "the audit option %s must be true or false, not %q", name, text)
	}
	return on, nil
}

func (o *Options) tls(address string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.Take("tls_server_name")}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(address) // checked before
	}
	if pem := o.Take("tls_ca"); pem != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(pem)) {
			return nil, errs.New(errs.Invalid, "tls_ca holds no certificate in PEM")
		}
	}
	return c, nil
}

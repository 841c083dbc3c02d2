package syslog

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/socket"
)

// facilities are the names of RFC 5424, section 6.2.1, by number.
var facilities = []string{
	"KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP",
	"NTP", "SECURITY", "CONSOLE", "CLOCK", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7",
}

// info is the severity of every message.
const info = 6

// maxTag is the most that an APP-NAME may have, in bytes.
const maxTag = 48

// localSockets are where system logs listen.
var localSockets = []string{"/dev/log", "/var/run/syslog", "/var/run/log"}

// Config is what the operator decides; zero values are the system's.
type Config struct {
	Local []string // paths of the local log's socket, the first that answers counts
	Now   func() time.Time
}

// Syslog sends lines as messages.
type Syslog struct {
	link   socket.Link
	target string
	local  bool
	before string // the message up to its time
	after  string // and from there to the line
	now    func() time.Time
	head   []byte
}

// New returns the factory of the device type "syslog". Its options:
//
//	facility  AUTH by default
//	tag       the APP-NAME; "strongkeep" by default
//	address   udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT; default the local log
//
// and those of socket.Connect: write_timeout, tls_ca, tls_server_name, allow_lossy.
func New(cfg Config) audit.Factory {
	if cfg.Local == nil {
		cfg.Local = localSockets
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return func(setup audit.Setup) (audit.Device, error) {
		o := socket.Options{Type: "syslog", Values: setup.Options}
		s := &Syslog{now: cfg.Now}
		if err := s.header(o.Take("facility"), o.Take("tag")); err != nil {
			return nil, err
		}
		if err := s.connect(cfg, &o, setup.Required); err != nil {
			return nil, err
		}
		return s, o.Rest()
	}
}

// header makes what stands in every message: <PRI>1 TIME HOST TAG PID audit - LINE.
func (s *Syslog) header(facility, tag string) error {
	if facility == "" {
		facility = "AUTH"
	}
	n := slices.Index(facilities, strings.ToUpper(facility))
	if n < 0 {
		return errs.Newf(errs.Invalid, "facility %q: use one of %s", facility, strings.Join(facilities, ", "))
	}
	if tag == "" {
		tag = "strongkeep"
	}
	if !printable(tag, maxTag) {
		return errs.Newf(errs.Invalid, "tag must be 1 to %d printable ASCII characters without a space", maxTag)
	}
	host, err := os.Hostname()
	if err != nil || !printable(host, 255) {
		host = "-" // the nil value of RFC 5424
	}
	s.before = "<" + strconv.Itoa(n*8+info) + ">1 "
	s.after = " " + host + " " + tag + " " + strconv.Itoa(os.Getpid()) + " audit - "
	return nil
}

func printable(s string, most int) bool {
	return s != "" && len(s) <= most && strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) < 0
}

func (s *Syslog) connect(cfg Config, o *socket.Options, required bool) (err error) {
	address := o.Take("address")
	if address == "" {
		s.link, err = socket.Connect(o, "unix", cfg.Local[0], required)
		s.link.Dial = func(ctx context.Context) (net.Conn, error) { return dialLocal(ctx, cfg.Local) }
		s.target, s.local = "the local system log", true
		return err
	}
	network, host, ok := strings.Cut(address, "://")
	if !ok || network != "udp" && network != "tcp" && network != "tls" {
		return errs.Newf(errs.Invalid, "address %q must be udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT; without one the local log is used", address)
	}
	s.link, err = socket.Connect(o, network, host, required)
	s.target = "syslog at " + address
	return err
}

// dialLocal connects to the first local log that answers: most take datagrams,
// some a stream.
func dialLocal(ctx context.Context, paths []string) (net.Conn, error) {
	var all []error
	for _, path := range paths {
		for _, network := range []string{"unixgram", "unix"} {
			conn, err := new(net.Dialer).DialContext(ctx, network, path)
			if err == nil {
				return conn, nil
			}
			all = append(all, err)
		}
	}
	return nil, errs.Newf(errs.Unavailable, "no system log listens at %s: %w", strings.Join(paths, ", "), errors.Join(all...))
}

// Write sends each line as a message.
func (s *Syslog) Write(lines []byte) error {
	s.head = append(s.head[:0], s.before...)
	s.head = s.now().UTC().AppendFormat(s.head, "2006-01-02T15:04:05.000000Z")
	s.head = append(s.head, s.after...)
	return s.link.Send(lines, s.frame)
}

// frame puts the header before a line, and where the socket does not keep
// messages apart what does: their length, or locally a line end.
func (s *Syslog) frame(dst, line []byte, stream bool) []byte {
	counted := stream && !s.local
	if counted {
		dst = strconv.AppendInt(dst, int64(len(s.head)+len(line)), 10)
		dst = append(dst, ' ')
	}
	dst = append(append(dst, s.head...), line...)
	if stream && !counted {
		dst = append(dst, '\n')
	}
	return dst
}

// Reload connects anew.
func (s *Syslog) Reload() error { return s.link.Reload() }

// Target says where messages go.
func (s *Syslog) Target() string { return s.target }

// Close ends the connection.
func (s *Syslog) Close() error { return s.link.Close() }

package socket_test

import (
	"bufio"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/socket"
)

// peer is the other side: every connection's lines come out of lines.
type peer struct {
	net.Listener
	lines chan string
	conns chan net.Conn
}

func listen(t testing.TB, network, address string, config *tls.Config) *peer {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	p := &peer{l, make(chan string, 1000), make(chan net.Conn, 10)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.conns <- c
			go func() {
				for s := bufio.NewScanner(c); s.Scan(); {
					p.lines <- s.Text()
				}
			}()
		}
	}()
	return p
}

func (p *peer) want(t *testing.T, lines ...string) {
	t.Helper()
	for _, want := range lines {
		select {
		case got := <-p.lines:
			if got != want {
				t.Fatalf("got %q, want %q", got, want)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q never came", want)
		}
	}
}

func device(t *testing.T, options ...string) audit.Device {
	t.Helper()
	o := map[string]string{}
	for i := 0; i < len(options); i += 2 {
		o[options[i]] = options[i+1]
	}
	d, err := socket.New(audit.Setup{Options: o, Required: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func write(t *testing.T, d audit.Device, lines string) {
	t.Helper()
	if err := d.Write([]byte(lines)); err != nil {
		t.Fatalf("writing %q: %v", lines, err)
	}
}

// certificate is one for 127.0.0.1, and its PEM.
func certificate(t *testing.T) (*tls.Config, string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates}, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}))
}

func TestStreams(t *testing.T) {
	config, ca := certificate(t)
	path := filepath.Join(t.TempDir(), "s")
	for network, c := range map[string]struct {
		peer    *peer
		options []string
	}{
		"tcp":  {listen(t, "tcp", "127.0.0.1:0", nil), nil},
		"tls":  {listen(t, "tcp", "127.0.0.1:0", config), []string{"tls_ca", ca}},
		"unix": {listen(t, "unix", path, nil), nil},
	} {
		t.Run(network, func(t *testing.T) {
			address := c.peer.Addr().String()
			d := device(t, append([]string{"socket_type", network, "address", address}, c.options...)...)
			if d.Target() != network+"://"+address {
				t.Errorf("target %q", d.Target())
			}
			write(t, d, "1\n2\n")
			write(t, d, "3\n")
			c.peer.want(t, "1", "2", "3")
			// The other side goes and comes back: no line is lost.
			first := <-c.peer.conns
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			write(t, d, "4\n")
			c.peer.want(t, "4")
			if err := d.Reload(); err != nil {
				t.Fatal(err)
			}
			write(t, d, "5\n")
			c.peer.want(t, "5")
			// While nobody listens lines are refused, with a reason.
			if err := c.peer.Close(); err != nil {
				t.Fatal(err)
			}
			if err := d.Reload(); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), address) {
				t.Errorf("nobody listens: %v, want only the reason", err)
			}
		})
	}
}

func TestDatagrams(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d := device(t, "socket_type", "udp", "address", c.LocalAddr().String(), "allow_lossy", "true")
	write(t, d, "1\n22\n")
	buf := make([]byte, 100)
	for _, want := range []string{"1\n", "22\n"} {
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, _, err := c.ReadFrom(buf)
		if err != nil || string(buf[:n]) != want {
			t.Errorf("%q %v, want %q", buf[:n], err, want)
		}
	}
	if err := d.Write([]byte(strings.Repeat("x", 70_000) + "\n")); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a line longer than a datagram: %v", err)
	}
	write(t, d, "3\n")
}

// A side that reads nothing holds a write up for write_timeout and no longer.
func TestAStalledPeer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := device(t, "address", l.Addr().String(), "write_timeout", "50ms")
	big := strings.Repeat("x", 64<<20) + "\n"
	err = d.Write([]byte(big))
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("%v, want a timeout", err)
	}
	var ne net.Error
	if errors.As(err, &ne) && !ne.Timeout() || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		options  map[string]string
		required bool
		text     string // of the refusal; "" = accepted
	}{
		"tcp":               {map[string]string{"address": "log.example.com:9000"}, true, ""},
		"seconds":           {map[string]string{"address": "h:9000", "write_timeout": "3"}, true, ""},
		"udp, best effort":  {map[string]string{"address": "h:9000", "socket_type": "udp"}, false, ""},
		"udp, required":     {map[string]string{"address": "h:9000", "socket_type": "udp"}, true, "UDP loses lines"},
		"udp, accepted":     {map[string]string{"address": "h:9000", "socket_type": "udp", "allow_lossy": "true"}, true, ""},
		"lossy not boolean": {map[string]string{"address": "h:9000", "socket_type": "udp", "allow_lossy": "so"}, true, "true or false"},
		"no address":        {map[string]string{}, true, "HOST:PORT"},
		"no port":           {map[string]string{"address": "h"}, true, "HOST:PORT"},
		"port 0":            {map[string]string{"address": "h:0"}, true, "HOST:PORT"},
		"named port":        {map[string]string{"address": "h:http"}, true, "HOST:PORT"},
		"no host":           {map[string]string{"address": ":80"}, true, "HOST:PORT"},
		"relative":          {map[string]string{"address": "s", "socket_type": "unix"}, true, "absolute path"},
		"type":              {map[string]string{"address": "h:1", "socket_type": "sctp"}, true, "socket_type"},
		"timeout":           {map[string]string{"address": "h:1", "write_timeout": "soon"}, true, "write_timeout"},
		"long timeout":      {map[string]string{"address": "h:1", "write_timeout": "2h"}, true, "write_timeout"},
		"no timeout":        {map[string]string{"address": "h:1", "write_timeout": "0"}, true, "write_timeout"},
		"ca":                {map[string]string{"address": "h:1", "socket_type": "tls", "tls_ca": "x"}, true, "no certificate"},
		"ca without tls":    {map[string]string{"address": "h:1", "tls_ca": "x"}, true, `"tls_ca"`},
		"unknown":           {map[string]string{"address": "h:1", "colour": "red"}, true, `"colour"`},
	} {
		_, err := socket.New(audit.Setup{Options: c.options, Required: c.required})
		if c.text == "" && err != nil || c.text != "" && (!errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %v, want %q", name, err, c.text)
		}
	}
}

// TLS means that the other side is who it should be.
func TestTheCertificateIsChecked(t *testing.T) {
	config, ca := certificate(t)
	p := listen(t, "tcp", "127.0.0.1:0", config)
	for _, options := range [][]string{
		{"socket_type", "tls", "address", p.Addr().String()},
		{"socket_type", "tls", "address", p.Addr().String(), "tls_ca", ca, "tls_server_name", "other.example.org"},
	} {
		go func() {
			c := <-p.conns
			_ = c.(*tls.Conn).Handshake()
		}()
		if err := device(t, options...).Write([]byte("1\n")); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v", err)
		}
	}
}

package syslog_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/syslog"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func device(t *testing.T, local []string, options map[string]string) audit.Device {
	t.Helper()
	d, err := syslog.New(syslog.Config{Local: local, Now: func() time.Time { return now }})(audit.Setup{Options: options, Required: true})
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

// form is a message of RFC 5424, section 6: PRI, version, time, host, app, process, message ID, structured data, message.
var form = regexp.MustCompile(`^<(\d{1,3})>1 (\S+) (\S+) (\S+) (\d+) audit - (.*)$`)

func check(t *testing.T, message, pri, tag, line string) {
	t.Helper()
	m := form.FindStringSubmatch(message)
	if m == nil || m[1] != pri || m[2] != "2026-03-01T12:00:00.123456Z" || m[4] != tag || m[5] != strconv.Itoa(os.Getpid()) || m[6] != line {
		t.Errorf("message %q, want priority %s, tag %s and line %q", message, pri, tag, line)
	}
}

func TestLocalDatagrams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	open := func() *net.UnixConn {
		c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	read := func(c *net.UnixConn) string {
		buf := make([]byte, 1000)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	c := open()
	d := device(t, []string{"/no/such/socket", path}, nil)
	if err := d.Write([]byte("{\"a\":1}\n{\"b\":2}\n")); err != nil {
		t.Fatal(err)
	}
	check(t, read(c), "38", "strongkeep", `{"a":1}`) // AUTH is 4: 4*8+6
	check(t, read(c), "38", "strongkeep", `{"b":2}`)
	// The log daemon restarts.
	_ = c.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := d.Write([]byte("{}\n")); !errs.Is(err, errs.Unavailable) {
		t.Errorf("without a log: %v", err)
	}
	c = open()
	defer c.Close()
	if err := d.Write([]byte("{\"c\":3}\n")); err != nil {
		t.Fatal(err)
	}
	check(t, read(c), "38", "strongkeep", `{"c":3}`)
}

func accept(t *testing.T, l net.Listener) *bufio.Reader {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return bufio.NewReader(c)
}

func TestLocalStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := device(t, []string{path}, map[string]string{"facility": "local7", "tag": "vault-1"})
	if err := d.Write([]byte("{\"a\":1}\n")); err != nil {
		t.Fatal(err)
	}
	line, err := accept(t, l).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	check(t, strings.TrimSuffix(line, "\n"), "190", "vault-1", `{"a":1}`)
}

// Over TCP a message's length precedes it (RFC 6587, section 3.4.1).
func TestTCPCountsOctets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := device(t, nil, map[string]string{"address": "tcp://" + l.Addr().String(), "facility": "LOCAL0"})
	if err := d.Write([]byte("{\"a\":\"é\"}\n{}\n")); err != nil {
		t.Fatal(err)
	}
	r := accept(t, l)
	for _, want := range []string{`{"a":"é"}`, `{}`} {
		count, err := r.ReadString(' ')
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(count))
		if err != nil {
			t.Fatal(err)
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(r, message); err != nil {
			t.Fatal(err)
		}
		check(t, string(message), "134", "strongkeep", want)
	}
	if err := d.Reload(); err != nil {
		t.Error(err)
	}
	if d.Target() != "syslog at tcp://"+l.Addr().String() {
		t.Errorf("target %q", d.Target())
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		options map[string]string
		text    string // of the refusal; "" = accepted
	}{
		"local":         {nil, ""},
		"tls":           {map[string]string{"address": "tls://h:6514", "tls_server_name": "logs"}, ""},
		"lossy":         {map[string]string{"address": "udp://h:514", "allow_lossy": "true"}, ""},
		"udp":           {map[string]string{"address": "udp://h:514"}, "UDP loses lines"},
		"facility":      {map[string]string{"facility": "LOCAL8"}, "LOCAL7"},
		"long tag":      {map[string]string{"tag": strings.Repeat("x", 49)}, "48"},
		"tag":           {map[string]string{"tag": "a b"}, "without a space"},
		"forged header": {map[string]string{"tag": "x\n<0>1"}, "without a space"},
		"address":       {map[string]string{"address": "h:514"}, "udp://HOST:PORT"},
		"unix":          {map[string]string{"address": "unix:///run/docker.sock"}, "udp://HOST:PORT"},
		"unknown":       {map[string]string{"colour": "red"}, `"colour"`},
	} {
		_, err := syslog.New(syslog.Config{})(audit.Setup{Options: c.options, Required: true})
		if c.text == "" && err != nil || c.text != "" && (!errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: %v, want %q", name, err, c.text)
		}
	}
}

package port_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

func TestFree(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		p, err := port.Free(port.Host(), "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] || p < 21000 || p > 32767 {
			t.Fatalf("port %d: given before (%v), or a client may have it", p, seen[p])
		}
		seen[p] = true
	}
	p, err := port.Free(port.Host())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(port.Host(), strconv.Itoa(p)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// A client of the host does not come from it, so that no client takes the
	// port of a server that is down.
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if from := c.LocalAddr().(*net.TCPAddr).IP.String(); from != "127.0.0.1" {
		t.Errorf("a client comes from %s", from)
	}
}

func TestNoPortOfAHostOfOthers(t *testing.T) {
	if p, err := port.Free("127.0.0.1", "192.0.2.1"); err == nil || !strings.Contains(err.Error(), "192.0.2.1") {
		t.Errorf("%d, %v", p, err)
	}
}

package network_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/network"
)

// two are hosts a and b, with a listener on b that sends back what it gets.
func two(t *testing.T) (*network.Net, *network.Host, *network.Host, string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED without root: hosts of their own need network namespaces")
	}
	n := network.New()
	t.Cleanup(n.Close)
	a, err := n.Host("a", 1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := n.Host("b", 2)
	if err != nil {
		t.Fatal(err)
	}
	var l net.Listener
	err = b.Do(func() (err error) {
		l, err = new(net.ListenConfig).Listen(t.Context(), "tcp", b.Addr.String()+":9")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return n, a, b, l.Addr().String()
}

// echo sends a byte from h and waits for it to come back.
func echo(t *testing.T, h *network.Host, addr string, wait time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	c, err := h.Dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	return once(c, wait)
}

func once(c net.Conn, wait time.Duration) error {
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	if _, err := c.Write([]byte("x")); err != nil { // into a buffer, so it is sent in any case
		return err
	}
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

const (
	long  = 30 * time.Second
	short = 300 * time.Millisecond
)

func TestCut(t *testing.T) {
	n, a, b, addr := two(t)
	if err := echo(t, a, addr, long); err != nil {
		t.Fatal("nothing is wrong with the network, and:", err)
	}
	c, err := a.Dial(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, cut := range [][2]*network.Host{{a, b}, {b, a}} {
		n.Set(cut[0], cut[1], network.Link{Cut: true})
		if err := once(c, short); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("from %s to %s nothing should come, and: %v", cut[0].Name, cut[1].Name, err)
		}
		n.Heal()
		if _, err := io.ReadFull(c, make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a deadline that is over:", err)
		}
		_ = c.SetDeadline(time.Now().Add(long))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Error("what was cut is sent again by TCP:", err)
		}
	}
}

func TestDelay(t *testing.T) {
	n, a, b, addr := two(t)
	const delay = 60 * time.Millisecond
	n.Set(a, b, network.Link{Delay: delay, Jitter: time.Millisecond})
	began := time.Now()
	if err := echo(t, a, addr, long); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 2*delay { // SYN, and the byte; how late it may be is not promised
		t.Errorf("connecting and a byte took %v over a wire that delays each by %v", took, delay)
	}
}

func TestLoss(t *testing.T) {
	n, a, b, addr := two(t)
	n.Set(a, b, network.Link{Loss: 1})
	if err := echo(t, a, addr, short); err == nil {
		t.Error("every packet is lost, and there was an answer")
	}
	n.Set(a, b, network.Link{Loss: 0.2})
	if err := echo(t, a, addr, long); err != nil {
		t.Error("one of five packets is lost, and TCP did not get over it:", err)
	}
}

func TestHostsAreApart(t *testing.T) {
	_, a, _, addr := two(t)
	d := net.Dialer{Timeout: short}
	if c, err := d.DialContext(t.Context(), "tcp", addr); err == nil { // of whoever answers at any address
		if err := once(c, short); err == nil {
			t.Error("the machine itself reaches a host")
		}
		_ = c.Close()
	}
	err := a.Do(func() error {
		_, err := new(net.ListenConfig).Listen(t.Context(), "tcp", addr)
		return err
	})
	if err == nil {
		t.Error("one host listens at the address of another")
	}
}

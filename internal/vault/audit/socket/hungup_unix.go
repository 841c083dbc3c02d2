//go:build unix

package socket

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"time"
)

// hungUp reports whether the other side has closed the connection. The first
// write after that would succeed and its lines be lost.
func hungUp(conn net.Conn) bool {
	t, overTLS := conn.(*tls.Conn)
	if !overTLS {
		_, gone := peek(conn)
		return gone
	}
	for range 100 {
		if waiting, gone := peek(t.NetConn()); !waiting {
			return gone
		}
		// What waits is TLS's own: tickets, or the word that it ends.
		if t.SetReadDeadline(time.Now().Add(10*time.Millisecond)) != nil {
			return true
		}
		var b [1]byte
		var ne net.Error
		if _, err := t.Read(b[:]); err != nil && (!errors.As(err, &ne) || !ne.Timeout()) {
			return true
		}
	}
	return true // who talks that much is no log
}

// peek looks at what can be read without waiting and without taking it.
func peek(conn net.Conn) (waiting, gone bool) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false, true
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		waiting = n > 0
		gone = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	})
	return waiting, gone || err != nil
}

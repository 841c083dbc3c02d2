package socket

import (
	"bytes"
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Dialer connects. It is given a context that ends with the link's timeout.
type Dialer func(ctx context.Context) (net.Conn, error)

// Frame appends what is sent for a line, which has no line end. stream says
// that messages are not kept apart by the socket itself.
type Frame func(dst, line []byte, stream bool) []byte

// Link is a connection that is made when it is needed, and anew after it broke.
// One goroutine at a time uses it.
type Link struct {
	Dial    Dialer
	Timeout time.Duration // of connecting, and of each write

	conn   net.Conn // nil = not connected
	stream bool
	buf    []byte
}

// Send sends every line. Without an error all were written. What was sent
// before a connection broke is sent again over the next: the other side may
// get lines twice. Kinds: TooLarge for a line that no datagram of this socket
// can hold, Unavailable.
func (l *Link) Send(lines []byte, frame Frame) error {
	fresh, err := l.ready()
	if err != nil {
		return err
	}
	err = l.send(lines, frame)
	if err == nil || fresh || errs.Is(err, errs.TooLarge) {
		return err
	}
	// The other side may have been restarted since the last line.
	if _, err := l.ready(); err != nil {
		return err
	}
	return l.send(lines, frame)
}

// ready connects if there is no connection that lives.
func (l *Link) ready() (fresh bool, err error) {
	if l.conn != nil && l.stream && hungUp(l.conn) {
		l.drop()
	}
	if l.conn != nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), l.Timeout)
	defer cancel()
	if l.conn, err = l.Dial(ctx); err != nil {
		l.conn = nil
		return false, errs.As(errs.Unavailable, plain(err))
	}
	network := l.conn.RemoteAddr().Network()
	l.stream = network == "tcp" || network == "unix"
	return true, nil
}

func (l *Link) send(lines []byte, frame Frame) error {
	l.buf = l.buf[:0]
	for line := range bytes.Lines(lines) {
		l.buf = frame(l.buf, bytes.TrimSuffix(line, []byte("\n")), l.stream)
		if l.stream {
			continue
		}
		if err := l.write(l.buf); err != nil {
			return err
		}
		l.buf = l.buf[:0]
	}
	var err error
	if len(l.buf) > 0 {
		err = l.write(l.buf)
	}
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	return err
}

// keepBuffer is the largest buffer kept for the next lines, in bytes.
const keepBuffer = 1 << 20

func (l *Link) write(b []byte) error {
	err := l.conn.SetWriteDeadline(time.Now().Add(l.Timeout))
	if err == nil {
		_, err = l.conn.Write(b)
	}
	if errors.Is(err, syscall.EMSGSIZE) {
		return errs.Newf(errs.TooLarge, "a line of %d bytes is longer than a datagram can be", len(b))
	}
	if err != nil {
		l.drop()
		return errs.As(errs.Unavailable, plain(err))
	}
	return nil
}

// Reload connects anew.
func (l *Link) Reload() error {
	l.drop()
	_, err := l.ready()
	return err
}

// Close ends the connection.
func (l *Link) Close() error {
	l.drop()
	return nil
}

func (l *Link) drop() {
	if l.conn != nil {
		_ = l.conn.Close() // every write that counted has returned
		l.conn = nil
	}
}

// plain leaves out the addresses, which the device's name says.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var sys syscall.Errno
	if errors.As(err, &sys) {
		return sys
	}
	return err
}

package helper

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

const crashed = "strongkeep-pkcs11 has ended: has the module crashed?"

// child is one process and the socket to it.
type child struct {
	pid  int
	conn net.Conn
	kill func()        // idempotent, and does not wait
	done chan struct{} // closed when conn is at its end: no answer comes any more
	hung time.Duration // so long a call may be without an answer

	writing sync.Mutex // one message at a time

	mu      sync.Mutex
	next    uint32
	pending map[uint32]*call
	why     error // that it ended with; nil: it has not
}

// call is a request without an answer.
type call struct {
	answer chan result // room for one
	timer  *time.Timer // kills the child
	free   func()      // gives its slot back
}

type result struct {
	wire.Message
	err error
}

func newChild(pid int, conn net.Conn, hung time.Duration, kill func()) *child {
	return &child{pid: pid, conn: conn, kill: kill, hung: hung, done: make(chan struct{}), pending: map[uint32]*call{}}
}

// greet reads the program's first word.
func (c *child) greet(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	m, err := wire.Read(c.conn)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errs.New(errs.Unavailable, "strongkeep-pkcs11 ended before it said a word: does it run here? Try: strongkeep-pkcs11 version")
	case err != nil:
		return errs.Newf(errs.Unavailable, "strongkeep-pkcs11 says nothing: %w", err)
	}
	f, err := m.Want(2)
	if err != nil || m.Kind != wire.Hello || string(f[0]) != wire.Magic || len(f[1]) != 1 {
		return errs.New(errs.Unsupported, "the program is no strongkeep-pkcs11: it says something else")
	}
	if f[1][0] != wire.Protocol {
		return errs.Newf(errs.Unsupported, "strongkeep-pkcs11 speaks version %d of the protocol, and this Strongkeep version %d: install both of one release", f[1][0], wire.Protocol)
	}
	return nil
}

// read takes answers until the socket's end. It is a goroutine of whoever waits for the process.
func (c *child) read() {
	defer close(c.done)
	for {
		m, err := wire.Read(c.conn)
		if err != nil {
			if errs.Is(err, errs.Invalid) {
				err = errs.Newf(errs.Internal, "strongkeep-pkcs11 answers what is no answer: %w", err)
			} else {
				err = errs.New(errs.Unavailable, crashed)
			}
			c.end(err)
			return
		}
		if w := c.take(m.ID); w != nil {
			w.finish(result{Message: m})
		}
	}
}

// take returns the call with an ID; nil if there is none.
func (c *child) take(id uint32) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.pending[id]
	delete(c.pending, id)
	return w
}

func (w *call) finish(r result) {
	w.timer.Stop()
	w.free()
	w.answer <- r
}

// end kills the process and ends its calls. Only the first reason counts.
func (c *child) end(why error) {
	c.mu.Lock()
	if c.why != nil {
		c.mu.Unlock()
		return
	}
	c.why = why
	all := c.pending
	c.pending = map[uint32]*call{}
	c.mu.Unlock()
	c.kill()
	_ = c.conn.Close()
	for _, w := range all {
		w.finish(result{err: why})
	}
}

func (c *child) ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why != nil
}

// ask sends a request and waits for its answer until ctx ends; the child has longer for
// it. free is called once, when the child has answered or ended. What comes of a child
// that has ended is a wire.Failure that says so.
func (c *child) ask(ctx context.Context, m wire.Message, free func()) (wire.Message, error) {
	return c.within(ctx, m, c.hung, free)
}

// within is ask of a child that hangs if it has no answer by then.
func (c *child) within(ctx context.Context, m wire.Message, hung time.Duration, free func()) (wire.Message, error) {
	w := &call{answer: make(chan result, 1), free: free}
	c.mu.Lock()
	if c.why != nil {
		defer c.mu.Unlock()
		free()
		return wire.Message{}, wire.Lost(c.why)
	}
	c.next++
	m.ID = c.next
	w.timer = time.AfterFunc(hung, func() {
		c.end(errs.Newf(errs.Unavailable, "the PKCS#11 module has not answered for %v, and was ended", hung))
	})
	c.pending[m.ID] = w
	c.mu.Unlock()
	if err := c.send(m); errs.Is(err, errs.TooLarge) {
		if w := c.take(m.ID); w != nil {
			w.finish(result{})
		}
		return wire.Message{}, err
	} else if err != nil {
		c.end(errs.New(errs.Unavailable, "strongkeep-pkcs11 takes no requests: has the module crashed?"))
	}
	select {
	case r := <-w.answer:
		return c.read1(r)
	case <-ctx.Done():
		return wire.Message{}, errs.Newf(errs.Unavailable, "asking the PKCS#11 module: %w", ctx.Err())
	}
}

// read1 is what an answer says.
func (c *child) read1(r result) (wire.Message, error) {
	switch {
	case r.err != nil:
		return wire.Message{}, wire.Lost(r.err)
	case r.Kind == wire.Failed:
		return wire.Message{}, r.Failure()
	case r.Kind != wire.Done:
		return wire.Message{}, wire.Lost(errs.Newf(errs.Internal, "strongkeep-pkcs11 answered with a message of kind %d", r.Kind))
	}
	return r.Message, nil
}

func (c *child) send(m wire.Message) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.hung))
	return wire.Write(c.conn, m)
}

// open has the child load the module and log in.
func (c *child) open(ctx context.Context, o wire.Opening, patience time.Duration) error {
	_, err := c.within(ctx, wire.Message{Kind: wire.Open, Fields: o.Fields()}, patience, func() {})
	return err
}

// failure is err as the child or its end made it.
func failure(err error) (*wire.Failure, bool) {
	var f *wire.Failure
	ok := errors.As(err, &f)
	return f, ok
}

package database_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/test/nodes/fleet"
)

// point is where of a change the wire to PostgreSQL holds: a change takes two messages of the
// vault, its statements and the commit.
type point string

const (
	statement point = "statement" // the statements have not come to the server
	answer    point = "answer"    // the server has done them, and waits for the commit
	commit    point = "commit"    // the commit has not come to the server
)

// hold keeps the first change that has a word, and all that the server says on its connection,
// until it is let go.
type hold struct {
	word   string
	at     point
	caught chan struct{} // closed when it is held
	free   chan struct{} // closed to let it go
	letGo  func()
}

func newHold(word string, at point) *hold {
	h := &hold{word: word, at: at, caught: make(chan struct{}), free: make(chan struct{})}
	h.letGo = sync.OnceFunc(func() { close(h.free) })
	return h
}

// proxy is the wire to PostgreSQL.
type proxy struct {
	address, to string

	mu    sync.Mutex
	holds []*hold
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	p := &proxy{address: fleet.Address(t), to: to}
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // connections end with the nodes, which end before
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(client)
		}
	}()
	return p
}

func (p *proxy) hold(h *hold) *hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = append(p.holds, h)
	return h
}

// take is the hold on a message, which is for one change only.
func (p *proxy) take(message []byte) *hold {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, h := range p.holds {
		if bytes.Contains(message, []byte(h.word)) {
			p.holds = append(p.holds[:i:i], p.holds[i+1:]...)
			return h
		}
	}
	return nil
}

// held says whether answers may pass.
type held struct {
	mu   sync.Mutex
	free chan struct{} // nil = they may
}

func (h *held) set(free chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = free
}

func (h *held) wait() {
	h.mu.Lock()
	free := h.free
	h.mu.Unlock()
	if free != nil {
		<-free
	}
}

func (p *proxy) carry(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	answers := &held{}
	go func() {
		defer func() { _ = client.Close() }()
		buffer := make([]byte, 64<<10)
		for {
			n, err := server.Read(buffer)
			answers.wait()
			if _, lost := client.Write(buffer[:n]); err != nil || lost != nil {
				return
			}
		}
	}()
	p.messages(client, server, answers)
}

// messages carries those of a client: the first without a type, then type and length.
func (p *proxy) messages(client io.Reader, server io.Writer, answers *held) {
	var committing *hold
	for header := 4; ; header = 5 {
		m, err := message(client, header)
		if err != nil {
			return
		}
		h := committing
		if committing = nil; h == nil && header == 5 {
			if h = p.take(m); h != nil && h.at == commit {
				committing, h = h, nil
			}
		}
		if h != nil {
			answers.set(h.free)
			close(h.caught)
			if h.at != answer {
				<-h.free
			}
		}
		if _, err := server.Write(m); err != nil {
			return
		}
	}
}

func message(from io.Reader, header int) ([]byte, error) {
	m := make([]byte, header)
	if _, err := io.ReadFull(from, m); err != nil {
		return nil, err
	}
	length := binary.BigEndian.Uint32(m[header-4:])
	if length < 4 || length > 1<<20 {
		return nil, io.ErrUnexpectedEOF
	}
	body := make([]byte, length-4)
	_, err := io.ReadFull(from, body)
	return append(m, body...), err
}

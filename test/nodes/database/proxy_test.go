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
	done      point = "done"      // the server has committed, and the vault does not know
)

// hold keeps the first change that has a word: its statements until it is told to go on, and at its
// point until it is let go. So changes can be held together whose points the vault waits at for
// different times (10 s for a commit, 30 s for the rest).
type hold struct {
	word    string
	at      point
	caught  chan struct{} // closed when its statements are held
	goOn    func()
	on      chan struct{}
	reach   func()
	reached chan struct{} // closed when it is held at its point
	letGo   func()
	free    chan struct{}
}

func newHold(word string, at point) *hold {
	h := &hold{word: word, at: at, caught: make(chan struct{}), on: make(chan struct{}), reached: make(chan struct{}), free: make(chan struct{})}
	h.goOn = sync.OnceFunc(func() { close(h.on) })
	h.reach = sync.OnceFunc(func() { close(h.reached) })
	h.letGo = sync.OnceFunc(func() { h.goOn(); close(h.free) })
	return h
}

// stay is for who carries the message at the point.
func (h *hold) stay() {
	h.reach()
	<-h.free
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
	mu sync.Mutex
	by *hold // nil = they may
}

func (h *held) set(by *hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.by = by
}

func (h *held) wait() {
	h.mu.Lock()
	by := h.by
	h.mu.Unlock()
	if by != nil {
		by.stay()
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
		switch {
		case committing != nil:
			answers.set(committing)
			if committing.at == commit {
				committing.stay()
			}
			committing = nil
		case header == 5:
			committing = p.statements(m, answers)
		}
		if _, err := server.Write(m); err != nil {
			return
		}
	}
}

// statements holds a message, if it is one to be held; what it returns is to be held at its commit.
func (p *proxy) statements(m []byte, answers *held) *hold {
	h := p.take(m)
	if h == nil {
		return nil
	}
	close(h.caught)
	<-h.on
	switch h.at {
	case statement:
		answers.set(h)
		h.stay()
	case answer:
		answers.set(h)
	case commit, done:
		return h
	}
	return nil
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

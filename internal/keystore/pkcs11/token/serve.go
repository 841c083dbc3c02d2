//go:build linux && cgo

package token

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// server answers requests, several at once.
type server struct {
	conn  io.ReadWriter
	key   *key // nil until Open
	slots chan struct{}

	writing sync.Mutex // one message at a time
}

// serve answers until there are no requests any more, or the token is lost. It does not wait
// for calls under way, which may hang: the process ends with it.
func serve(conn io.ReadWriter) {
	s := &server{conn: conn, slots: make(chan struct{}, wire.MaxCalls)}
	if s.say(wire.Message{Kind: wire.Hello, Fields: [][]byte{[]byte(wire.Magic), {wire.Protocol}}}) != nil {
		return
	}
	m, err := wire.Read(conn)
	if err != nil || m.Kind != wire.Open {
		return
	}
	o, err := m.Opening()
	if err == nil {
		s.key, err = open(o)
	}
	for _, field := range m.Fields {
		clear(field) // the PIN
	}
	if err != nil {
		_ = s.say(wire.Fail(m.ID, err))
		return
	}
	if s.say(wire.Message{ID: m.ID, Kind: wire.Done}) != nil {
		return
	}
	for {
		m, err := wire.Read(conn)
		if err != nil {
			return
		}
		select {
		case s.slots <- struct{}{}:
			go s.answer(m)
		default:
			_ = s.say(wire.Fail(m.ID, errs.Newf(errs.Exhausted, "more than %d calls at once", wire.MaxCalls)))
		}
	}
}

// answer does what one request asks. If the token is lost the process ends: what
// state a module is in then nobody knows, and a new one begins anew.
func (s *server) answer(m wire.Message) {
	fields, err := s.do(m)
	<-s.slots // before it is answered: who gets the answer may ask again
	var f *wire.Failure
	switch {
	case err == nil:
		err = s.say(wire.Message{ID: m.ID, Kind: wire.Done, Fields: fields})
	default:
		lost := errors.As(err, &f) && f.Lost
		if err = s.say(wire.Fail(m.ID, err)); lost {
			os.Exit(0)
		}
	}
	for _, f := range append(fields, m.Fields...) {
		clear(f)
	}
	if err != nil {
		os.Exit(1) // nobody listens
	}
}

func (s *server) do(m wire.Message) ([][]byte, error) {
	switch m.Kind {
	case wire.List:
		all, err := s.key.list()
		if err != nil {
			return nil, err
		}
		return wire.Versions(all), nil
	case wire.Wrap:
		f, err := m.Want(3)
		if err != nil {
			return nil, err
		}
		id, err := wire.DecodeID(f[0])
		if err != nil {
			return nil, err
		}
		iv, ciphertext, err := s.key.wrap(id, f[1], f[2])
		if err != nil {
			return nil, err
		}
		return [][]byte{iv, ciphertext}, nil
	case wire.Unwrap:
		f, err := m.Want(4)
		if err != nil {
			return nil, err
		}
		id, err := wire.DecodeID(f[0])
		if err != nil {
			return nil, err
		}
		plain, err := s.key.unwrap(id, f[1], sealed{iv: f[2], ciphertext: f[3]})
		if err != nil {
			return nil, err
		}
		return [][]byte{plain}, nil
	}
	return nil, errs.Newf(errs.Unsupported, "strongkeep-pkcs11 knows no request of kind %d", m.Kind)
}

func (s *server) say(m wire.Message) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return wire.Write(s.conn, m)
}

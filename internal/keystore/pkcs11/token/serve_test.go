//go:build linux && cgo

package token

import (
	"bytes"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// conn gives what a test has written and keeps what it is answered.
type conn struct {
	*bytes.Reader
	answers bytes.Buffer
}

func (c *conn) Write(b []byte) (int, error) { return c.answers.Write(b) }

// said are the messages that the program has sent.
func (c *conn) said(t *testing.T) (all []wire.Message) {
	t.Helper()
	for c.answers.Len() > 0 {
		m, err := wire.Read(&c.answers)
		if err != nil {
			t.Fatal("an answer is no message:", err)
		}
		all = append(all, m)
	}
	return all
}

// A module that is none is told, and nothing else is served.
func TestNoModule(t *testing.T) {
	var sent []byte
	for _, m := range []wire.Message{
		{ID: 1, Kind: wire.Open, Fields: wire.Opening{Module: "/dev/null", Label: "x", Name: "y", PIN: []byte("canary")}.Fields()}, {ID: 2, Kind: wire.List},
	} {
		var err error
		if sent, err = wire.Append(sent, m); err != nil {
			t.Fatal(err)
		}
	}
	c := &conn{Reader: bytes.NewReader(sent)}
	serve(c)
	if bytes.Contains(c.answers.Bytes(), []byte("canary")) {
		t.Error("the PIN is in an answer")
	}
	all := c.said(t)
	if len(all) != 2 || all[0].Kind != wire.Hello || all[1].Kind != wire.Failed || !errs.Is(all[1].Failure(), errs.Unsupported) {
		t.Errorf("it answered %+v", all)
	}
}

// Whatever is sent to the program before a module is loaded, it greets, answers once at most, and ends.
func FuzzServe(f *testing.F) {
	for _, m := range []wire.Message{
		{ID: 1, Kind: wire.Open, Fields: wire.Opening{Label: "x"}.Fields()}, {ID: 1, Kind: wire.Open}, {Kind: wire.List},
		{Kind: wire.Wrap, Fields: [][]byte{make([]byte, wire.IDSize), {1}, {2}}},
	} {
		raw, err := wire.Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if m, err := wire.Read(bytes.NewReader(raw)); err == nil {
			if o, err := m.Opening(); err == nil && o.Module != "" {
				return // nothing is loaded here
			}
		}
		c := &conn{Reader: bytes.NewReader(raw)}
		serve(c)
		if all := c.said(t); len(all) == 0 || len(all) > 2 || all[0].Kind != wire.Hello {
			t.Errorf("it answered %+v", all)
		}
	})
}

// Whatever a request has for fields, it is refused before the token is asked.
func FuzzRequest(f *testing.F) {
	f.Add(byte(wire.Wrap), []byte("x"), []byte("y"))
	f.Add(byte(wire.Unwrap), []byte("x"), []byte("y"))
	f.Add(byte(wire.Hello), []byte{}, []byte{})
	f.Fuzz(func(t *testing.T, kind byte, one, two []byte) {
		if wire.Kind(kind) == wire.List {
			return
		}
		for _, fields := range [][][]byte{nil, {one}, {one, two}, {one, two, one, two, one}} {
			if got, err := new(server).do(wire.Message{Kind: wire.Kind(kind), Fields: fields}); err == nil {
				t.Errorf("a request of kind %d with %d fields was answered with %q", kind, len(fields), got)
			}
		}
	})
}

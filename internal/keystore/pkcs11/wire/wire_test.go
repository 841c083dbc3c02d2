package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

func TestMessages(t *testing.T) {
	var stream bytes.Buffer
	sent := []wire.Message{
		{ID: 1, Kind: wire.Hello, Fields: [][]byte{[]byte(wire.Magic), {wire.Protocol}}},
		{ID: 0xffffffff, Kind: wire.List},
		{ID: 2, Kind: wire.Wrap, Fields: [][]byte{{}, bytes.Repeat([]byte{1}, 60_000), []byte("x")}},
	}
	for _, m := range sent {
		if err := wire.Write(&stream, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range sent {
		got, err := wire.Read(&stream)
		if err != nil || got.ID != want.ID || got.Kind != want.Kind || len(got.Fields) != len(want.Fields) {
			t.Fatalf("message %d came as %d, %v", want.ID, got.ID, err)
		}
		for i, f := range want.Fields {
			if !bytes.Equal(got.Fields[i], f) {
				t.Errorf("message %d: field %d is another", want.ID, i)
			}
		}
	}
	if _, err := wire.Read(&stream); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last message: %v", err)
	}
	for _, m := range []wire.Message{{Fields: [][]byte{make([]byte, wire.MaxFrame)}}, {Fields: make([][]byte, wire.MaxFields+1)}} {
		if err := wire.Write(&stream, m); !errs.Is(err, errs.TooLarge) || stream.Len() > 0 {
			t.Errorf("a message of %d fields was sent: %v", len(m.Fields), err)
		}
	}
}

func TestNoMessages(t *testing.T) {
	for name, raw := range map[string]string{
		"short": "\x00\x00\x00\x01x", "huge": "\xff\xff\xff\xff", "no kind": "\x00\x00\x00\x07aaaa\x00\x00\x00", "unknown kind": "\x00\x00\x00\x07aaaa\xff\x00\x00",
		"fields that are not there": "\x00\x00\x00\x07aaaa\x03\x00\x01", "a field that is cut": "\x00\x00\x00\x0caaaa\x03\x00\x01\x00\x00\x00\x02x",
		"more than fields": "\x00\x00\x00\x08aaaa\x03\x00\x00x",
	} {
		if _, err := wire.Read(strings.NewReader(raw)); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, err := range []error{
		errs.New(errs.Denied, "no"), errs.New(errs.Unsupported, "never"), errs.New(errs.Internal, "bug"), errors.New("plain"),
		wire.Lost(errs.New(errs.Unavailable, "gone")), wire.Refused(errs.New(errs.Denied, "PIN")), fmt.Errorf("doing: %w", wire.Lost(errs.New(errs.NotExist, "gone"))),
	} {
		got := wire.Fail(7, err).Failure()
		var was *wire.Failure
		if !errors.As(err, &was) {
			was = &wire.Failure{}
		}
		if errs.KindOf(got) != errs.KindOf(err) || got.Error() != err.Error() || got.Lost != was.Lost || got.PIN != was.PIN {
			t.Errorf("%v came as %v of kind %v, lost %v, PIN %v", err, got, errs.KindOf(got), got.Lost, got.PIN)
		}
	}
	long := wire.Fail(1, errs.New(errs.Denied, "\x1b[2J"+strings.Repeat("x", 5000))).Failure()
	if len(long.Error()) > 1100 || strings.Contains(long.Error(), "\x1b") {
		t.Error("a failure's text is as long as it likes, or steers the terminal")
	}
	for _, fields := range [][][]byte{nil, {{1}, nil}, {{200, 0}, nil}, {{1, 0}}} {
		if f := (wire.Message{Kind: wire.Failed, Fields: fields}).Failure(); !errs.Is(f, errs.Internal) || !f.Lost {
			t.Errorf("a failure that is none: %v", f)
		}
	}
}

func TestVersions(t *testing.T) {
	all := []wire.Version{{ID: wire.ID{Number: 1, Print: [8]byte{1, 2, 3}}}, {ID: wire.ID{Number: 4_000_000_000}, Refused: "because"}}
	got, err := wire.ParseVersions(wire.Versions(all))
	if err != nil || !reflect.DeepEqual(got, all) {
		t.Errorf("versions came as %+v, %v", got, err)
	}
	for _, v := range all {
		if got, err := wire.ParseID(v.String()); err != nil || got != v.ID {
			t.Errorf("%s was read as %+v, %v", v, got, err)
		}
	}
	for _, text := range []string{"", "1", "1-", "-0102030405060708", "01-0102030405060708", "1-010203040506070", "1-010203040506070A", "5000000000-0102030405060708", "1-010203040506070809"} {
		if v, err := wire.ParseID(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q is version %+v, %v", text, v, err)
		}
	}
}

func TestOpening(t *testing.T) {
	for _, o := range []wire.Opening{
		{Module: "/x", Label: "a", Serial: "b", Name: "c", KeyID: []byte{1}, PIN: []byte("d"), CheckValue: true}, {Module: "/x", KeyID: []byte{2}, PIN: []byte("d")},
	} {
		if got, err := (wire.Message{Kind: wire.Open, Fields: o.Fields()}).Opening(); err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%+v came as %+v, %v", o, got, err)
		}
	}
	f := wire.Opening{Module: "/x"}.Fields()
	f[len(f)-1] = []byte("another")
	for _, fields := range [][][]byte{f, f[:len(f)-1]} {
		if o, err := (wire.Message{Kind: wire.Open, Fields: fields}).Opening(); !errs.Is(err, errs.Invalid) {
			t.Errorf("a fingerprint that nobody knows: %+v, %v", o, err)
		}
	}
}

// Whatever comes is a message that says the same again, or an error.
func FuzzRead(f *testing.F) {
	for _, m := range []wire.Message{
		{Kind: wire.Hello, Fields: [][]byte{[]byte(wire.Magic), {1}}}, {Kind: wire.Open, Fields: wire.Opening{Module: "/x"}.Fields()},
		wire.Fail(3, wire.Lost(errs.New(errs.Denied, "no"))), {Kind: wire.Done, Fields: wire.Versions([]wire.Version{{Refused: "x"}})},
	} {
		raw, err := wire.Append(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("\x00\x00\x00\x07aaaa\x03\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := wire.Read(bytes.NewReader(raw))
		if err != nil {
			return
		}
		again, err := wire.Append(nil, m)
		if err != nil || !bytes.HasPrefix(raw, again) {
			t.Errorf("a message of kind %d says something else when it is sent on: %v", m.Kind, err)
		}
		_ = m.Failure().Error()
		_, _ = m.Opening()
		if all, err := wire.ParseVersions(m.Fields); err == nil && len(all)*2 != len(m.Fields) {
			t.Errorf("%d fields are %d versions", len(m.Fields), len(all))
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("3-0102030405060708")
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := wire.ParseID(text); err == nil && v.String() != text {
			t.Errorf("%q is version %s", text, v)
		}
	})
}

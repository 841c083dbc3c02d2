package helper

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// What others could have written is neither run nor loaded.
func TestTrusted(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	write := func(mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, nil, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(0o755)
	if got, err := trusted("program", path); err != nil || got != path {
		t.Fatalf("a program of ours: %q, %v", got, err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if got, err := trusted("program", link); err != nil || got != path {
		t.Errorf("a link to it leads to %q, %v", got, err)
	}
	refused := func(name, say string, kind errs.Kind, at string) {
		t.Helper()
		if _, err := trusted("module", at); !errs.Is(err, kind) || !strings.Contains(fmt.Sprint(err), say) {
			t.Errorf("%s: %v, want kind %v saying %q", name, err, kind, say)
		}
	}
	write(0o775)
	refused("one that its group can write", "chmod go-w "+path, errs.Denied, path)
	refused("a link to one", "chmod go-w "+path, errs.Denied, link)
	write(0o755)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	refused("one that others can exchange", "chmod go-w "+dir, errs.Denied, path)
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if _, err := trusted("program", path); err != nil {
		t.Errorf("where each removes only what is theirs: %v", err)
	}
	refused("a directory", "no regular file", errs.Invalid, dir)
	refused("nothing", "install", errs.Unavailable, filepath.Join(dir, "none"))
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED without root: a program of somebody else's")
	}
	if err := os.Chown(path, 12345, -1); err != nil {
		t.Fatal(err)
	}
	refused("one of somebody else's", "user 12345", errs.Denied, path)
}

// a rest is longer after each failure, and none behind a child that worked.
func TestRest(t *testing.T) {
	now := time.Unix(0, 0)
	s := New(Config{Now: func() time.Time { return now }})
	var rests []time.Duration
	for range 12 {
		s.rest(errs.New(errs.Unavailable, "x"))
		rests = append(rests, s.notUntil.Sub(now))
	}
	if rests[0] != 0 || rests[1] != firstRest || rests[2] != 2*firstRest || rests[11] != longestRest {
		t.Errorf("rests are %v", rests)
	}
}

// A PIN's mark is made without a copy of it, which nobody would wipe.
func TestMark(t *testing.T) {
	s := New(Config{})
	pin := bytes.Repeat([]byte("pin"), 1<<20)
	whole := sha256.Sum256(append(s.salt[:], pin...))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := s.mark(pin)
	runtime.ReadMemStats(&after)
	if got != whole || got == New(Config{}).mark(pin) {
		t.Error("the mark is not that of salt and PIN")
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > uint64(len(pin))/2 {
		t.Errorf("the mark of %d bytes took %d more", len(pin), n)
	}
}

// Whatever a program says, each call ends, and with an error unless it was answered.
func FuzzAnswers(f *testing.F) {
	hello := wire.Message{Kind: wire.Hello, Fields: [][]byte{[]byte(wire.Magic), {wire.Protocol}}}
	for _, m := range []wire.Message{{ID: 1, Kind: wire.Done, Fields: [][]byte{[]byte("x")}}, {ID: 2, Kind: wire.Done}, wire.Fail(1, errs.New(errs.Denied, "no")), {ID: 1, Kind: wire.List}} {
		raw, err := wire.Append(nil, hello)
		if err != nil {
			f.Fatal(err)
		}
		if raw, err = wire.Append(raw, m); err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("\x00\x00\x00\x07aaaa\x01\x00\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ours, theirs := net.Pipe()
		go func() {
			go func() { _, _ = new(bytes.Buffer).ReadFrom(theirs) }()
			_, _ = theirs.Write(raw)
			_ = theirs.Close()
		}()
		c := newChild(1, ours, time.Minute, func() {})
		if err := c.greet(context.Background()); err != nil {
			_ = ours.Close()
			return
		}
		go c.read()
		freed := make(chan struct{})
		answer, err := c.ask(context.Background(), wire.Message{Kind: wire.List}, func() { close(freed) })
		if err == nil && (answer.ID != 1 || answer.Kind != wire.Done) {
			t.Errorf("a message of kind %d is an answer", answer.Kind)
		}
		<-freed
		<-c.done
		if !c.ended() {
			t.Error("the socket has ended and the child has not")
		}
	})
}

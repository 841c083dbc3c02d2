package hashing

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/redact"
)

func testKey() redact.Secret { return redact.New(bytes.Repeat([]byte{5}, KeySize)) }

// mac computes what must stand for value, without this package's code.
func mac(value string) string {
	h := hmac.New(sha256.New, testKey().Reveal())
	h.Write([]byte(value))
	return "hmac-sha256:" + hex.EncodeToString(h.Sum(nil))
}

func TestHashIsStableAndConcurrent(t *testing.T) {
	h := New(testKey())
	inputs := []string{"", "a", "hunter2", strings.Repeat("long ", 50_000)}
	done := make(chan bool)
	for range 8 {
		go func() {
			ok := true
			for i := range 200 {
				in := inputs[i%len(inputs)]
				ok = ok && h.Hash(in) == mac(in)
			}
			done <- ok
		}()
	}
	for range 8 {
		if !<-done {
			t.Fatal("a hash differs from crypto/hmac's")
		}
	}
}

func TestPooledStateKeepsNoSecret(t *testing.T) {
	h := New(testKey())
	s := h.Get()
	s.Line = s.AppendValue(s.Line[:0], []byte(`{"a":"hunter2-canary"}`), Options{})
	s.Line = s.AppendHashString(s.Line, "hvs.canary")
	h.Put(s)
	if scratch := s.scratch[:cap(s.scratch)]; bytes.Contains(scratch, []byte("canary")) {
		t.Error("the working buffer was not wiped")
	}
	if s.in.Len() != 0 || len(s.dec.UnreadBuffer()) != 0 {
		t.Error("the request's bytes are still held")
	}
}

// What the lines of a whole log are tested for stands in package audit; this
// holds for any bytes: the result is JSON without a string of the input's.
func FuzzAppendValue(f *testing.F) {
	for _, seed := range []string{`{"a":"b"}`, `[[[["x"]]]]`, `{"a":`, "\x00", `{"plain":["x",{"y":"z"}]}`, `"\ud83d\ude00"`} {
		f.Add([]byte(seed), true)
	}
	h := New(testKey())
	f.Fuzz(func(t *testing.T, value []byte, elide bool) {
		s := h.Get()
		defer h.Put(s)
		out := s.AppendValue(nil, value, Options{Elide: elide, Plain: []string{"plain"}})
		if !json.Valid(out) && json.Valid(value) || bytes.ContainsAny(out, "\n\r") && !bytes.ContainsAny(value, "\n\r") {
			t.Errorf("%q becomes %q", value, out)
		}
	})
}

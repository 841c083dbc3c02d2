package redact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const canary = "canary-7f3a"

func TestNothingPrintsASecret(t *testing.T) {
	s := FromString(canary)
	holder := struct {
		Public string
		Secret Secret
		Ptr    *Secret
		hidden Secret
	}{"p", s, &s, s}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", holder)
		fmt.Fprintf(&out, verb+"\n", []Secret{s})
		fmt.Fprintf(&out, verb+"\n", map[string]Secret{"k": s})
	}
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "h", holder)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "s", s, "h", holder)
	fmt.Fprintln(&out, fmt.Errorf("x: %v", s))
	for _, leak := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprint([]byte(canary))} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("a secret was printed as %q", leak)
		}
	}
	if !strings.Contains(out.String(), Placeholder) {
		t.Error("the placeholder never appeared: the test prints nothing")
	}
}

func TestSecret(t *testing.T) {
	s := FromString("abc")
	if s.Empty() || s.Len() != 3 || s.RevealString() != "abc" || !(Secret{}).Empty() {
		t.Error("accessors are wrong")
	}
	if !s.Equal(New([]byte("abc"))) || s.Equal(FromString("abd")) || s.Equal(FromString("ab")) {
		t.Error("Equal is wrong")
	}
	s.Wipe()
	if !bytes.Equal(s.Reveal(), make([]byte, 3)) {
		t.Error("Wipe left bytes")
	}
}

package session

import (
	"bytes"
	"strings"
	"testing"
)

// A name with control characters makes no row of its own and wipes none; the value of a
// secret keeps its lines.
func TestCellsCannotSteerTheTerminal(t *testing.T) {
	var out, stderr bytes.Buffer
	s := &Session{Env: Env{Stdout: &out, Stderr: &stderr}, Format: "table"}
	if err := s.Print(nil, Row{"Who"}, []Row{{"User/x\x1b[1A\x1b[2K\nUser/forged\tby nobody"}}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\t") || strings.Count(out.String(), "\n") != 3 {
		t.Errorf("printed as %q", out.String())
	}
	out.Reset()
	if err := s.PrintText(nil, Row{"Key", "Value"}, Pairs(map[string]any{"pem": "-----BEGIN\nabc\x1b[2K\n"})); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "\x1b") || !strings.Contains(out.String(), "-----BEGIN\nabc") {
		t.Errorf("printed as %q", out.String())
	}
	s.Warn([]string{"ServiceAccount a\x1b]0;title\a"})
	if strings.ContainsAny(stderr.String(), "\x1b\a") {
		t.Errorf("warned as %q", stderr.String())
	}
}

package session

import (
	"os"
	"testing"
)

// A file left behind under the name of a temporary one, or a token file that
// others could read, must not lend its mode to the next token.
func TestKeptTokenIsReadByNobodyElse(t *testing.T) {
	s := &Session{Env: Env{Home: t.TempDir()}}
	for _, name := range []string{s.TokenFile(), s.TokenFile() + ".new"} {
		if err := os.WriteFile(name, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.KeepToken("hvs.new"); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.TokenFile())
	if err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(s.TokenFile()); err != nil || string(content) != "hvs.new" || info.Mode().Perm() != 0o600 {
		t.Errorf("kept %q with mode %v (%v)", content, info.Mode(), err)
	}
}

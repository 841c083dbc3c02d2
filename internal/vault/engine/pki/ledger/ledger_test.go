package ledger

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestSerials(t *testing.T) {
	for text, want := range map[string]string{
		"0a:1F": "0a:1f", "0a-1f": "0a:1f", "0A1F": "0a:1f", " 0a:1f ": "0a:1f", "00:0a:1f": "0a:1f", "00": "00",
	} {
		s, err := ParseSerial(text)
		if err != nil || s.Colons() != want {
			t.Errorf("%q: %q, %v", text, s.Colons(), err)
		}
	}
	for _, text := range []string{"", "0", "zz", "../x", "0a:1", strings.Repeat("aa", MaxSerial+1)} {
		if _, err := ParseSerial(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is taken has one spelling, and is safe in a key.
func FuzzSerial(f *testing.F) {
	f.Add("0a:1f")
	f.Add("00:00:01")
	f.Add("../x")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSerial(text)
		if err != nil {
			return
		}
		again, err := ParseSerial(s.Colons())
		if err != nil || again != s || SerialOf(s.Int()) != s || strings.ContainsAny(string(s), "/.:") || len(s) > 2*MaxSerial {
			t.Errorf("%q: %q, %q, %v", text, s, again, err)
		}
	})
}

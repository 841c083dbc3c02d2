package printable_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/printable"
)

func TestNothingSteersTheTerminal(t *testing.T) {
	for _, c := range []struct{ give, line, text string }{
		{"plain, Ünïcode, 名前 🔑\u00a0x", "plain, Ünïcode, 名前 🔑\u00a0x", "plain, Ünïcode, 名前 🔑\u00a0x"},
		{"x\x1b[1A\x1b[2K", "x\uFFFD[1A\uFFFD[2K", "x\uFFFD[1A\uFFFD[2K"},
		{"csi \u009b2J, del \x7f, bell \a", "csi \uFFFD2J, del \uFFFD, bell \uFFFD", "csi \uFFFD2J, del \uFFFD, bell \uFFFD"},
		{"over\rwritten", "over\uFFFDwritten", "over\uFFFDwritten"},
		{"a\r\nb\tc\n", "a\uFFFD\uFFFDb\uFFFDc\uFFFD", "a\nb\tc\n"},
		{"turned \u202e\u2066, separated \u2028, hidden \u200b", "turned \uFFFD\uFFFD, separated \uFFFD, hidden \uFFFD", "turned \uFFFD\uFFFD, separated \uFFFD, hidden \uFFFD"},
		{"bytes \x9b\xff", "bytes \uFFFD\uFFFD", "bytes \uFFFD\uFFFD"},
	} {
		if got := printable.Line(c.give); got != c.line {
			t.Errorf("line of %q: %q", c.give, got)
		}
		if got := printable.Text(c.give); got != c.text {
			t.Errorf("text of %q: %q", c.give, got)
		}
	}
}

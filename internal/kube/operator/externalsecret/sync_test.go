package externalsecret

import (
	"fmt"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// TestWithoutValues guards the last gate before a status: a value that is part
// of another, and one that %q writes otherwise, are taken out whole.
func TestWithoutValues(t *testing.T) {
	data := map[string]redact.Secret{
		"short":  redact.FromString("pass"),
		"long":   redact.FromString("pass-9f8e7d"),
		"quotes": redact.FromString("a\"b\nc\\d"),
		"tiny":   redact.FromString("ab"),
	}
	for text, want := range map[string]string{
		"label is pass-9f8e7d":              "label is [redacted]",
		"pass, then pass-9f8e7d":            "[redacted], then [redacted]",
		fmt.Sprintf("%q", "a\"b\nc\\d"):     `"[redacted]"`,
		fmt.Sprintf("%q", "x a\"b\nc\\d y"): `"x [redacted] y"`,
		"nothing is said, about ab":         "nothing is said, about ab",
	} {
		for range 20 { // maps have no order
			got := withoutValues(errs.New(errs.TooLarge, text), data)
			if got.Error() != want || !errs.Is(got, errs.TooLarge) {
				t.Fatalf("%q becomes %q (%v), want %q", text, got, errs.KindOf(got), want)
			}
		}
	}
}

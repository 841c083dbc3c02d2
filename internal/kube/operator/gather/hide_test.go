package gather

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
	if err := (Result{Data: data}).WithoutValues(nil); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		"label is pass-9f8e7d":              "label is [redacted]",
		"pass, then pass-9f8e7d":            "[redacted], then [redacted]",
		fmt.Sprintf("%q", "a\"b\nc\\d"):     `"[redacted]"`,
		fmt.Sprintf("%q", "x a\"b\nc\\d y"): `"x [redacted] y"`,
		"nothing is said, about ab":         "nothing is said, about ab",
	} {
		for range 20 { // maps have no order
			r := Result{Data: data}
			got := r.WithoutValues(errs.New(errs.TooLarge, text))
			if got.Error() != want || !errs.Is(got, errs.TooLarge) {
				t.Fatalf("%q becomes %q (%v), want %q", text, got, errs.KindOf(got), want)
			}
		}
	}
}

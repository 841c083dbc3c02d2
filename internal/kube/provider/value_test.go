package provider

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// The literal key comes first, then the path, then a key with dots of an object within.
func TestProperty(t *testing.T) {
	v := Value{Data: redact.FromString(`{"a.b":"literal","a":{"b":"path","c.d":"within","e":{"f.g/h":"deep"}},"n":null,"x":7}`)}
	for name, want := range map[string]string{
		"a.b": "literal", "a.c.d": "within", "a.e.f.g/h": "deep", "a.e": `{"f.g/h":"deep"}`, "n": "", "x": "7",
	} {
		if got, err := v.Property(name); err != nil || got.RevealString() != want {
			t.Errorf("%s: %q (%v), want %q", name, got.Reveal(), err, want)
		}
	}
	for _, name := range []string{"a.c", "a.x.y", "x.y", "n.y", "none", "none.y", "a..", "."} {
		if _, err := v.Property(name); !errs.Is(err, errs.NotExist) {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
}

package provider

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Paths that people write are applied.
func TestPaths(t *testing.T) {
	v := Value{Data: redact.FromString(`{"users":[{"name":"a","password":"x"},{"name":"b","password":"y"}],"db":{"user":"u","pass":"p"},"text":"{\"k\":\"v\"}"}`)}
	for path, want := range map[string]string{
		`users.#(name=="b").password`: "y", "users.#.name": `["a","b"]`, "users.1.name": "b", "users.#": "2",
		"{db.user,db.pass}": `{"user":"u","pass":"p"}`, "[db.user,db.pass]|1": "p", "db|@keys": `["user","pass"]`,
		"text|@fromstr|k": "v", "users|@reverse|0.name": "b", "db.@this.user": "u", "db.@tostr": `{"user":"u","pass":"p"}`,
	} {
		if got, err := v.Property(path); err != nil || got.RevealString() != want {
			t.Errorf("%s: %q (%v), want %q", path, got.RevealString(), err, want)
		}
	}
}

// Guards the memory and the processor of the operator, and so all other namespaces: each
// of these takes gigabytes, minutes or the stack, of a small value.
func TestPathsThatExplode(t *testing.T) {
	small := `{"a":"b\"","l":[1,2,3]}`
	for name, path := range map[string]string{
		"doubled":          "@this" + strings.Repeat("|[@this,@this]", 40),
		"doubled by names": "@this" + strings.Repeat("|{a:@this,b:@this}", 40),
		"doubled within":   strings.Repeat("[@this,", 40) + "@this" + strings.Repeat("]", 40),
		"escaped":          "a" + strings.Repeat("|@tostr", 10),
		"indented":         `@pretty:{"indent":"` + strings.Repeat(" ", 900) + `"}`,
		"dug":              "@dig:a",
		"grouped":          "@group",
		"brackets":         strings.Repeat("[", 1_000_000),
		"modifiers":        strings.Repeat("@this|", 100) + "a",
		"dots":             strings.Repeat("a.", 200) + "a",
	} {
		if got, err := (Value{Data: redact.FromString(small)}).Property(path); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %d bytes, %v; want it refused", name, got.Len(), err)
		} else if len(err.Error()) > 2000 {
			t.Errorf("%s: the message has %d bytes", name, len(err.Error()))
		}
	}
	large := Value{Data: redact.FromString(`{"a":"` + strings.Repeat("x", 1<<20) + `"}`)}
	if _, err := large.Property("[" + strings.Repeat("@this,", 15) + "a]"); !errs.Is(err, errs.Invalid) {
		t.Errorf("sixteen MiB of one: %v", err)
	}
	if got, err := large.Property("[a,a]"); err != nil || got.Len() < 2<<20 {
		t.Errorf("two MiB of one: %d bytes, %v", got.Len(), err)
	}
	long := strings.Repeat("k", 3000) // a key as it stands is no path
	if got, err := (Value{Data: redact.FromString(`{"` + long + `":"v"}`)}).Property(long); err != nil || got.RevealString() != "v" {
		t.Errorf("%v", err)
	}
}

// Whatever is asked of whatever there is comes to an end, and to no more than is allowed.
func FuzzProperty(f *testing.F) {
	f.Add(`{"a":{"b":[1,2]}}`, "a.b.#")
	f.Add(`{"a":"b"}`, "[@this,@this]|[@this,@this]")
	f.Add(`{"a":"b"}`, `{"x":a,"y":@tostr}`)
	f.Fuzz(func(t *testing.T, data, path string) {
		got, err := (Value{Data: redact.FromString(data)}).Property(path)
		if err == nil && got.Len() > max(6*mostPicked, len(data)) {
			t.Errorf("%d bytes", got.Len())
		}
	})
}

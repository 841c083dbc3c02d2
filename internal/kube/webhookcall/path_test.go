package webhookcall

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestPick(t *testing.T) {
	const answer = `{"a":{"b":1},"list":[1,"two",null],"odd. key":{"x-y":true},"items":[{"n":"a","v":1},{"n":"b","v":2}],"big":12345678901234567890}`
	for expression, want := range map[string]string{
		"$.a": `{"b":1}`, "a.b": "1", ".a.b": "1", "$.list": `[1,"two",null]`, "$.list[1]": `"two"`, "$.list[-1:]": "null", "$.list[*]": `1|"two"|null`,
		`$["odd. key"]["x-y"]`: "true", `$['odd. key']`: `{"x-y":true}`, "$.items[?(@.n=='b')].v": "2", `$.items[?(@.n=="b")].v`: "2", "$..b": "1",
		"$.big": "12345678901234567890", "$.nope": "", "$.list[9]": "", "$.a.b.c": "",
	} {
		p, err := ParsePath("field", expression)
		if err != nil || p.Whole() {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		parts, ok := p.Pick([]byte(answer))
		var got []string
		for _, part := range parts {
			got = append(got, string(part))
		}
		if strings.Join(got, "|") != want || ok != (want != "") {
			t.Errorf("%s: %q, %t, want %q", expression, got, ok, want)
		}
	}
	for _, garbage := range []string{"", "x", `{"a":1} x`, `{"a":1}{}`, "[", strings.Repeat("[", 20_000)} {
		p, _ := ParsePath("field", "$.a")
		if _, ok := p.Pick([]byte(garbage)); ok {
			t.Errorf("%.20q is picked from", garbage)
		}
	}
}

// Guards the operator's memory: parts that are within one another are all of the answer,
// each.
func TestPickOfPartsWithinParts(t *testing.T) {
	p, err := ParsePath("field", "$..a")
	if err != nil {
		t.Fatal(err)
	}
	const depth = 500
	answer := strings.Repeat(`{"a":`, depth) + `"` + strings.Repeat("x", 1<<20) + `"` + strings.Repeat("}", depth)
	if parts, ok := p.Pick([]byte(answer)); ok {
		t.Errorf("%d parts of a MiB each", len(parts))
	}
}

func TestBadPaths(t *testing.T) {
	for _, bad := range []string{"$.a[", "$..*..*", "{}", "$.a}{.b", "$\n", "$." + strings.Repeat("a", maxPath), "$.*.*.*.*.*", "$[?(@.a=='"} {
		if _, err := ParsePath("spec.field", bad); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "spec.field") {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
	for _, all := range []string{"", "$"} {
		if p, err := ParsePath("f", all); err != nil || !p.Whole() {
			t.Errorf("%q: %v", all, err)
		}
	}
}

func FuzzPick(f *testing.F) {
	f.Add("$.a", `{"a":{"b":"c"}}`)
	f.Add(`$["a b"][?(@.x=='y')]..z`, `{"a b":[{"x":"y","z":[1]}]}`)
	f.Add("$[-1:]", "[1,2]")
	f.Fuzz(func(t *testing.T, expression, answer string) {
		p, err := ParsePath("field", expression)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Error(err)
			}
			return
		}
		if p.Whole() {
			return
		}
		if parts, ok := p.Pick([]byte(answer)); ok && (len(parts) == 0 || len(parts) > maxParts) {
			t.Errorf("%d parts", len(parts))
		}
	})
}

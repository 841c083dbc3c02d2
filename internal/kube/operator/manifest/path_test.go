package manifest

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestParsePath(t *testing.T) {
	for text, want := range map[string]string{
		"spec":                        "spec",
		"spec.config":                 "spec.config",
		"spec.rules[0].value":         "spec.rules[0].value",
		"spec.a[10][2].b-c":           "spec.a[10][2].b-c",
		`spec.files["app.yaml"].mode`: `spec.files["app.yaml"].mode`,
		`spec["plain"]`:               "spec.plain",
		`["spec"].x`:                  "spec.x",
		"spec.rules[999]":             "spec.rules[999]",
	} {
		p, err := parsePath(text)
		if err != nil || p.String() != want {
			t.Errorf("%s: %s (%v), want %s", text, p, err, want)
		}
	}
	for text, words := range map[string]string{
		"":                             "a field has a name",
		".spec":                        "a field has a name",
		"spec.":                        "a field has a name",
		"spec..x":                      "a field has a name",
		"spec x":                       "a field has a name",
		"spec]":                        "a field has a name",
		"[0].x":                        "begins with a field",
		"spec[":                        "an index is",
		"spec[x]":                      "an index is",
		"spec[-1]":                     "an index is",
		"spec[01]":                     "an index is",
		"spec[+1]":                     "an index is",
		"spec[1000]":                   "at most 999",
		"spec[18446744073709551616]":   "an index is",
		"spec[0]x":                     "separated by dots",
		`spec["x"`:                     "a name in brackets",
		`spec[""]`:                     "a name in brackets",
		strings.Repeat("a.", 600):      "longer than 1024",
		"s" + strings.Repeat(".a", 64): "more than 64 steps",
	} {
		if p, err := parsePath(text); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%.80q: %v, %v, want %q", text, p, err, words)
		}
	}
}

func TestSetPath(t *testing.T) {
	type put struct{ path, value string }
	for name, c := range map[string]struct {
		puts []put
		want string // JSON, or the words of an error behind "!"
	}{
		"nested":           {[]put{{"spec.a.b", `"x"`}}, `{"spec":{"a":{"b":"x"}}}`},
		"list":             {[]put{{"spec.l[0].v", `"x"`}, {"spec.l[1].v", `"y"`}, {"spec.l[0].w", `1`}}, `{"spec":{"l":[{"v":"x","w":1},{"v":"y"}]}}`},
		"lists of lists":   {[]put{{"spec.l[0][0]", `"x"`}, {"spec.l[0][1]", `"y"`}}, `{"spec":{"l":[["x","y"]]}}`},
		"merged":           {[]put{{"spec", `{"a":{"x":1,"y":2}}`}, {"spec", `{"a":{"y":3},"b":[1]}`}}, `{"spec":{"a":{"x":1,"y":3},"b":[1]}}`},
		"lists replaced":   {[]put{{"spec.l", `[1,2]`}, {"spec.l", `[3]`}}, `{"spec":{"l":[3]}}`},
		"text over object": {[]put{{"spec.a", `{"x":1}`}, {"spec.a", `"x"`}}, `{"spec":{"a":"x"}}`},
		"into what is put": {[]put{{"spec", `{"l":[{"v":1}]}`}, {"spec.l[0].v", `2`}}, `{"spec":{"l":[{"v":2}]}}`},
		"hole":             {[]put{{"spec.l[1]", `"x"`}}, "!the list has 0 items then, and would have a hole: name the index 0 first"},
		"no list":          {[]put{{"spec.l", `"x"`}, {"spec.l[0]", `1`}}, "!spec.l is no list"},
		"no object":        {[]put{{"spec.l", `"x"`}, {"spec.l.y", `1`}}, "!spec.l is no object"},
		"list as object":   {[]put{{"spec.l", `[]`}, {"spec.l.y", `1`}}, "!spec.l is no object"},
	} {
		object := map[string]any{}
		var err error
		for _, put := range c.puts {
			p, perr := parsePath(put.path)
			if perr != nil {
				t.Fatal(perr)
			}
			var value any
			if jerr := json.Unmarshal([]byte(put.value), &value); jerr != nil {
				t.Fatal(jerr)
			}
			if err = p.set(object, value); err != nil {
				break
			}
		}
		if words, ok := strings.CutPrefix(c.want, "!"); ok {
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), words) {
				t.Errorf("%s: %v, want %q", name, err, words)
			}
			continue
		}
		if got, _ := json.Marshal(object); err != nil || string(got) != c.want {
			t.Errorf("%s: %s (%v), want %s", name, got, err, c.want)
		}
	}
}

// What is a path is read the same again from its text, has what is set at it, and
// makes no more than that.
func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"spec.config", "spec.rules[0].value", `spec.files["a.b"]`, "a[0][0]", "a[999]", "[", `[""]`, "a.b.c[1].d", "a[00]", "ä.ö"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePath(text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		again, err := parsePath(p.String())
		if err != nil || again.String() != p.String() || len(again) != len(p) {
			t.Fatalf("%q is %q, and that %q (%v)", text, p, again, err)
		}
		object := map[string]any{}
		holes := false
		for _, s := range p {
			if s.index > highestIndex || s.index < 0 && s.field == "" {
				t.Fatalf("step %+v of %q", s, text)
			}
			holes = holes || s.index > 0
		}
		if err := p.set(object, "x"); (err != nil) != holes {
			t.Fatalf("setting %s: %v", p, err)
		}
		if holes {
			return
		}
		var at any = object
		for _, s := range p {
			if s.index < 0 {
				at = at.(map[string]any)[s.field]
			} else {
				at = at.([]any)[s.index]
			}
		}
		if at != "x" {
			t.Fatalf("%s holds %v", p, at)
		}
	})
}

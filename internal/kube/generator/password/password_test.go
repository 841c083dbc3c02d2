package password_test

import (
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/generator/password"
)

func TestSuite(t *testing.T) {
	generatortest.Run(t, generatortest.Subject{Kind: password.Kind{}, Spec: `{"length":24}`, Keys: []string{"password"}})
	generatortest.Run(t, generatortest.Subject{Kind: password.Kind{}, Spec: `{"secretKeys":["a","b"]}`, Keys: []string{"a", "b"}})
}

func make1(t *testing.T, spec string) (map[string]string, error) {
	t.Helper()
	made, err := password.Kind{}.Generate(t.Context(), generatortest.Config(nil, spec))
	out := map[string]string{}
	for key, v := range made.Data {
		out[key] = v.RevealString()
	}
	return out, err
}

// counts of what a password is made of.
func counts(s string) (letters, digits, symbols, upper int, repeats bool) {
	seen := map[rune]bool{}
	for _, r := range s {
		repeats = repeats || seen[r]
		seen[r] = true
		switch {
		case unicode.IsLetter(r):
			letters++
			if unicode.IsUpper(r) {
				upper++
			}
		case unicode.IsDigit(r):
			digits++
		default:
			symbols++
		}
	}
	return letters, digits, symbols, upper, repeats
}

func TestPolicies(t *testing.T) {
	for spec, want := range map[string][3]int{
		`{}`:                                   {12, 6, 6},
		`{"length":0}`:                         {12, 6, 6},
		`{"length":10}`:                        {6, 2, 2},
		`{"length":42,"digits":5,"symbols":5}`: {32, 5, 5},
		`{"length":8,"digits":0,"symbols":0}`:  {8, 0, 0},
		`{"length":8,"digits":8,"symbols":0}`:  {0, 8, 0},
		`{"length":30,"digits":30,"symbols":0,"allowRepeat":true}`:          {0, 30, 0},
		`{"length":5,"symbols":5,"digits":0,"symbolCharacters":"-_$@§€§§"}`: {0, 0, 5},
	} {
		for range 20 {
			got, err := make1(t, spec)
			if err != nil {
				t.Fatalf("%s: %v", spec, err)
			}
			letters, digits, symbols, _, repeats := counts(got["password"])
			if [3]int{letters, digits, symbols} != want {
				t.Errorf("%s: %d letters, %d digits, %d symbols, want %v", spec, letters, digits, symbols, want)
			}
			if repeats && !strings.Contains(spec, "allowRepeat") {
				t.Errorf("%s: a character stands twice", spec)
			}
		}
	}
	for range 20 {
		got, err := make1(t, `{"length":20,"noUpper":true}`)
		if _, _, _, upper, _ := counts(got["password"]); err != nil || upper > 0 {
			t.Errorf("%d upper case letters (%v)", upper, err)
		}
	}
	if got, err := make1(t, `{"length":200,"digits":0,"symbols":100,"allowRepeat":true,"symbolCharacters":"--__"}`); err != nil || strings.Trim(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) {
			return -1
		}
		return r
	}, got["password"]), "-_") != "" {
		t.Errorf("other symbols than asked for (%v)", err)
	}
}

func TestEncodings(t *testing.T) {
	for name, decode := range map[string]func(string) ([]byte, error){
		"raw":       func(s string) ([]byte, error) { return []byte(s), nil },
		"base64":    base64.StdEncoding.DecodeString,
		"base64url": base64.URLEncoding.DecodeString,
		"base32":    base32.StdEncoding.DecodeString,
		"hex":       hex.DecodeString,
	} {
		got, err := make1(t, `{"length":20,"encoding":"`+name+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := decode(got["password"]); err != nil || len(plain) != 20 {
			t.Errorf("%s: %d bytes (%v)", name, len(plain), err)
		}
	}
}

// Each refusal says which field is wrong.
func TestRefusals(t *testing.T) {
	for spec, words := range map[string]string{
		`{"length":-1}`:                                                "spec.length",
		`{"length":100000}`:                                            "spec.length",
		`{"length":4,"digits":3,"symbols":2}`:                          "do not fit",
		`{"length":4,"digits":-1}`:                                     "do not fit",
		`{"length":40,"digits":12,"symbols":0}`:                        "allowRepeat",
		`{"length":100,"digits":0,"symbols":0}`:                        "allowRepeat",
		`{"encoding":"rot13"}`:                                         "spec.encoding",
		`{"secretKeys":["a","a"]}`:                                     "spec.secretKeys",
		`{"secretKeys":[""]}`:                                          "spec.secretKeys",
		`{"symbolCharacters":"-\u0007"}`:                               "spec.symbolCharacters",
		`{"length":"24"}`:                                              "spec",
		`{"digits":9223372036854775807,"symbols":9223372036854775807}`: "do not fit",
	} {
		if _, err := make1(t, spec); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", spec, err, words)
		}
	}
}

// Every character that may be drawn is drawn, at every place.
func TestUniform(t *testing.T) {
	const n = 2000
	first := map[rune]int{}
	for range n {
		got, err := make1(t, `{"length":1,"digits":1,"symbols":0}`)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := utf8.DecodeRuneInString(got["password"])
		first[r]++
	}
	for r := '0'; r <= '9'; r++ { // 200 each; 100 is seven standard deviations away
		if first[r] < 100 || first[r] > 300 {
			t.Errorf("%q was drawn %d times of %d", r, first[r], n)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(24, 6, 6, "-_", false, false, "raw")
	f.Add(0, -1, 1<<62, "äé", true, true, "hex")
	f.Fuzz(func(t *testing.T, length, digits, symbols int, chars string, noUpper, repeat bool, encoding string) {
		raw, err := json.Marshal(map[string]any{"length": length, "digits": digits, "symbols": symbols, "symbolCharacters": chars,
			"noUpper": noUpper, "allowRepeat": repeat, "encoding": encoding})
		if err != nil {
			return // nothing that could be asked for
		}
		got, err := make1(t, string(raw))
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Error(err)
			}
			return
		}
		if encoding == "raw" && length > 0 && utf8.RuneCountInString(got["password"]) != length {
			t.Errorf("%d characters, want %d", utf8.RuneCountInString(got["password"]), length)
		}
	})
}

func BenchmarkGenerate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (password.Kind{}).Generate(b.Context(), generatortest.Config(nil, `{"length":24}`)); err != nil {
			b.Fatal(err)
		}
	}
}

package password

import (
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

const example = `
length = 16
# letters
rule "charset" {
  charset = "abcdefghij"
  min-chars = 2
}
rule "charset" {
  charset = "!@#$%^&*()\"\\{}"
}
`

func TestParse(t *testing.T) {
	want := Policy{Length: 16, Rules: []Rule{{"abcdefghij", 2}, {`!@#$%^&*()"\{}`, 0}}}
	for name, text := range map[string]string{
		"HCL":          example,
		"JSON, lists":  `{"length":16,"rule":[{"charset":[{"charset":"abcdefghij","min-chars":2}]},{"charset":[{"charset":"!@#$%^&*()\"\\{}"}]}]}`,
		"JSON, nested": `{"length":"16","rule":{"charset":[{"charset":"abcdefghij","min-chars":2},{"charset":"!@#$%^&*()\"\\{}"}]}}`,
	} {
		if p, err := Parse(text); err != nil || !reflect.DeepEqual(p, want) {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const rule = ` rule "charset" { charset = "abc" }`
	for text, message := range map[string]string{
		"":                        "needs a length",
		rule:                      "needs a length",
		"length = 3" + rule:       "between 4 and 1024",
		"length = 2000" + rule:    "between 4 and 1024",
		"length = 1.5" + rule:     "line 1, column 10: length must be a whole number",
		"length = -8" + rule:      "length must be a whole number",
		"length = true" + rule:    "length must be a whole number",
		"length = 8\nlength = 9":  "line 2, column 1: length is set twice",
		"length = 8":              "at least one rule",
		"length = 8 lenght = 9":   `unknown key "lenght"`,
		"length = 8 rule = 1":     "rule must be an object",
		`length = 8 rule "x" { }`: `unknown rule "x"`,
		`length = 8 rule "charset" { min-chars = 1 }`:                                                                         "needs a charset",
		`length = 8 rule "charset" { charset = "" }`:                                                                          "needs a charset",
		`length = 8 rule "charset" { charset = ["a"] }`:                                                                       "charset must be a string",
		`length = 8 rule "charset" { charset = "a" charset = "b" }`:                                                           "set twice",
		`length = 8 rule "charset" { charset = "abc" min-chars = 9 }`:                                                         "asks for 9 characters",
		`length = 8 rule "charset" { charset = "abc" max-chars = 9 }`:                                                         `unknown key "max-chars"`,
		`length = 8 rule "charset" { charset = "a\nb" }`:                                                                      "not printable",
		`{"length":8,"rule":{"charset":{"charset":"a","min-chars":1}}`:                                                        "",
		`length = 100 rule "charset" { charset = "a" min-chars=50 } rule "charset" { charset = "bcdefghijklmnopqrstuvwxyz" }`: "hardly any password",
		strings.Repeat(" ", MaxText+1):                                                                                        "over the limit",
	} {
		p, err := Parse(text)
		if kind := errs.KindOf(err); err == nil || kind != errs.Invalid && kind != errs.TooLarge || !strings.Contains(err.Error(), message) {
			t.Errorf("%.80q: %+v %v, want %q", text, p, err, message)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Add(`{"length":16,"rule":[{"charset":[{"charset":"abcdefghij","min-chars":2}]}]}`)
	f.Add(`length = 4 rule "charset" { charset = "é" }`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			if kind := errs.KindOf(err); kind != errs.Invalid && kind != errs.TooLarge {
				t.Fatalf("%v is %v", err, kind)
			}
			return
		}
		s, err := p.Generate(nil)
		if errs.Is(err, errs.Invalid) {
			return // nearly nothing fits it; the one try of Parse had luck
		}
		if err != nil || len([]rune(s.RevealString())) != p.Length {
			t.Fatalf("%+v makes no password: %v", p, err)
		}
	})
}

func TestBook(t *testing.T) {
	s := mem.New(mem.Config{})
	defer func() { _ = s.Close() }()
	ctx := context.Background()
	commit := func(change func(tx *store.Txn) error) {
		t.Helper()
		tx := store.Begin(s)
		if err := change(tx); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(ctx); err != nil {
			t.Fatal(err)
		}
	}
	root, team := Book{"root"}, Book{"abcde"}
	commit(func(tx *store.Txn) error { return root.Put(tx, "db.v1", example) })
	commit(func(tx *store.Txn) error { return root.Put(tx, "a", example) })
	if p, text, err := root.Get(ctx, s, "db.v1"); err != nil || text != example || p.Length != 16 {
		t.Errorf("%+v %q %v", p, text, err)
	}
	if names, err := root.List(ctx, s); err != nil || !reflect.DeepEqual(names, []string{"a", "db.v1"}) {
		t.Errorf("%q %v", names, err)
	}
	// What is in one namespace is not in another.
	if _, _, err := team.Get(ctx, s, "a"); !errs.Is(err, errs.NotExist) {
		t.Error(err)
	}
	if names, err := team.List(ctx, s); err != nil || len(names) != 0 {
		t.Errorf("%q %v", names, err)
	}
	commit(func(tx *store.Txn) error { return root.Delete(tx, "a") })
	if _, _, err := root.Get(ctx, s, "a"); !errs.Is(err, errs.NotExist) {
		t.Error(err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "../root/db.v1", "é", strings.Repeat("a", 129)} {
		if err := root.Put(store.Begin(s), name, example); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		if _, _, err := root.Get(ctx, s, name); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		if err := root.Delete(store.Begin(s), name); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, value := range map[string]string{"empty": "", "newer": "\x02length", "broken": "\x01length"} {
		commit(func(tx *store.Txn) error { tx.Put("password/root/"+name, []byte(value)); return nil })
		if _, _, err := root.Get(ctx, s, name); !errs.Is(err, errs.Internal) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

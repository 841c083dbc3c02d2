package statement

import (
	"reflect"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		dialect Dialect
		in      string
		want    []string
	}{
		{PostgreSQL, "a; b ;; c", []string{"a", "b", "c"}},
		{PostgreSQL, " ; -- nothing; here\n ; /* nor; here */ ;", nil},
		{PostgreSQL, "a ';' b; c", []string{"a ';' b", "c"}},
		{PostgreSQL, `a "x;""y;" b; c`, []string{`a "x;""y;" b`, "c"}},
		{PostgreSQL, "a 'it''s;' b; c", []string{"a 'it''s;' b", "c"}},
		{PostgreSQL, `a 'back\'; b`, []string{`a 'back\'`, "b"}},
		{PostgreSQL, `a E'back\';' ; b`, []string{`a E'back\';'`, "b"}},
		{PostgreSQL, `a xE'back\'; b`, []string{`a xE'back\'`, "b"}},
		{PostgreSQL, "DO $$ BEGIN a; b; END $$; c", []string{"DO $$ BEGIN a; b; END $$", "c"}},
		{PostgreSQL, "DO $x$ a; $$ b; $y$ ; $x$; c", []string{"DO $x$ a; $$ b; $y$ ; $x$", "c"}},
		{PostgreSQL, "a$b$; c$b$", []string{"a$b$", "c$b$"}},
		{PostgreSQL, "a $1; b", []string{"a $1", "b"}},
		{PostgreSQL, "a /* x; /* y; */ z; */ b; c", []string{"a /* x; /* y; */ z; */ b", "c"}},
		{PostgreSQL, "a -- x; y\n b; c", []string{"a -- x; y\n b", "c"}},
		{MySQL, `a 'back\';' ; b`, []string{`a 'back\';'`, "b"}},
		{MySQL, "a `x;y` ; b # c; d\n; e", []string{"a `x;y`", "b # c; d", "e"}},
		{MySQL, "a 5--1; b", []string{"a 5--1", "b"}},
		{MySQL, "a 5-- 1; b\n", []string{"a 5-- 1; b"}},
		{MySQL, "/*! SET x; */ ; /* no */", []string{"/*! SET x; */"}},
		{MySQL, "a $$; b", []string{"a $$", "b"}},
		{MySQL, "a /* x /* y */ ; b", []string{"a /* x /* y */", "b"}},
	} {
		got, err := Expand(c.dialect, []string{c.in}, nil)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%q: %q, %v, want %q", c.in, got, err, c.want)
		}
	}
	for _, open := range []string{"a 'x", `a "x`, "a $$ x", "a /* x", "a $t$ x $$", "/* /* */"} {
		if got, err := Expand(PostgreSQL, []string{open}, nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %q, %v", open, got, err)
		}
	}
}

// A value is escaped for where it stands (CVE-2026-39946), or refused.
func TestCVE202639946ValuesAreEscaped(t *testing.T) {
	const refused = "refused"
	for _, c := range []struct {
		dialect         Dialect
		in, value, want string
	}{
		{PostgreSQL, `"{{v}}"`, `a"b'c\`, `"a""b'c\"`},
		{PostgreSQL, `'{{v}}'`, `a"b'c\`, `'a"b''c\'`},
		{PostgreSQL, `E'{{v}}'`, `a'\`, `E'a''\\'`},
		{PostgreSQL, `{{v}}`, `plain_1`, `plain_1`},
		{PostgreSQL, `{{ v }}`, `plain`, `plain`},
		{PostgreSQL, `{{v}}`, `a b`, refused},
		{PostgreSQL, `{{v}}`, `a-b`, refused},
		{PostgreSQL, `{{v}}`, `a;b`, refused},
		{PostgreSQL, `{{v}}`, `$$`, refused},
		{PostgreSQL, `DO $$ '{{v}}' $$`, `v-a b.c@d`, `DO $$ 'v-a b.c@d' $$`},
		{PostgreSQL, `DO $$ '{{v}}' $$`, `it's`, refused},
		{PostgreSQL, `DO $$ '{{v}}' $$`, `$$; DROP`, refused},
		{PostgreSQL, `DO $$ '{{v}}' $$`, `x$`, refused},
		{PostgreSQL, `DO $a$ '{{v}}' $a$`, `x$a$y`, refused},
		{PostgreSQL, `DO $$ '{{v}}' $$`, `SCRAM-SHA-256$4096:Zm9v+/=$c3Q=:c3Y=`, `DO $$ 'SCRAM-SHA-256$4096:Zm9v+/=$c3Q=:c3Y=' $$`},
		{PostgreSQL, "a -- {{v}}\n", "x\ny", refused},
		{PostgreSQL, "a /* {{v}} */", "*/ b", refused},
		{PostgreSQL, `'{{v}}'`, "a\x00b", refused},
		{PostgreSQL, `'{{unknown}}'`, "x", `'{{unknown}}'`},
		{PostgreSQL, `'{{v}}'`, `{{v}}`, `'{{v}}'`},
		{MySQL, `'{{v}}'`, `a'b\`, `'a''b\\'`},
		{MySQL, `"{{v}}"`, `a"b\`, `"a""b\\"`},
		{MySQL, "`{{v}}`", "a`b\\", "`a``b\\`"},
	} {
		got, err := Expand(c.dialect, []string{c.in}, map[string]string{"v": c.value})
		if c.want == refused {
			if !errs.Is(err, errs.Invalid) || len(c.value) > 2 && strings.Contains(err.Error(), c.value) {
				t.Errorf("%s with %q: %q, %v, want a refusal without the value", c.in, c.value, got, err)
			}
		} else if err != nil || len(got) != 1 || got[0] != strings.TrimSpace(c.want) {
			t.Errorf("%s with %q: %q, %v, want %s", c.in, c.value, got, err, c.want)
		}
	}
	if _, err := Expand(PostgreSQL, []string{strings.Repeat("x", MaxScript+1)}, nil); !errs.Is(err, errs.Invalid) {
		t.Errorf("a huge script: %v", err)
	}
}

// Whatever a value is, it changes neither how many statements there are nor
// where their quotes end.
func FuzzExpand(f *testing.F) {
	for _, script := range []string{"a '{{v}}'; b \"{{v}}\"", "DO $$ {{v}} $$; c", "E'{{v}}'", "-- {{v}}\n{{v}}", "/* {{v}} */ `{{v}}`", "$a${{v}}$a$"} {
		for _, value := range []string{"x", "'", `\`, "$$", "*/", "\n", `";--`, "$a$", "`"} {
			f.Add(script, value, true)
			f.Add(script, value, false)
		}
	}
	f.Fuzz(func(t *testing.T, script, value string, postgres bool) {
		d := MySQL
		if postgres {
			d = PostgreSQL
		}
		plain, plainErr := Expand(d, []string{script}, map[string]string{"v": "x"})
		got, err := Expand(d, []string{script}, map[string]string{"v": value})
		if plainErr != nil && err == nil {
			t.Fatalf("%q is refused with x and taken with %q", script, value)
		}
		if err != nil {
			return
		}
		if len(got) != len(plain) {
			t.Fatalf("%q with %q: %q, with x %q", script, value, got, plain)
		}
		again, err := Expand(d, []string{strings.Join(got, "\n;")}, nil)
		if err != nil || len(again) != len(got) {
			t.Fatalf("%q with %q: %q is then read as %q, %v", script, value, got, again, err)
		}
	})
}

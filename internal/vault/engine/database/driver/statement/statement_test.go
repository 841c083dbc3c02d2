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
		{MySQL, "/*! SET x '*/;' */ ; b", []string{"/*! SET x '*/;' */", "b"}},
		{MySQL, "/*M! SET x; */ y ; b", []string{"/*M! SET x; */ y", "b"}},
		{PostgreSQL, "DO $a$ 'it''s;' $b$ ; $b$ $a$; c", []string{"DO $a$ 'it''s;' $b$ ; $b$ $a$", "c"}},
		{PostgreSQL, "DO $a$ it's; /* $a$; c", []string{"DO $a$ it's; /* $a$", "c"}},
		{PostgreSQL, "$a$$b$$c$$d$$e$$f$;$f$$e$$d$$c$$b$$a$; g", []string{"$a$$b$$c$$d$$e$$f$;$f$$e$$d$$c$$b$$a$", "g"}},
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
	for _, open := range []string{"/*! x", "/*! 'x */", "/* x"} {
		if got, err := Expand(MySQL, []string{open}, nil); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %q, %v", open, got, err)
		}
	}
}

// An error says which statement and which placeholder it is about.
func TestErrorsSayWhere(t *testing.T) {
	_, err := Expand(PostgreSQL, []string{"a; b; DO $$ x; y; DROP ROLE {{ name }}; $$"}, map[string]string{"name": "canary -- x"})
	if err == nil || !strings.Contains(err.Error(), "statement 3: the value of {{name}} must stand in quotes") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
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
		// In a dollar quote, whose inside is code: bare, in quotes of its own, among other text.
		{PostgreSQL, `DO $$ DROP ROLE {{v}} $$`, `plain_1`, `DO $$ DROP ROLE plain_1 $$`},
		{PostgreSQL, `DO $$ DROP ROLE {{v}} $$`, `a b`, refused},
		{PostgreSQL, `DO $$ DROP ROLE {{v}} $$`, `a--`, refused},
		{PostgreSQL, `DO $$ DROP ROLE {{v}} $$`, `a.b`, refused},
		{PostgreSQL, `DO $$ SELECT 'x'{{v}}'y' $$`, `a b`, refused},
		{PostgreSQL, `DO $$ DROP ROLE "{{v}}" $$`, `a -- b`, `DO $$ DROP ROLE "a -- b" $$`},
		{PostgreSQL, `DO $$ EXECUTE 'DROP ROLE "{{v}}" '; $$`, `a -- b`, `DO $$ EXECUTE 'DROP ROLE "a -- b" '; $$`},
		{PostgreSQL, `DO $$ EXECUTE 'ALTER ROLE x PASSWORD ''{{v}}'' '; $$`, `p--w d`, `DO $$ EXECUTE 'ALTER ROLE x PASSWORD ''p--w d'' '; $$`},
		{PostgreSQL, `DO $$ EXECUTE 'DROP ROLE {{v}} '; $$`, `v-a.b`, `DO $$ EXECUTE 'DROP ROLE v-a.b '; $$`},
		{PostgreSQL, `DO $$ EXECUTE 'DROP ROLE {{v}} CASCADE'; $$`, `a--`, refused},
		{PostgreSQL, `DO $$ EXECUTE 'GRANT x TO {{v}} '; $$`, `a WITH ADMIN OPTION`, refused},
		{PostgreSQL, `DO $$ EXECUTE 'VALID UNTIL {{v}} '; $$`, `2026-01-02 03:04:05+0000`, `DO $$ EXECUTE 'VALID UNTIL 2026-01-02 03:04:05+0000 '; $$`},
		{PostgreSQL, `DO $$ 'x' -- {{v}}` + "\n$$", `a b`, `DO $$ 'x' -- a b` + "\n$$"},
		{PostgreSQL, `DO $$ 'x' -- {{v}}` + "\n$$", "a\nb", refused},
		{PostgreSQL, `DO $a$ EXECUTE $b$ DROP ROLE {{v}} $b$ $a$`, `a-b`, refused},
		{PostgreSQL, `DO $a$ EXECUTE $b$ DROP ROLE "{{v}}" $b$ $a$`, `a-b`, `DO $a$ EXECUTE $b$ DROP ROLE "a-b" $b$ $a$`},
		{PostgreSQL, `PASSWORD $p${{v}}$p$`, `p--w d`, `PASSWORD $p$p--w d$p$`},
		{PostgreSQL, `PASSWORD $p${{v}}$p$`, `p'w`, refused},
		{PostgreSQL, `PASSWORD $p${{v}}$p$`, `p$p$w`, refused},
		{PostgreSQL, `DO $ab$ '$a{{v}}' $ab$`, `b$4`, refused}, // together they are the tag
		{PostgreSQL, `COMMENT $$it's "{{v}}"$$`, `a b`, refused},
		{PostgreSQL, `COMMENT $$it's {{v}}$$`, `a_b`, `COMMENT $$it's a_b$$`},
		{PostgreSQL, `COMMENT $$it's {{v}}$$`, `q z`, refused}, // no code: nobody can tell what a blank does
		{PostgreSQL, `DO $1$ {{v}} $1$`, `a b`, refused},
		{PostgreSQL, `a ${{v}}$`, `b`, refused}, // together they begin a dollar quote
		{PostgreSQL, `a $x{{v}}$`, `b`, refused},
		{PostgreSQL, `a {{v}}$b$`, `c`, `a c$b$`}, // an identifier
		{PostgreSQL, `a {{v}}'x\''`, `e`, `a e'x\''`},
		{PostgreSQL, "a -- {{v}}\n", "x\ny", refused},
		{PostgreSQL, "a /* *{{v}} */", "/ DROP x", refused},
		{MySQL, "/*!50000 DROP USER '{{v}}' */", "it's", "/*!50000 DROP USER 'it''s' */"},
		{MySQL, "/*!50000 DROP USER {{v}} */", "a b", refused},
		{MySQL, "/*!99999 DROP USER '{{v}}' */", "*/ DROP USER root", refused},
		{MySQL, "/*M!100101 DROP USER {{v}} */", "a --", refused},
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
	for _, script := range []string{"a '{{v}}'; b \"{{v}}\"", "DO $$ {{v}} $$; c", "E'{{v}}'", "-- {{v}}\n{{v}}", "/* {{v}} */ `{{v}}`", "$a${{v}}$a$", "DO $$ x '{{v}}' y {{v}} $b$ \"{{v}}\" $b$ $$; c", "/*!5 '{{v}}' {{v}} */; c"} {
		for _, value := range []string{"x", "'", `\`, "$$", "*/", "\n", `";--`, "$a$", "`", "a -- b", "1 2", "b$4", "/"} {
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
		if !postgres && strings.Contains(script, "--;") {
			return // two dashes are no comment there, and one once they end a statement
		}
		again, err := Expand(d, []string{strings.Join(got, "\n;")}, nil)
		if err != nil || len(again) != len(got) {
			t.Fatalf("%q with %q: %q is then read as %q, %v", script, value, got, again, err)
		}
	})
}

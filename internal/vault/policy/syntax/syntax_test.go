package syntax

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// show prints a tree without positions.
func show(n Node) string {
	switch n.Kind {
	case String:
		return fmt.Sprintf("%q", n.Text)
	case Null:
		return "null"
	case List:
		var parts []string
		for _, e := range n.List {
			parts = append(parts, show(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case Object:
		var parts []string
		for _, f := range n.Fields {
			parts = append(parts, f.Name+":"+show(f.Value))
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
	return n.Text
}

func TestParse(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "{}"},
		"comments":     {"# a\n// b\n/* c */", "{}"},
		"block":        {`path "a/*" { capabilities = ["read"] }`, `{path:{a/*:{capabilities:["read"]}}}`},
		"twice":        {"path \"a\" {}\npath \"a\" {}", `{path:{a:{}} path:{a:{}}}`},
		"assigned":     {`path = { "a" = { x = 1 } }`, `{path:{a:{x:1}}}`},
		"literals":     {"x = [1, -2, 0x10, 1.5, 1e3, true, \"s\\n\", [2], {a = false}]", `{x:[1 -2 16 1.5 1000 true "s\n" [2] {a:false}]}`},
		"heredoc":      {"x = <<EOT\nline\nEOT\n", `{x:"line\n"}`},
		"heredoc -":    {"x = <<-EOT\n  line\n  EOT\n", `{x:"line\n"}`},
		"windows":      {"x = 1\r\ny = 2\r\n", `{x:1 y:2}`},
		"dollar brace": {`x = "${a}"`, `{x:"${a}"}`},
		"json":         {" {\"path\": {\"a/*\": {\"capabilities\": [\"read\"]}}}\n", `{path:{a/*:{capabilities:["read"]}}}`},
		"json values":  {`{"x":[true,[1],null,"é",{"a":[]}]}`, `{x:[true [1] null "é" {a:[]}]}`},
		"json empty":   {`{}`, `{}`},
	} {
		n, err := Parse(c.text)
		if err != nil || show(n) != c.want {
			t.Errorf("%s: %s, %v; want %s", name, show(n), err, c.want)
		}
	}
}

func TestPositions(t *testing.T) {
	hcl, err := Parse("# ü\npath \"a\" {\n  \"é\" = [1,\n   true]\n}")
	if err != nil {
		t.Fatal(err)
	}
	js, err := Parse("{\n\n  \"path\": {\"a\": {\n  \"é\": [1,\n   true]\n}}}")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ got, want Position }{
		"hcl key":     {hcl.Fields[0].At, Position{2, 1}},
		"hcl label":   {hcl.Fields[0].Value.Fields[0].At, Position{2, 6}},
		"hcl body":    {hcl.Fields[0].Value.Fields[0].Value.At, Position{2, 10}},
		"hcl inner":   {hcl.Fields[0].Value.Fields[0].Value.Fields[0].At, Position{3, 3}},
		"hcl element": {hcl.Fields[0].Value.Fields[0].Value.Fields[0].Value.List[1].At, Position{4, 4}},
		"json key":    {js.Fields[0].At, Position{3, 3}},
		"json label":  {js.Fields[0].Value.Fields[0].At, Position{3, 12}},
		"json list":   {js.Fields[0].Value.Fields[0].Value.Fields[0].Value.At, Position{4, 8}},
		"json elem":   {js.Fields[0].Value.Fields[0].Value.Fields[0].Value.List[1].At, Position{5, 4}},
	} {
		if c.got != c.want {
			t.Errorf("%s: at %v, want %v", name, c.got, c.want)
		}
	}
}

// Also a guard: no message may quote the text, in which canary stands.
func TestParseRefuses(t *testing.T) {
	const canary = "hvs_canary7f3a"
	for name, c := range map[string]struct{ text, want string }{
		"a token":               {canary, "line 1, column"},
		"a token in quotes":     {`"` + canary + `"`, "line 1, column"},
		"prose":                 {"this is\n not " + canary, "line 2, column"},
		"open block":            {"path \"" + canary + "\" {\n", "HCL syntax error: unexpected end of text"},
		"stray brace":           {"}\n" + canary, "line 1, column 1: HCL syntax error: unexpected RBRACE"},
		"bare word as value":    {"\n  x = " + canary, "line 2, column 7: HCL syntax error: unexpected IDENT"},
		"open string":           {"x = \"" + canary, "literal not terminated"},
		"open comment":          {"/* " + canary, "comment not terminated"},
		"open heredoc":          {"x = <<A\n" + canary, "heredoc not terminated"},
		"nothing behind equals": {"x = 1\n" + canary + " =", "line 2, column 16: there is no value"},
		"equals and comment":    {canary + " = # note", "column 16: there is no value"},
		"bad escape":            {`x = "\q` + canary + `"`, "illegal char escape"},
		"null byte":             {"x = 1\n\x00", "line 2, column 1: the text must be UTF-8"},
		"not UTF-8":             {"x = \"\xff\"", "line 1, column 6: the text must be UTF-8"},
		"huge number":           {"x = 99999999999999999999", "column 5: this number does not fit"},
		"huge float":            {"x = 1e999", "column 5: this number is malformed or too large"},
		"deep":                  {"x = " + strings.Repeat("[", 100_000), "nested deeper than 20"},
		"two labels":            {`path "a" "b" = 1`, "HCL syntax error"},
		"json cut off":          {`{"x": {"` + canary + `": 1`, "malformed JSON"},
		"json trailing comma":   {`{"x": 1,}`, "line 1, column 8: malformed JSON"},
		"json twice":            {"{\"x\": 1,\n \"x\": 2}", "line 2, column 2: this name is already used"},
		"json with more":        {"{}\n " + canary, "line 2, column 2: there is more text"},
		"json deep":             {strings.Repeat(`{"x":[`, 5000), "nested deeper than 20"},
		"json mismatched":       {`{"x": [1}`, "malformed JSON"},
		"json bad escape":       {`{"x": "\u12"}`, "malformed JSON"},
	} {
		_, err := Parse(c.text)
		switch {
		case !errs.Is(err, errs.Invalid):
			t.Errorf("%s: %v, want Invalid", name, err)
		case !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "line "):
			t.Errorf("%s: %q, want %q", name, err, c.want)
		case strings.Contains(err.Error(), canary):
			t.Errorf("%s: the error quotes the text: %q", name, err)
		}
	}
}

func TestShapes(t *testing.T) {
	n, err := Parse(`{"o": {}, "l": [{}, {}], "m": [{}, 1], "s": ["a"], "t": ["a", 1], "x": 1}`)
	if err != nil {
		t.Fatal(err)
	}
	of := func(i int) Node { return n.Fields[i].Value }
	for i, want := range []int{1, 2, -1, -1, -1, -1} {
		got, err := of(i).Objects("it")
		if (err != nil) != (want < 0) || (err == nil && len(got) != want) {
			t.Errorf("Objects of %s: %d, %v", n.Fields[i].Name, len(got), err)
		}
	}
	for i, want := range []int{-1, -1, -1, 1, -1, -1} {
		got, err := of(i).Strings("it")
		if (err != nil) != (want < 0) || (err == nil && len(got) != want) {
			t.Errorf("Strings of %s: %d, %v", n.Fields[i].Name, len(got), err)
		}
	}
	if _, err := of(4).Strings("it"); !strings.Contains(err.Error(), "line 1, column 63: an element of it must be a string, found a number") {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`path "a" { capabilities = ["read"] }`, "x = <<-E\n a\n E\n", `{"a":[true,{"b":null}]}`, "x = [[1] 2]", "0x", "1e", "<<", "x=-", "a.b-c {}", "x=.5", "\"${", "/*", "{",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err != nil && (!errs.Is(err, errs.Invalid) || !strings.HasPrefix(err.Error(), "line ")) {
			t.Fatalf("%v: not an Invalid error with its place", err)
		}
		if err == nil && n.Kind != Object {
			t.Fatalf("the root is %s", n.Kind)
		}
	})
}

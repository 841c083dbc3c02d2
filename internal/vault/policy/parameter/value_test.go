package parameter

import (
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/vault/policy/syntax"
)

func values(t testing.TB, list string) []Value {
	t.Helper()
	root, err := syntax.Parse(`{"x": ` + list + `}`)
	if err != nil {
		t.Fatal(err)
	}
	var all []Value
	for _, n := range root.Fields[0].Value.List {
		v, err := New(n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// §2.3: "values with glob", "empty list = any value".
func TestValues(t *testing.T) {
	for _, c := range []struct {
		list, got       string
		allowed, denied bool
	}{
		{`[]`, `"anything"`, true, true},
		{`[]`, `null`, true, true},
		{`["a"]`, `"a"`, true, true},
		{`["a"]`, `"A"`, false, false},
		{`["a","b"]`, ` "b" `, true, true},
		{`["\u00e4"]`, `"ä"`, true, true},
		{`["dev-*"]`, `"dev-1"`, true, true},
		{`["dev-*"]`, `"prod-1"`, false, false},
		{`["*-dev"]`, `"1-dev"`, true, true},
		{`["*dev*"]`, `"a-dev-b"`, true, true},
		{`["**"]`, `""`, true, true},
		{`["a*c"]`, `"abc"`, false, false}, // only the ends are wild
		{`["a*c"]`, `"a*c"`, true, true},
		{`[""]`, `""`, true, true},
		{`[""]`, `"x"`, false, false},

		{`[3600]`, `3600`, true, true},
		{`[3600]`, `3600.0`, true, true},
		{`[3600]`, `3.6e3`, true, true},
		{`[3600]`, `36001`, false, false},
		{`[9007199254740993]`, `9007199254740992`, false, false},
		{`[0]`, `-0.00`, true, true},
		{`[-5]`, `5`, false, false},
		{`[0.5]`, `5e-1`, true, true},
		{`[true]`, `true`, true, true},
		{`[true]`, `false`, false, false},
		{`[null]`, `null`, true, true},
		{`["null"]`, `null`, false, false},

		// what engines take for the same thing is the same thing
		{`["3600"]`, `3600`, true, true},
		{`["3600"]`, `3600.0`, true, true},
		{`[3600]`, `"3600"`, true, true},
		{`["36*"]`, `3601`, true, true},
		{`["true"]`, `true`, true, true},
		{`[true]`, `"true"`, true, true},
		{`[true]`, `"1"`, true, true},
		{`[true]`, `1`, true, true},
		{`[false]`, `"x"`, false, false},

		// lists: the whole, or element by element
		{`["a","b"]`, `["a","b"]`, true, true},
		{`["a","b"]`, `["a","c"]`, false, true},
		{`["a"]`, `["c"]`, false, false},
		{`["a"]`, `[]`, false, false},
		{`[["a","b"]]`, `["a", "b"]`, true, true},
		{`[["a","b"]]`, `["b","a"]`, false, false},
		{`["a"]`, `[["a"]]`, false, false},
		{`["dev-*"]`, `["dev-a", "root"]`, false, true},

		{`[{"a":1,"b":[true]}]`, `{"b":[true],"a":1.0}`, true, true},
		{`[{"a":1}]`, `{"a":1,"b":2}`, false, false},
		{`["{}"]`, `{}`, false, false},
		{`["x"]`, `"a,x"`, false, false}, // one value, also with a comma in it
	} {
		vs := values(t, c.list)
		if got := AllAllowed(jsontext.Value(c.got), vs); got != c.allowed {
			t.Errorf("AllAllowed(%s, %s) = %v", c.got, c.list, got)
		}
		if got := AnyDenied(jsontext.Value(c.got), vs); got != c.denied {
			t.Errorf("AnyDenied(%s, %s) = %v", c.got, c.list, got)
		}
	}
	if AllAllowed(nil, values(t, `["a"]`)) || AnyDenied(nil, values(t, `["a"]`)) {
		t.Error("a field that is null matches a string")
	}
}

func TestCanonicalNumber(t *testing.T) {
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "00.00": "0", "10": "1e1", "100e-2": "1e0", "1.50": "15e-1", "-12e3": "-12e3",
		"": "", ".": "", "-": "", "1e": "", "1e99999999999": "", "0x10": "", "1_0": "", "abc": "", "1.2.3": "", "١": "",
	} {
		if got := canonicalNumber(in); got != want {
			t.Errorf("canonicalNumber(%q) = %q, want %q", in, got, want)
		}
	}
}

// An HCL object may hold a name twice; such a value equals nothing for sure.
func TestNewRefusesWhatCannotBeCompared(t *testing.T) {
	root, err := syntax.Parse("x = [{ a = 1\n a = 2 }]")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(root.Fields[0].Value.List[0]); err == nil {
		t.Error("an object with the name a twice was accepted")
	}
}

func FuzzValues(f *testing.F) {
	f.Add(`"a*"`, `"abc"`)
	f.Add(`[1,{"b":null}]`, `[1,{"b":null}]`)
	f.Add(`1e400`, `1e400`)
	f.Fuzz(func(t *testing.T, want, got string) {
		if !jsontext.Value(want).IsValid() || !jsontext.Value(got).IsValid() {
			return
		}
		root, err := syntax.Parse(`{"x": [` + want + `]}`)
		if err != nil || len(root.Fields[0].Value.List) != 1 {
			return
		}
		v, err := New(root.Fields[0].Value.List[0])
		if err != nil {
			return
		}
		AllAllowed(jsontext.Value(got), []Value{v})
		if same := jsontext.Value(want); !AnyDenied(same, []Value{v}) && !AllAllowed(same, []Value{v}) {
			t.Fatalf("%s does not match itself", want)
		}
	})
}

package template

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Facts §2.3: the variables that policies may use.
func TestParse(t *testing.T) {
	for text, want := range map[string]Variable{
		"identity.entity.id":                          {Entity, ID, "-", ""},
		" identity.entity.name ":                      {Entity, Name, "-", ""},
		"identity.entity.metadata.team":               {Entity, Metadata, "-", "team"},
		"identity.entity.metadata.a.b":                {Entity, Metadata, "-", "a.b"},
		"identity.entity.aliases.auth_k_1.id":         {Alias, ID, "auth_k_1", ""},
		"identity.entity.aliases.auth_k_1.name":       {Alias, Name, "auth_k_1", ""},
		"identity.entity.aliases.a.metadata.role":     {Alias, Metadata, "a", "role"},
		"identity.entity.aliases.a.custom_metadata.x": {Alias, CustomMetadata, "a", "x"},
		"identity.groups.ids.7f.name":                 {GroupByID, Name, "7f", ""},
		"identity.groups.ids.7f.metadata.k":           {GroupByID, Metadata, "7f", "k"},
		"identity.groups.names.dev.id":                {GroupByName, ID, "dev", ""},
		"identity.groups.names.dev.ops.id":            {GroupByName, ID, "dev.ops", ""},
		"identity.groups.names.dev.metadata.id":       {GroupByName, Metadata, "dev", "id"},
		"identity.groups.names.dev.metadata.a.b":      {GroupByName, Metadata, "dev", "a.b"},
	} {
		p, err := Parse("/secret/{{" + text + "}}/*")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := *p.parts[0].variable; got != want || p.String() != "secret/{{"+text+"}}/*" {
			t.Errorf("%s: %+v, want %+v (%s)", text, got, want, p)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"a/{{}}", "a/{{identity}}", "a/{{identity.entity}}", "a/{{identity.entity.}}", "a/{{identity.entity.nome}}",
		"a/{{identity.entity.metadata}}", "a/{{identity.entity.metadata.}}", "a/{{identity.entity.custom_metadata.x}}",
		"a/{{identity.entity.aliases.x}}", "a/{{identity.entity.aliases..id}}", "a/{{identity.groups.ids.x.id}}",
		"a/{{identity.groups.names.x.name}}", "a/{{identity.groups.names..id}}", "a/{{identity.groups.x.id}}",
		"a/{{identity.entity.id", "a/identity.entity.id}}", "a/{{identity.entity.{{identity.entity.id}}}}", "a/}}{{",
		"a/*/{{identity.entity.id}}", "../{{identity.entity.id}}", "a/{{identity.entity.id}}/+*",
		strings.Repeat("{{identity.entity.id}}", maxVariables+1),
	} {
		if _, err := Parse(text); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, want Invalid", text, err)
		}
	}
}

// GHSA-59w7 (facts §2.3, §6): no value becomes a wildcard, another segment or nothing.
func TestGHSA59w7ValuesAreNeverMoreThanThemselves(t *testing.T) {
	p, err := Parse("secret/{{identity.entity.name}}/x/{{identity.entity.id}}*")
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]Outcome{
		"alice": Expanded, "a.b-c@d_e=f g": Expanded, "é": Expanded, "": Missing,
		"*": Unsafe, "+": Unsafe, "a*": Unsafe, "a+b": Unsafe, "a/b": Unsafe, "/": Unsafe, "..": Unsafe, ".": Unsafe,
		"a\x00": Unsafe, "a\nb": Unsafe, "\xff": Unsafe, "{{identity.entity.id}}": Unsafe, "}}": Unsafe, strings.Repeat("x", 5000): Unsafe,
	} {
		got, outcome := p.Expand(func(v Variable) string {
			if v.Attribute == Name {
				return value
			}
			return "7"
		})
		if outcome != want {
			t.Errorf("%.40q: %v, want %v", value, outcome, want)
		}
		switch outcome {
		case Expanded:
			if got.String() != "secret/"+value+"/x/7*" {
				t.Errorf("%q: %s", value, got.String())
			}
		case Unsafe:
			if got.String() != "secret/*" {
				t.Errorf("a deny for %.40q would hold for %s only", value, got.String())
			}
		}
	}
}

func TestWidened(t *testing.T) {
	for text, want := range map[string]string{
		"{{identity.entity.id}}": "*", "a{{identity.entity.id}}": "*", "a/+/b{{identity.entity.id}}": "a/+/*", "a/+{{identity.entity.id}}": "a/*",
	} {
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, outcome := p.Expand(func(Variable) string { return "*" }); outcome != Unsafe || got.String() != want {
			t.Errorf("%s: %s, want %s", text, got.String(), want)
		}
	}
}

func FuzzPath(f *testing.F) {
	f.Add("secret/{{identity.entity.name}}/*", "alice")
	f.Add("{{identity.entity.aliases.a.metadata.x}}", "*")
	f.Add("a/{{identity.groups.names.a.b.id}}+", "../x")
	f.Fuzz(func(t *testing.T, text, value string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		got, outcome := p.Expand(func(Variable) string { return value })
		if outcome != Expanded {
			return
		}
		if strings.Count(got.String(), "/") != strings.Count(strip(p), "/") || strings.Count(got.String(), "*") != strings.Count(strip(p), "*") {
			t.Errorf("%q with %q became %q", text, value, got.String())
		}
	})
}

// strip is the path without its variables.
func strip(p *Path) (s string) {
	for _, part := range p.parts {
		s += part.text
	}
	return s
}

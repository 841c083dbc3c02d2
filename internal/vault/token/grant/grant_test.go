package grant

import (
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestNormalizePolicies(t *testing.T) {
	for name, c := range map[string]struct{ in, want []string }{
		"nothing":          {nil, []string{}},
		"blank":            {[]string{"", " "}, []string{}},
		"sorted, once":     {[]string{"b", "a", "B ", "a"}, []string{"a", "b"}},
		"root is all":      {[]string{"a", "ROOT", "default"}, []string{"root"}},
		"root with blanks": {[]string{" Root "}, []string{"root"}},
	} {
		if got := Normalize(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// §2.4: no policies = the parent's; without sudo a subset; sudo adds default.
func TestDecideByParent(t *testing.T) {
	app := []string{"app", "default"}
	for name, c := range map[string]struct {
		r    Request
		want []string
		text string
	}{
		"none: the parent's":             {Request{Parent: app}, app, ""},
		"none, parent without default":   {Request{Parent: []string{"app"}}, []string{"app"}, ""},
		"none, with sudo":                {Request{Parent: []string{"app"}, Sudo: true}, []string{"app"}, ""},
		"none, no default":               {Request{Parent: app, NoDefault: true}, []string{"app"}, ""},
		"none, by root":                  {Request{Parent: []string{"root"}}, []string{"root"}, ""},
		"subset":                         {Request{Parent: app, Requested: []string{"APP"}}, app, ""},
		"subset, no default":             {Request{Parent: app, Requested: []string{"app"}, NoDefault: true}, []string{"app"}, ""},
		"subset, parent without default": {Request{Parent: []string{"app", "b"}, Requested: []string{"app"}}, []string{"app"}, ""},
		"default not had":                {Request{Parent: []string{"app"}, Requested: []string{"default"}}, nil, "child policies must be subset of parent"},
		"not a subset":                   {Request{Parent: app, Requested: []string{"app", "b"}}, nil, "child policies must be subset of parent"},
		"root wanted":                    {Request{Parent: app, Requested: []string{"root"}}, nil, "child policies must be subset of parent"},
		"root among others wanted":       {Request{Parent: app, Requested: []string{"app", " Root"}}, nil, "child policies must be subset of parent"},
		"sudo: others":                   {Request{Parent: app, Requested: []string{"b"}, Sudo: true}, []string{"b", "default"}, ""},
		"sudo, no default":               {Request{Parent: app, Requested: []string{"b"}, Sudo: true, NoDefault: true}, []string{"b"}, ""},
		"sudo is not root":               {Request{Parent: app, Requested: []string{"root"}, Sudo: true}, nil, "root tokens may not be created without parent token being root"},
		"root gives anything":            {Request{Parent: []string{"root"}, Requested: []string{"b"}}, []string{"b", "default"}, ""},
		"root gives root":                {Request{Parent: []string{"root"}, Requested: []string{"root", "b"}}, []string{"root"}, ""},
		"wrapping policy":                {Request{Parent: []string{"root"}, Requested: []string{"response-wrapping"}}, nil, `cannot assign policy "response-wrapping"`},
		"policy with dots (CVE-2026-3605)": {Request{Parent: []string{"root"}, Requested: []string{"a/../root"}}, nil,
			`a policy name may have at most 512 bytes, no control characters and no ".."`},
	} {
		check(t, name, c.r, c.want, c.text)
	}
}

func TestDecideByRole(t *testing.T) {
	parent := []string{"app", "default"}
	for name, c := range map[string]struct {
		l         Limits
		requested []string
		parent    []string
		noDefault bool
		want      []string
		text      string
	}{
		"allowed are given":             {l: Limits{Allowed: []string{"a", "b"}}, want: []string{"a", "b", "default"}},
		"allowed, no default":           {l: Limits{Allowed: []string{"a"}}, noDefault: true, want: []string{"a"}},
		"beyond the parent":             {l: Limits{Allowed: []string{"a", "b"}}, requested: []string{"b"}, want: []string{"b", "default"}},
		"by glob":                       {l: Limits{AllowedGlobs: []string{"team-*"}}, requested: []string{"Team-x"}, want: []string{"default", "team-x"}},
		"glob alone gives default":      {l: Limits{AllowedGlobs: []string{"team-*"}}, want: []string{"default"}},
		"not by glob":                   {l: Limits{AllowedGlobs: []string{"team-*"}}, requested: []string{"x-team-"}, text: "must be subset of the role's allowed policies"},
		"not allowed":                   {l: Limits{Allowed: []string{"a"}}, requested: []string{"c"}, text: "must be subset of the role's allowed policies"},
		"disallowed":                    {l: Limits{Disallowed: []string{"B"}}, requested: []string{"b"}, text: `token policy "b" is disallowed by this role`},
		"disallowed by glob":            {l: Limits{DisallowedGlobs: []string{"adm*"}}, requested: []string{"admin"}, text: `token policy "admin" is disallowed by this role`},
		"disallowed beats allowed":      {l: Limits{Allowed: []string{"a"}, Disallowed: []string{"a"}}, requested: []string{"a"}, text: `token policy "a" is disallowed by this role`},
		"only disallowed: the parent's": {l: Limits{Disallowed: []string{"x"}}, want: parent},
		"parent has a disallowed one":   {l: Limits{Disallowed: []string{"app"}}, text: `token policy "app" is disallowed by this role`},
		"default disallowed":            {l: Limits{Allowed: []string{"a"}, Disallowed: []string{"default"}}, want: []string{"a"}},
		"default disallowed by glob":    {l: Limits{Allowed: []string{"a"}, DisallowedGlobs: []string{"def*"}}, want: []string{"a"}},
		"root through a role":           {l: Limits{Allowed: []string{"root"}}, requested: []string{"root"}, text: "root tokens may not be created without parent token being root"},
		"root through a glob":           {l: Limits{AllowedGlobs: []string{"*"}}, requested: []string{"root"}, text: "root tokens may not be created without parent token being root"},
		"root by root through a role":   {l: Limits{Allowed: []string{"root"}}, parent: []string{"root"}, want: []string{"root"}},
	} {
		if c.parent == nil {
			c.parent = parent
		}
		check(t, name, Request{Requested: c.requested, Parent: c.parent, NoDefault: c.noDefault, Limits: c.l}, c.want, c.text)
	}
}

func check(t *testing.T, name string, r Request, want []string, text string) {
	t.Helper()
	got, err := r.Decide()
	if text == "" {
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
		return
	}
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), text) || got != nil {
		t.Errorf("%s: %q, %v; want %q", name, got, err, text)
	}
}

// Whoever is not root gets neither root nor, without sudo or role, anything the
// parent has not.
func FuzzDecide(f *testing.F) {
	f.Add("app,default", "app", "", "", false, false)
	f.Add("app", "root", "*", "", true, false)
	f.Add("app", " ROOT,b", "root", "x", true, true)
	f.Fuzz(func(t *testing.T, parent, requested, allowed, disallowed string, sudo, noDefault bool) {
		r := Request{Parent: Normalize(strings.Split(parent, ",")), Requested: strings.Split(requested, ","), Sudo: sudo, NoDefault: noDefault}
		if allowed+disallowed != "" {
			r.Limits = Limits{Allowed: strings.Split(allowed, ","), AllowedGlobs: []string{allowed}, Disallowed: strings.Split(disallowed, ",")}
		}
		got, err := r.Decide()
		if err != nil {
			return
		}
		if !slices.Equal(got, Normalize(got)) {
			t.Errorf("%q is not normal", got)
		}
		if slices.Contains(r.Parent, Root) {
			return
		}
		for _, p := range got {
			if p == Root || !sudo && r.Limits.none() && !slices.Contains(r.Parent, p) {
				t.Errorf("%+v gave %q", r, p)
			}
		}
	})
}

func TestLoginPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		in        []string
		noDefault bool
		want      []string
		ok        bool
	}{
		"nothing":            {nil, false, []string{"default"}, true},
		"nothing at all":     {nil, true, []string{}, true},
		"some":               {[]string{"B", "a"}, false, []string{"a", "b", "default"}, true},
		"default declined":   {[]string{"a", "default"}, true, []string{"a"}, true},
		"root":               {[]string{"root"}, false, nil, false},
		"root among others":  {[]string{"a", "ROOT "}, true, nil, false},
		"the wrapping one":   {[]string{"response-wrapping"}, false, nil, false},
		"control characters": {[]string{"a\x00b"}, false, nil, false},
	} {
		got, err := Login(c.in, c.noDefault)
		if (err == nil) != c.ok || !slices.Equal(got, c.want) || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "ab", false},
		{"*", "", true}, {"*", "x", true}, {"a*", "a", true}, {"a*", "ab", true}, {"a*", "ba", false},
		{"*a", "ba", true}, {"*a", "ab", false}, {"a*b", "ab", true}, {"a*b", "axb", true}, {"a*b", "a", false},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"*x*", "axb", true}, {"*x*", "ab", false},
		{"a*b*c", "abbc", true}, {"a*b*c", "acb", false}, {"a*ab*b", "aabb", true}, {"a*ab*b", "abb", false}, {"**", "a", true}, {"a?", "ab", false},
	} {
		if got := Glob(c.pattern, c.s); got != c.want {
			t.Errorf("Glob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}

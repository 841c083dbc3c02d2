package pattern

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// §2.3: "`*` glob only at end; `+` = one whole segment; `+*` forbidden"; §6: no
// path traversal, no template taken literally.
func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct{ path, want string }{
		"empty":              {"", "must not be empty"},
		"slash alone":        {"/", "must not be empty"},
		"two slashes":        {"//a", "more than one slash"},
		"plus star":          {"a/+*", `"+*" is forbidden`},
		"plus star mid name": {"a/b+*", `"+*" is forbidden`},
		"star inside":        {"a/*/b", "only as the last character"},
		"two stars":          {"a/**", "only as the last character"},
		"dot dot":            {"secret/../sys/raw", `"." and ".."`},
		"dot":                {"secret/./a", `"." and ".."`},
		"dots at the end":    {"secret/..", `"." and ".."`},
		"dots at the start":  {"../secret", `"." and ".."`},
		"template":           {"secret/{{identity.entity.id}}/*", "belong to templates"},
		"half a template":    {"secret/}}", "belong to templates"},
		"control":            {"secret/\x00", "control characters"},
		"not UTF-8":          {"secret/\xff", "broken UTF-8"},
		"too long":           {strings.Repeat("a", MaxLength+1), "over the limit"},
	} {
		_, err := New(c.path)
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want Invalid with %q", name, err, c.want)
		}
	}
}

func TestNewAccepts(t *testing.T) {
	for in, want := range map[string]string{
		"/secret/a": "secret/a", "secret/a/": "secret/a/", "*": "*", "+": "+", "+/+/*": "+/+/*",
		"secret/...": "secret/...", "a/.hidden": "a/.hidden", "a/b..": "a/b..", "a+b/+c": "a+b/+c", "a/.*": "a/.*",
		strings.Repeat("a", MaxLength): strings.Repeat("a", MaxLength),
	} {
		if p, err := New(in); err != nil || p.String() != want {
			t.Errorf("New(%.20q) = %.20q, %v; want %.20q", in, p.String(), err, want)
		}
	}
}

func index(t testing.TB, patterns ...string) *Index[string] {
	t.Helper()
	x := &Index[string]{}
	for _, text := range patterns {
		text, denies := strings.CutPrefix(text, "!")
		p, err := New(text)
		if err != nil {
			t.Fatal(err)
		}
		x.Add(p, &text, !denies)
	}
	x.Freeze()
	return x
}

// §2.3, every step of the priority order, each with the winner first.
func TestMatchPriority(t *testing.T) {
	for name, c := range map[string]struct {
		path     string
		listing  bool
		patterns []string // the first wins; "" = nothing matches
	}{
		"exact over all":             {"a/b", false, []string{"a/b", "a/b*", "a/+", "*"}},
		"longest glob":               {"a/bc", false, []string{"a/b*", "a/*", "*"}},
		"later first wildcard":       {"a/b/c", false, []string{"a/+/c", "+/b/c"}},
		"glob later than plus":       {"a/b/c", false, []string{"a/b/*", "a/+/c"}},
		"plus later than glob":       {"a/b/c", false, []string{"a/b/+", "a/*", "a/b*"}},
		"not glob at equal position": {"a/b/c", false, []string{"a/+/c", "a/*"}},
		"pure glob has fewer plus":   {"a/b/c", false, []string{"a/*", "a/+/*"}},
		"not glob among plus":        {"a/b/c", false, []string{"a/+/+", "a/+/c*"}},
		"fewer plus":                 {"a/b/c", false, []string{"a/+/c", "a/+/+"}},
		"longer":                     {"a/b/cd", false, []string{"a/+/cd*", "a/+/c*"}},
		"lexicographic":              {"x/aa/bb", false, []string{"+/aa/+", "+/+/bb"}},
		"plus takes an empty one":    {"a/", false, []string{"a/+"}},
		"plus takes one only":        {"a/b/c", false, []string{"", "a/+", "+/+", "+"}},
		"glob needs its slash":       {"a/b", false, []string{"", "a/+/*"}},
		"glob may be empty":          {"a/b/", false, []string{"a/+/*"}},
		"glob spans segments":        {"a/b/c/d/e", false, []string{"a/+/c*", "+/*"}},
		"plus inside is literal":     {"a+b/x", false, []string{"", "a+c/x", "+b/x"}},
		"backtrack from deep trunk":  {"a/b/c/d", false, []string{"a/+/c/d", "a/b/+/x", "+/b/c/d"}},
		"exact slash for read":       {"a/", false, []string{"", "a"}},
		"list exact without slash":   {"a/", true, []string{"a", "a/*", "+"}},
		"list exact with slash":      {"a/", true, []string{"a/", "a"}},
		// GHSA-xp3c-3jw3-4vcr
		"list slash before bare":   {"a/b/", true, []string{"a/b/*", "a/b*"}},
		"list glob denies first":   {"a/b/", true, []string{"a/*", "+/b"}},
		"list bare if nothing":     {"a/b/", true, []string{"+/b"}},
		"no bare retry for read":   {"a/b/", false, []string{"", "+/b"}},
		"only one slash is cut":    {"a//", true, []string{"", "a"}},
		"no slash, no second look": {"a", true, []string{"", "a/"}},
	} {
		winner, all := c.patterns[0], slices.Clone(c.patterns)
		if winner == "" {
			all = all[1:]
		}
		for range 4 {
			got := index(t, all...).Match(c.path, c.listing)
			switch {
			case got == nil && winner != "":
				t.Errorf("%s: nothing matched %q, want %q", name, c.path, winner)
			case got != nil && *got != winner:
				t.Errorf("%s: %q decides about %q, want %q", name, *got, c.path, winner)
			}
			rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
	}
}

func TestUnder(t *testing.T) {
	for name, c := range map[string]struct {
		folder   string
		patterns []string // "!" = grants nothing
		want     bool
	}{
		"nothing":                       {"secret/", nil, false},
		"exact below":                   {"secret/", []string{"secret/data/a"}, true},
		"exact elsewhere":               {"secret/", []string{"secrets/a", "secre"}, false},
		"exact denied":                  {"secret/", []string{"!secret/a", "!secret/b"}, false},
		"glob above":                    {"secret/", []string{"s*"}, true},
		"glob below":                    {"secret/", []string{"secret/data/x*"}, true},
		"glob beside":                   {"secret/", []string{"secret2*", "secrea*"}, false},
		"glob splits a label":           {"secret/", []string{"secret/abc*", "secret/abd*"}, true},
		"closer glob denies":            {"secret/", []string{"*", "!secret/*"}, false},
		"closer glob denies, exact not": {"secret/", []string{"*", "!secret/*", "secret/a"}, true},
		"plus":                          {"secret/", []string{"+/data/a"}, true},
		"plus too short":                {"secret/", []string{"+"}, false},
		"plus elsewhere":                {"secret/", []string{"kv/+/a"}, false},
		"plus hidden by a glob":         {"secret/", []string{"+/data/a", "!secret/*"}, false},
		"plus wins at the same place":   {"secret/", []string{"secret/+/a", "!secret/*"}, true},
		"plus glob loses there":         {"secret/", []string{"secret/+/*", "!secret/*"}, false},
		"cover with plus":               {"kv/team/", []string{"!+/team/*", "+/*"}, false},
		"star beats plus at the start":  {"kv/team/", []string{"!+/team/*", "*"}, true},
		"plus glob within folder":       {"a/bc/d/", []string{"+/b*"}, true},
		"plus glob beside":              {"a/c/", []string{"+/b*"}, false},
		"everything":                    {"", []string{"a"}, true},
		"everything denied":             {"", []string{"!*"}, false},
	} {
		if got := index(t, c.patterns...).Under(c.folder); got != c.want {
			t.Errorf("%s: Under(%q) = %v", name, c.folder, got)
		}
	}
}

// Whatever a path below a folder is granted, Under must have announced.
func TestUnderMissesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "b", "ab", "+"}
	path := func(parts []string) string {
		var b []string
		for range 1 + rng.IntN(4) {
			b = append(b, parts[rng.IntN(len(parts))])
		}
		return strings.Join(b, "/")
	}
	found := 0
	for range 5000 {
		grants := map[string]bool{}
		x := &Index[bool]{}
		for range 1 + rng.IntN(6) {
			text := path(parts)
			if rng.IntN(3) == 0 && !strings.HasSuffix(text, "+") {
				text += "*"
			}
			if _, twice := grants[text]; twice {
				continue
			}
			p, err := New(text)
			if err != nil {
				t.Fatal(err)
			}
			g := rng.IntN(2) == 0
			grants[text] = g
			x.Add(p, &g, g)
		}
		x.Freeze()
		for range 20 {
			full := path(parts[:3])
			segment, _, below := strings.Cut(full, "/")
			if g := x.Match(full, false); below && g != nil && *g {
				found++
				if !x.Under(segment+"/") || !x.Under("") {
					t.Fatalf("%q is granted by %v, Under(%q) says there is nothing", full, grants, segment+"/")
				}
			}
		}
	}
	if found == 0 {
		t.Fatal("nothing was ever granted: the test tests nothing")
	}
}

func FuzzNew(f *testing.F) {
	for _, s := range []string{"secret/+/a*", "/", "a/../b", "+*", "{{x}}", "é/*", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := New(text)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Fatalf("kind of %v", err)
			}
			return
		}
		again, err := New(p.String())
		if err != nil || again.String() != p.String() {
			t.Fatalf("%q reads back as %q, %v", p.String(), again.String(), err)
		}
		x := &Index[string]{}
		x.Add(p, &text, true)
		x.Freeze()
		example := strings.ReplaceAll(p.prefix(), "+", "x")
		if p.plus == 0 {
			example = p.prefix()
		}
		if !strings.Contains(strings.ReplaceAll(p.prefix(), "/+/", ""), "+") && x.Match(example, false) == nil {
			t.Fatalf("%q does not match %q", p.String(), example)
		}
	})
}

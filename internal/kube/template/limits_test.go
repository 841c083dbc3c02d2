package template

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	texttemplate "text/template"
	"time"

	"github.com/Masterminds/sprig/v3"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// still is a clock that stands: what ends under it was ended by a count.
func still() time.Time { return time.Unix(0, 0) }

// ticking is a clock that moves by step with every look.
func ticking(step time.Duration) func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time { now = now.Add(step); return now }
}

func runStill(source string) (string, error) {
	out, err := NewRun(values(), Limits{}, still).Text("t", source)
	return string(out), err
}

// Each of these ends by a count, and says which line of the template it is.
func TestCountsEndTemplates(t *testing.T) {
	for source, want := range map[string]string{
		"\n{{ range 1000000000000 }}{{ end }}":                                                                     "t:2:9: the template runs over its limit of steps",
		"\n{{ range until 5000 }}{{ range until 5000 }}{{ end }}{{ end }}":                                         "t:2:",
		"\n{{ range 1000000000 }}x{{ continue }}{{ end }}":                                                         "t:2:",
		"\n{{ range 1000000000 }}{{ $x := len $.user }}{{ end }}":                                                  "t:2:",
		"\n{{ range 1000000000 }}{{ if eq $.user `b` }}{{ end }}{{ end }}":                                         "t:2:",
		"\n\n{{ define `a` }}\n{{ template `a` }}{{ end }}{{ template `a` }}":                                      "t:3:16: this template calls itself",
		"{{ define `a` }}{{ template `b` }}{{ end }}{{ define `b` }}{{ template `a` }}{{ end }}{{ template `b` }}": "calls itself",
		"\n{{ template `t` }}":                "t:1:",
		"\n{{ until 2000000000 }}":            "t:2:3: the template builds too much data",
		"{{ randAlphaNum 1000000 }}":          "builds too much data",
		"{{ split `` (repeat 1000000 `a`) }}": "builds too much data",
		"{{ uniq (until 10000) }}":            "builds too much data",
		"{{ toYaml (until 100000) }}":         "builds too much data",
		"{{ $x := repeat 1000000 `a` }}{{ range 1000 }}{{ $y := sha256sum $x }}{{ end }}":       "builds too much data",
		"{{ semverCompare (repeat 20000 `1 `) `1.0.0` }}":                                       "builds too much data",
		"{{ regexMatch (repeat 2000 `a`) `a` }}":                                                "longer than 1 KiB",
		"{{ regexMatch `(a{1000}|b{1000}|c{1000})` (repeat 100000 `a`) }}":                      "too large for the text",
		"{{ regexMatch (repeat 100 `()`) `a` }}":                                                "too large for the text",
		"{{ regexFindAll `` (repeat 3000000 `a`) -1 }}":                                         "builds too much data",
		"{{ regexReplaceAll `a*` (repeat 3000 `a`) (repeat 30000 `$0`) }}":                      "builds too much data",
		"{{ regexReplaceAllLiteral `a` (repeat 100000 `a`) (repeat 1000 `b`) }}":                "builds too much data",
		strings.Repeat("{{ 1 }}", 5001):                                                         "has 5001 actions",
		strings.Repeat("x", 512<<10+1):                                                          "bytes long",
		"{{ $a := list 1 }}{{ range 100 }}{{ $a = list $a $a }}{{ end }}{{ $a }}":               "more than 100 deep",
		"{{ $a := list 1 }}{{ range 50 }}{{ $a = list $a $a }}{{ end }}{{ $a }}":                "builds too much data",
		"{{ $a := list 1 }}{{ range 50 }}{{ $a = list $a $a }}{{ end }}{{ deepCopy $a }}":       "builds too much data",
		"{{ $a := dict }}{{ range 50 }}{{ $a = dict `a` $a `b` $a }}{{ end }}{{ toJson $a }}":   "builds too much data",
		"{{ $a := dict }}{{ range 50 }}{{ $a = dict `a` $a `b` $a }}{{ end }}{{ merge $a $a }}": "builds too much data",
	} {
		out, err := runStill(source)
		if !errs.Is(err, errs.TooLarge) || out != "" || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%.80s: %v (%v), want too large, %q", source, err, errs.KindOf(err), want)
		}
	}
	if out, err := runStill(nested(deepestCall - 1)); err != nil || out != "end" {
		t.Errorf("as deep as allowed: %q, %v", out, err)
	}
	if _, err := runStill(nested(deepestCall)); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "call each other") {
		t.Errorf("one deeper: %v", err)
	}
	if _, err := runStill("{{ list " + strings.Repeat("1 ", longestPipe) + "}}"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "parts") {
		t.Errorf("a long expression: %v", err)
	}
}

// nested returns n templates, each calling the next.
func nested(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{{ define `t%d` }}{{ template `t%d` }}{{ end }}", i, i+1)
	}
	return fmt.Sprintf("%s{{ define `t%d` }}end{{ end }}{{ template `t1` }}", b.String(), n)
}

// A value that contains itself overflows the stack of whatever prints, copies or
// compares it, which nothing survives.
func TestCyclicValues(t *testing.T) {
	const d, l = "{{ $d := dict `k` `v` }}{{ $_ := set $d `me` $d }}", "{{ $d := dict }}{{ $l := list $d }}{{ $_ := set $d `l` $l }}{{ $d = $l }}"
	for _, use := range []string{
		"{{ $d }}", "{{ $x := toJson $d }}", "{{ $x := toYaml $d }}", "{{ $x := toPrettyJson $d }}", "{{ $x := print $d }}", "{{ $x := printf `%v` $d }}",
		"{{ $x := cat $d }}", "{{ $x := quote $d }}", "{{ $x := toString $d }}", "{{ $x := deepCopy $d }}", "{{ $x := deepEqual $d $d }}",
		"{{ $x := merge (dict) (dict `a` $d) }}", "{{ $x := join `,` (list $d) }}", "{{ $x := html $d }}", "{{ $x := dict $d 1 }}",
		"{{ $x := eq $d $d }}", "{{ $x := ne $d 1 }}", "{{ $x := lt $d $d }}", "{{ $x := values (dict `a` $d) }}", "{{ $x := has $d (list $d) }}",
		"{{ $x := uniq (list $d $d) }}", "{{ $x := toStrings (list $d) }}", "{{ $x := sortAlpha (list $d) }}", "{{ list $d }}", "{{ template `x` $d }}{{ define `x` }}{{ . }}{{ end }}",
		"{{ $x := fail (toString $d) }}", "{{ $x := int $d }}", "{{ $x := pluck `me` $d }}",
	} {
		for _, make := range []string{d, l} {
			out, err := runStill(make + use)
			if !errs.Is(err, errs.TooLarge) && !errs.Is(err, errs.Invalid) || out != "" {
				t.Errorf("%s: %q, %v; want an error", make+use, out, err)
			}
		}
	}
	for source, want := range map[string]string{
		d + "{{ len $d }}{{ $d.me.me.me.k }}{{ hasKey $d `k` }}{{ get $d `k` }}":                           "2vtruev",
		"{{ $d := dict }}{{ $e := deepCopy $d }}{{ $_ := set $d `me` $e }}{{ toJson $d }}":                 `{"me":{}}`,
		"{{ $a := dict }}{{ range $i := until 500 }}{{ $_ := set $a (print $i) $i }}{{ end }}{{ len $a }}": "500",
	} {
		if out, err := runStill(source); err != nil || out != want {
			t.Errorf("%s: %q, %v; want %q", source, out, err, want)
		}
	}
}

func TestDeadlineIsSeenEverywhere(t *testing.T) {
	for _, source := range []string{
		"{{ range 100000 }}{{ end }}",
		"{{ range 100000 }}{{ if true }}{{ end }}{{ end }}",
		"{{ regexFindAll `.*x|.` .big -1 }}", "{{ regexSplit `.*x|.` .big -1 }}",
		"{{ regexReplaceAll `.*x|.` .big `$0` }}", "{{ regexReplaceAllLiteral `.*x|.` .big `b` }}",
	} {
		data := map[string]string{"big": strings.Repeat("a", 5000)}
		_, err := NewRun(data, Limits{}, ticking(time.Millisecond)).Text("t", source)
		if !errs.Is(err, errs.TooLarge) || !strings.Contains(fmt.Sprint(err), "1s") {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestInternalFunctionsCannotBeCalled(t *testing.T) {
	for _, name := range []string{tickName, emitName, enterName, leaveName, failName} {
		for _, form := range []string{"{{ %s }}", "{{ %s 1 }}", "{{ 1 | %s 1 }}", "{{ if (%s) }}{{ end }}", "{{ (%s).x }}"} {
			if _, err := runStill(fmt.Sprintf(form, name)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "not defined") {
				t.Errorf(form+": %v", name, err)
			}
		}
	}
}

// No literal of a template is in a message, and of a secret template no word.
func TestMessagesQuoteNoLiterals(t *testing.T) {
	for _, source := range []string{
		"{{ fail (print `WORD`) }}", "{{ b64dec `WORD!` }}", "{{ index .user `WORD` }}", "{{ template `WO RD` }}", "{{ 12WORD }}", "{{ `WORD", "{{ \"WORD", "{{ 'WORD' }}",
		"{{ `WORD` 1 }}", "{{ 1 `WORD` }}", "{{ WORD! }}", "{{ .user.x `WORD` }}", "{{ atoi `WORD` | fail }}", "{{ regexMatch `(WORD` `x` }}", "{{ fromYaml `WORD: [` }}",
		"{{ range `WORD` }}{{ end }}", "{{ define `WORD` }}{{ define `WORD` }}", "{{ end `WORD` }}", "{{ if `WORD` }}", "{{ lt `WORD` 1 }}", "{{ genPrivateKey `WORD` }}", "{{ (`WORD`).x }}",
		"{{ filterCertChain `WORD` .user }}", "{{ rsaDecrypt `WORD` `` `` `` }}", "WORD{{", "{{/* WORD", "{{ $x := `WORD` }}{{ fail $x }}", "{{ 1 | `WORD` }}",
	} {
		for name, text := range map[string]func(string, string) ([]byte, error){
			"Text": NewRun(values(), Limits{}, still).Text, "SecretText": NewRun(values(), Limits{}, still).SecretText,
		} {
			_, err := text("t", source)
			if err == nil || strings.Contains(err.Error(), "WORD") {
				t.Errorf("%s of %s: %v", name, source, err)
			}
		}
	}
	for _, source := range []string{"{{ WORD }}", "{{ .WORD }}", "{{ $WORD }}", "{{ fail `WORD` }}", "{{ `WORD` | fail }}", "{{ template `WORD` }}", "{{ .user.WORD }}"} {
		_, err := NewRun(values(), Limits{}, still).SecretText("t", source)
		if err == nil || strings.Contains(err.Error(), "WORD") || !strings.Contains(err.Error(), "t:1") {
			t.Errorf("%s: %v", source, err)
		}
		if _, err := NewRun(values(), Limits{}, still).Text("t", source); err == nil || !strings.Contains(err.Error(), "WORD") {
			t.Errorf("%s in the open: %v, want it named", source, err)
		}
	}
	// A value that happens to stand in the template too is not confirmed.
	_, err := NewRun(map[string]string{"pin": "1234"}, Limits{}, still).Text("t", "{{ if eq .pin `1234` }}{{ fail .pin }}{{ end }}")
	if err == nil || strings.Contains(err.Error(), "1234") {
		t.Errorf("%v", err)
	}
}

func TestNothingIsAnError(t *testing.T) {
	for _, source := range []string{
		"{{ first list }}", "{{ (fromJson `{\"a\":null}`).a }}", "{{ fromJson `null` }}", "{{ fromJson `wrong` }}", "{{ get (dict `a` nil) `a` }}",
		"{{ `not base64!` | b64dec }}", "{{ `a` | b32dec }}",
	} {
		if out, err := runStill(source); !errs.Is(err, errs.Invalid) || out != "" {
			t.Errorf("%s: %q, %v", source, out, err)
		}
	}
	for source, want := range map[string]string{"{{ get (dict) `a` }}": "", "{{ `` | b64dec }}": "", "{{ list }}": "[]", "{{ dict }}": "map[]", "{{ `ab` | b32enc | b32dec }}": "ab"} {
		if out, err := runStill(source); err != nil || out != want {
			t.Errorf("%s: %q, %v", source, out, err)
		}
	}
}

// The time that making keys takes depends on luck and on the machine: there is a
// count of it instead.
func TestKeysAreCounted(t *testing.T) {
	for source, fits := range map[string]bool{
		"{{ range 8 }}{{ $x := genPrivateKey `ecdsa` }}{{ end }}":   true,
		"{{ range 9 }}{{ $x := genPrivateKey `ed25519` }}{{ end }}": false,
		"{{ range 9 }}{{ $x := bcrypt `a` }}{{ end }}":              false,
	} {
		if _, err := runStill(source); (err == nil) != fits || err != nil && !errs.Is(err, errs.TooLarge) {
			t.Errorf("%s: %v", source, err)
		}
	}
	for source, units := range map[string]int{
		"{{ genPrivateKey `rsa` }}": 4, "{{ genPrivateKey `` }}": 4, "{{ $x := genCA `a` 1 }}": 1, "{{ $x := genSelfSignedCert `a` nil nil 1 }}": 1,
		"{{ htpasswd `a` `b` }}": 1, "{{ derivePassword 1 `long` `a` `b` `c` }}": 1,
	} {
		r := NewRun(nil, Limits{Keys: units}, still)
		r.budget.keys = 1
		if _, err := r.Text("t", source); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "too many keys") {
			t.Errorf("%s: %v", source, err)
		}
		if r.budget.keys != 1+units {
			t.Errorf("%s costs %d, want %d", source, r.budget.keys-1, units)
		}
	}
	for _, source := range []string{"{{ genPrivateKey `dsa` }}", "{{ genCAWithKey `a` 1 (repeat 20000 `k`) }}"} {
		if _, err := runStill(source); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", source, err)
		}
	}
	archive := "\x30\x07\x04\x00\x02\x03\x0f\x42\x40" // a salt and a million rounds
	if _, err := NewRun(map[string]string{"a": archive}, Limits{Keys: 3}, still).Text("t", "{{ pkcs12cert .a }}"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("an archive: %v", err)
	}
	b := &budget{limits: Limits{}.withDefaults(), now: ticking(time.Minute)}
	before := b.deadline
	if _, err := labour(b, 1, func() int { return 0 }); err != nil || b.deadline.Sub(before) != time.Minute {
		t.Errorf("the deadline moved by %v: %v", b.deadline.Sub(before), err)
	}
	ca := "{{ $ca := genCA `ca` 1 }}{{ $c := genSignedCertWithKey `a` (list `10.0.0.1`) (list `a.example`) 1 $ca $ca.Key }}{{ certSANs $c.Cert | join `,` }}"
	if out, err := runStill(ca); err != nil || out != "a.example,10.0.0.1" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestMethods(t *testing.T) {
	for source, want := range map[string]string{
		"{{ (toDate `2006-01-02` `2026-03-04`).Year }}":                                 "2026",
		"{{ ((toDate `2006-01-02` `2026-03-04`).AddDate 0 0 7).Day }}":                  "11",
		"{{ (toDate `2006-01-02` `2026-03-04`).Format `02.01.2006` }}":                  "04.03.2026",
		"{{ (semver `1.2.3`).Minor }}{{ $v := semver `1.2.3` }}{{ $v.IncMajor.Major }}": "22",
	} {
		if out, err := runStill(source); err != nil || out != want {
			t.Errorf("%s: %q, %v; want %q", source, out, err, want)
		}
	}
	for _, source := range []string{"{{ $t := now }}{{ $x := `1` }}{{ range 40 }}{{ $x = $t.Format $x }}{{ end }}", "{{ `1` | (now).Format }}", "{{ (now).Format (print 1) }}"} {
		if _, err := runStill(source); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "constants") {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// The bounded functions say what sprig's and text/template's say.
func TestSameAsTheOriginals(t *testing.T) {
	originals := texttemplate.New("").Funcs(sprig.TxtFuncMap())
	for _, source := range []string{
		"{{ regexFindAll `a|b*` `xabbay` -1 }}", "{{ regexFindAll `a` `aaa` 2 }}", "{{ len (regexFindAll `a` `aaa` 0) }}", "{{ regexFind `b+` `abbb` }}", "{{ regexMatch `^a` `ba` }}",
		"{{ regexSplit `,\\s*` `a, b,c` -1 }}", "{{ len (regexSplit `,` `a,b,c` 2) }}", "{{ regexReplaceAll `(a)(b)?` `abac` `$2-${1}` }}", "{{ regexReplaceAllLiteral `a` `aba` `$1` }}",
		"{{ regexReplaceAll `^|\\b` `a b` `|` }}", "{{ regexReplaceAll `` `ab` `-` }}",
		"{{ eq 1 1 }}{{ eq 1 2 3 1 }}{{ eq `a` `b` }}{{ ne 1.5 1.5 }}{{ eq nil nil }}{{ eq true false }}", "{{ lt 1 2 }}{{ le `b` `a` }}{{ gt 2.5 1.5 }}{{ ge 2 2 }}{{ lt (len `a`) 3 }}",
		"{{ eq (int64 3) 3 }}{{ and 1 0 }}{{ or 0 `x` }}{{ not 1 }}{{ index (list 1 2) 1 }}{{ len `abc` }}",
		"{{ range $i, $x := list 1 2 }}{{ if $i }},{{ else }}:{{ end }}{{ $x }}{{ else }}none{{ end }}", "{{ with `` }}a{{ else with `b` }}{{ . }}{{ end }}",
		"{{ print 1 2 `a` }}{{ println 3 }}{{ printf `%q` `a` }}{{ html `<` }}{{ js `'` }}{{ urlquery `a b` }}", "{{- 1 -}} x {{- /* no */ -}} y",
	} {
		var want strings.Builder
		original, err := originals.Clone()
		if err == nil {
			_, err = original.Parse(source)
		}
		if err == nil {
			err = original.Execute(&want, nil)
		}
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if out, err := runStill(source); err != nil || out != want.String() {
			t.Errorf("%s: %q, %v; want %q", source, out, err, &want)
		}
	}
}

func TestCompare(t *testing.T) {
	ordered := []any{int64(math.MinInt64), int32(-1), 0, uint8(1), uint64(math.MaxUint64)}
	for i, x := range ordered {
		for j, y := range ordered {
			if n, err := compare(x, y); err != nil || (n < 0) != (i < j) || (n > 0) != (i > j) {
				t.Errorf("compare(%v, %v) = %d, %v", x, y, n, err)
			}
			if same, err := equal(x, y); err != nil || same != (i == j) {
				t.Errorf("equal(%v, %v) = %v, %v", x, y, same, err)
			}
		}
	}
	for _, pair := range [][2]any{{1, "1"}, {1, 1.0}, {[]int{1}, []int{1}}, {map[string]int{"a": 1}, 1}, {struct{ x any }{[]int{}}, 1}} {
		if _, err := equal(pair[0], pair[1]); err == nil {
			t.Errorf("equal%v: no error", pair)
		}
		if _, err := compare(pair[0], pair[1]); err == nil {
			t.Errorf("compare%v: no error", pair)
		}
	}
	if _, err := equal(1); err == nil {
		t.Error("equal of one value: no error")
	}
}

func TestYAMLIsBounded(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ","))
	}
	large := "a: &a " + strings.Repeat("x", 100_000) + "\nb: [" + strings.TrimSuffix(strings.Repeat("*a,", 1000), ",") + "]"
	merged := "a: &a {k: " + strings.Repeat("x", 100_000) + "}\n"
	for i := range 100 {
		merged += fmt.Sprintf("b%d: {<<: *a}\n", i)
	}
	for name, text := range map[string]string{
		"aliases of aliases": bomb, "aliases of much": large, "merges": merged, "itself": "a: &a [*a]", "deep": strings.Repeat("[", 200) + strings.Repeat("]", 200),
		"long": strings.Repeat("# comment\n", 200_000), "wrong": "a: [", "very deep": strings.Repeat("[", 100_000),
	} {
		if _, err := YAMLToJSON([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
		r := NewRun(map[string]string{"y": text}, Limits{}, still)
		if _, err := r.Text("t", "{{ $x := fromYaml .y }}"); err == nil {
			t.Errorf("fromYaml, %s: no error", name)
		}
	}
	out, err := YAMLToJSON([]byte("a: &a {k: v}\nb: *a\nc: {<<: *a, l: 1}\n"))
	if want := `{"a":{"k":"v"},"b":{"k":"v"},"c":{"k":"v","l":1}}`; err != nil || string(out) != want {
		t.Errorf("%s, %v", out, err)
	}
}

func TestSize(t *testing.T) {
	type pair struct{ A, B string }
	for _, c := range []struct {
		v    any
		want int
	}{{"abc", word + 3}, {[]byte("abc"), word + 3}, {[]any{"a"}, 3*word + 1}, {map[string]any{"k": nil}, 3*word + 1}, {&pair{"a", "b"}, 4*word + 2}, {1, word}} {
		if n, err := size(reflect.ValueOf(c.v), 1000); err != nil || n != c.want {
			t.Errorf("size(%v) = %d, %v; want %d", c.v, n, err, c.want)
		}
		if _, err := size(reflect.ValueOf(c.v), c.want-1); err == nil {
			t.Errorf("size(%v) fits into less", c.v)
		}
	}
}

// The parser's messages that are passed on hold no literals, whatever they are.
func TestPatternsRefuseLiterals(t *testing.T) {
	for _, re := range []*regexp.Regexp{grammatical(), factual()} {
		for _, text := range []string{`unexpected "x" in operand`, `bad number syntax: "12s"`, `can't give argument to non-function "x"`, `template "a b" not defined`, `map has no entry for key "a b"`} {
			if re.MatchString(text) {
				t.Errorf("%s lets through %s", re, text)
			}
		}
	}
	if got := slices.ContainsFunc([]string{`"a"`, "`a`", "12", "'a'", `.x "a"`, ".x 1"}, identifiers().MatchString); got {
		t.Error("a literal counts as an identifier")
	}
}

func FuzzYAMLToJSON(f *testing.F) {
	for _, seed := range []string{"a: 1", "a: &a [*a]", "a: &a {b: c}\nd: {<<: *a}", "- |\n  x", "{[}: 1", "? [a]\n: b"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if out, err := YAMLToJSON(text); err == nil && len(out) > 8*expandedYAML {
			t.Errorf("%d bytes came out of %d", len(out), len(text))
		}
	})
}

package rewrite

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-19d2"

func secrets(pairs map[string]string) map[string]redact.Secret {
	out := map[string]redact.Secret{}
	for k, v := range pairs {
		out[k] = redact.FromString(v)
	}
	return out
}

func operations(t testing.TB, text string) []v1.Rewrite {
	t.Helper()
	var ops []v1.Rewrite
	if err := yaml.UnmarshalStrict([]byte(text), &ops); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return ops
}

var options = Options{Now: time.Now}

// facts/external-secrets.md §1.2: rewrite.
func TestApply(t *testing.T) {
	for name, c := range map[string]struct {
		ops      string
		in, want map[string]string
	}{
		"nothing":             {"[]", map[string]string{"a/b": "1"}, map[string]string{"a/b": "1"}},
		"a path is taken off": {`[{regexp: {source: "path/to/my/secrets/(.*)", target: "$1"}}]`, map[string]string{"path/to/my/secrets/user": "1", "other": "2"}, map[string]string{"user": "1", "other": "2"}},
		"a prefix":            {`[{regexp: {source: "(.*)", target: "dev_$1"}}]`, map[string]string{"password": "1"}, map[string]string{"dev_password": "1"}},
		"whole expression":    {`[{regexp: {source: "^(.+)$", target: "x-${1}y"}}]`, map[string]string{"a": "1"}, map[string]string{"x-ay": "1"}},
		"every match":         {`[{regexp: {source: "[^a-zA-Z0-9 -]", target: "_"}}]`, map[string]string{"foo/bar": "1", "foo$baz": "2"}, map[string]string{"foo_bar": "1", "foo_baz": "2"}},
		"one after the other": {`[{regexp: {source: a, target: b}}, {regexp: {source: b, target: c}}]`, map[string]string{"a": "1"}, map[string]string{"c": "1"}},
		"empty matches":       {`[{regexp: {source: "", target: "."}}]`, map[string]string{"ab": "1"}, map[string]string{".a.b.": "1"}},
		"swapped":             {`[{transform: {template: '{{ if eq .value "a" }}b{{ else }}a{{ end }}'}}]`, map[string]string{"a": "1", "b": "2"}, map[string]string{"b": "1", "a": "2"}},
		"left out":            {`[{regexp: {source: "^drop/.*", target: ""}}]`, map[string]string{"drop/a": "1", "drop/b": "2", "keep": "3"}, map[string]string{"keep": "3"}},
		"transform":           {`[{transform: {template: '{{ .value | upper | replace "/" "-" }}'}}]`, map[string]string{"a/b": "1"}, map[string]string{"A-B": "1"}},
		"merge": {`[{merge: {}}]`, map[string]string{"p/s3": `{"ACCESS":"x","n":12345678901234567890}`, "p/db": `{"USER":"<&>","o":{"a": [1]}, "none":null}`},
			map[string]string{"ACCESS": "x", "n": "12345678901234567890", "USER": "<&>", "o": `{"a":[1]}`, "none": ""}},
		"merge, later wins":       {`[{merge: {conflictPolicy: Ignore}}]`, map[string]string{"a": `{"k":"a"}`, "b": `{"k":"b"}`}, map[string]string{"k": "b"}},
		"merge, priority wins":    {`[{merge: {conflictPolicy: Ignore, priority: [b, a]}}]`, map[string]string{"a": `{"k":"a"}`, "b": `{"k":"b"}`, "c": `{"k":"c"}`}, map[string]string{"k": "a"}},
		"merge, named twice":      {`[{merge: {priority: [a, a]}}]`, map[string]string{"a": `{"k":"a"}`}, map[string]string{"k": "a"}},
		"merge, priority ignored": {`[{merge: {priority: [nope, a], priorityPolicy: IgnoreNotFound}}]`, map[string]string{"a": `{"k":"a"}`}, map[string]string{"k": "a"}},
		"merge as JSON": {`[{merge: {strategy: JSON, into: all}}]`, map[string]string{"a": `{"x":"<&>"}`, "b": `{"y":2}`},
			map[string]string{"a": `{"x":"<&>"}`, "b": `{"y":2}`, "all": `{"x":"<&>","y":2}`}},
		"merge as JSON, over what is there": {`[{merge: {strategy: JSON, into: a}}]`, map[string]string{"a": `{"x":"1"}`, "b": `{"y":2}`}, map[string]string{"a": `{"x":"1","y":2}`, "b": `{"y":2}`}},
		"merge of nothing":                  {`[{merge: {}}]`, nil, nil},
		"merge, then keys":                  {`[{merge: {}}, {regexp: {source: "^", target: "db_"}}]`, map[string]string{"a": `{"user":"u"}`}, map[string]string{"db_user": "u"}},
	} {
		in := secrets(c.in)
		got, err := Apply(operations(t, c.ops), in, options)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		plain := map[string]string{}
		for k, v := range got {
			plain[k] = v.RevealString()
		}
		if len(plain) != len(c.want) || !maps.Equal(plain, c.want) && len(c.want) > 0 {
			t.Errorf("%s: %v, want %v", name, plain, c.want)
		}
		for k, v := range c.in {
			if in[k].RevealString() != v || len(in) != len(c.in) {
				t.Errorf("%s: the input was changed", name)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	in := map[string]string{"a/x": canary, "b/x": canary + "2"}
	for ops, want := range map[string]struct {
		kind  errs.Kind
		words string
	}{
		`[{regexp: {source: "^./", target: ""}}]`:                                    {errs.Invalid, `rewrite[0]: keys "a/x" and "b/x" both become "x"`},
		`[{transform: {template: same}}]`:                                            {errs.Invalid, `both become "same"`},
		`[{regexp: {source: "(", target: ""}}]`:                                      {errs.Invalid, "rewrite[0].regexp.source"},
		`[{regexp: {source: "(?=x)", target: ""}}]`:                                  {errs.Invalid, "rewrite[0].regexp.source"},
		`[{regexp: {source: "((a{100}){10}){10}", target: ""}}]`:                     {errs.Invalid, "rewrite[0].regexp.source"},
		`[{regexp: {source: "` + strings.Repeat(".{1000}", 25) + `", target: ""}}]`:  {errs.Invalid, "too large an expression"},
		`[{regexp: {source: x, target: x}}, {transform: {template: '{{ .nope }}'}}]`: {errs.Invalid, "rewrite[1]"},
		`[{transform: {template: '{{ .value | nope }}'}}]`:                           {errs.Invalid, "rewrite[0]"},
		`[{transform: {template: '{{ range 1000000000 }}x{{ end }}'}}]`:              {errs.TooLarge, "rewrite[0]"},
		`[{transform: {template: '{{ repeat 5000 "x" }}'}}]`:                         {errs.TooLarge, "over 4096 bytes"},
		`[{merge: {}}]`:                                 {errs.Invalid, `the value of key "a/x" is not a JSON object`},
		`[{merge: {priority: [nope]}}]`:                 {errs.Invalid, `there is no key "nope"`},
		`[{merge: {strategy: JSON}}]`:                   {errs.Invalid, "needs into"},
		`[{merge: {strategy: Nope}}]`:                   {errs.Invalid, `"Nope" is not one of Extract and JSON`},
		`[{merge: {conflictPolicy: Nope}}]`:             {errs.Invalid, "conflictPolicy"},
		`[{merge: {priorityPolicy: Nope}}]`:             {errs.Invalid, "priorityPolicy"},
		`[{}]`:                                          {errs.Invalid, "exactly one of"},
		`[{merge: {}, regexp: {source: a, target: b}}]`: {errs.Invalid, "exactly one of"},
	} {
		_, err := Apply(operations(t, ops), secrets(in), options)
		if !errs.Is(err, want.kind) || !strings.Contains(err.Error(), want.words) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v (%v), want %v with %q", ops, err, errs.KindOf(err), want.kind, want.words)
		}
	}
	_, err := Apply(operations(t, `[{merge: {}}]`), secrets(map[string]string{"a": `{"k":"` + canary + `"}`, "b": `{"k":1}`}), options)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `"k" is in both "a" and "b"`) || strings.Contains(err.Error(), canary) {
		t.Errorf("a conflict: %v", err)
	}
}

// What explodes does so within bounds: of an expression, of one key, of all keys
// together, of time.
func TestBounds(t *testing.T) {
	many := map[string]string{}
	for i := range maxKeys + 1 {
		many[fmt.Sprint("k", i)] = "v"
	}
	long := strings.Repeat("a", 1000)
	for name, c := range map[string]struct {
		ops  []v1.Rewrite
		in   map[string]string
		kind errs.Kind
	}{
		"source":     {[]v1.Rewrite{{Regexp: &v1.RewriteRegexp{Source: strings.Repeat("a", maxExpression+1)}}}, nil, errs.Invalid},
		"target":     {[]v1.Rewrite{{Regexp: &v1.RewriteRegexp{Source: "a", Target: strings.Repeat("$0", maxExpression)}}}, nil, errs.Invalid},
		"copies":     {[]v1.Rewrite{{Regexp: &v1.RewriteRegexp{Source: ".*", Target: strings.Repeat("$0", 2000)}}}, map[string]string{long: "v"}, errs.TooLarge},
		"in steps":   {operations(t, `[{regexp: {source: ".*", target: "$0$0"}}, {regexp: {source: "a", target: "aaaaa"}}]`), map[string]string{long: "v"}, errs.TooLarge},
		"groups":     {[]v1.Rewrite{{Regexp: &v1.RewriteRegexp{Source: strings.Repeat("(a)", maxGroups+1)}}}, nil, errs.Invalid},
		"steps":      {operations(t, `[{regexp: {source: "(x+x+)+y{900}", target: ""}}]`), map[string]string{strings.Repeat("x", 4000): "v"}, errs.TooLarge},
		"keys":       {operations(t, `[{regexp: {source: "k", target: "l"}}]`), many, errs.TooLarge},
		"bytes":      {operations(t, `[{merge: {strategy: JSON, into: b}}]`), map[string]string{"a": `{"k":"` + strings.Repeat("x", maxBytes/2) + `"}`}, errs.TooLarge},
		"operations": {make([]v1.Rewrite, maxOperations+1), nil, errs.Invalid},
	} {
		if _, err := Apply(c.ops, secrets(c.in), options); !errs.Is(err, c.kind) {
			t.Errorf("%s: %.200v (%v), want %v", name, err, errs.KindOf(err), c.kind)
		}
	}
	now := time.Unix(1_800_000_000, 0)
	late := Options{Now: func() time.Time { now = now.Add(time.Second); return now }}
	if _, err := Apply(operations(t, `[{regexp: {source: k, target: l}}]`), secrets(map[string]string{"k1": "", "k2": "", "k3": "", "k4": "", "k5": "", "k6": ""}), late); !errs.Is(err, errs.TooLarge) {
		t.Errorf("time: %v, want too large", err)
	}
}

func FuzzRegexp(f *testing.F) {
	f.Add("(.*)/(.*)", "$2_$1", "a/b", "c")
	f.Add("", "$0$0", "", "x")
	f.Add(`\b`, "${name}", "ü/ö", "a b")
	f.Fuzz(func(t *testing.T, source, target, a, b string) {
		in := map[string]string{a: canary, b: canary}
		got, err := Apply([]v1.Rewrite{{Regexp: &v1.RewriteRegexp{Source: source, Target: target}}}, secrets(in), options)
		if err != nil {
			if k := errs.KindOf(err); k != errs.Invalid && k != errs.TooLarge {
				t.Errorf("%v (%v)", err, k)
			}
			return
		}
		if len(got) > len(in) {
			t.Errorf("%d keys of %d", len(got), len(in))
		}
		for key := range got {
			if len(key) > maxKey || key == "" {
				t.Errorf("a key of %d bytes", len(key))
			}
		}
	})
}

func FuzzTransform(f *testing.F) {
	f.Add("{{ .value | upper }}", "a/b")
	f.Add("{{ range 5 }}{{ $.value }}{{ end }}", "x")
	f.Add("{{", "")
	f.Fuzz(func(t *testing.T, text, key string) {
		got, err := Apply([]v1.Rewrite{{Transform: &v1.RewriteTransform{Template: text}}}, secrets(map[string]string{key: canary}), options)
		if err != nil {
			if k := errs.KindOf(err); k != errs.Invalid && k != errs.TooLarge {
				t.Errorf("%v (%v)", err, k)
			}
			return
		}
		if len(got) > 1 {
			t.Errorf("%d keys", len(got))
		}
	})
}

func FuzzMerge(f *testing.F) {
	f.Add(`{"a":1}`, `{"a":"x","b":{"c":[null]}}`, "into", true)
	f.Add(`{`, `null`, "", false)
	f.Fuzz(func(t *testing.T, a, b, into string, asJSON bool) {
		op := &v1.RewriteMerge{Into: into, ConflictPolicy: conflictIgnore}
		if asJSON {
			op.Strategy = strategyJSON
		}
		got, err := Apply([]v1.Rewrite{{Merge: op}}, secrets(map[string]string{"a": a, "b": b}), options)
		if err != nil {
			if k := errs.KindOf(err); k != errs.Invalid && k != errs.TooLarge {
				t.Errorf("%v (%v)", err, k)
			}
			return
		}
		if asJSON && got[into].Empty() {
			t.Errorf("nothing at %q", into)
		}
	})
}

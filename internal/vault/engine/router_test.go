package engine

import (
	"context"
	"maps"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func handler(context.Context, Tx, *Request) (*Response, error) { return nil, nil }

func route(pattern string, ops ...Operation) Route {
	if len(ops) == 0 {
		ops = []Operation{Read}
	}
	r := Route{Pattern: pattern, Handlers: map[Operation]Handler{}, Summary: "Summary of " + pattern + "."}
	for _, op := range ops {
		r.Handlers[op] = handler
	}
	return r
}

func TestMatch(t *testing.T) {
	router, err := NewRouter([]Route{
		route("config"),
		route("roles", List, Update),
		route("roles/{name}", Read, Update),
		route("roles/{name}/secret-id", List),
		route("roles/{name}/tags/{tag}"),
		route("meta/special"),
		route("metadata/{path...}", Read, List),
		route("{path...}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	type params = map[string]string
	for _, c := range []struct {
		path    string
		pattern string
		params  params
	}{
		{"config", "config", nil},
		{"config/", "{path...}", params{"path": "config/"}}, // no List handler: the slash makes it another path
		{"roles", "roles", nil},
		{"roles/", "roles", nil},
		{"roles/a", "roles/{name}", params{"name": "a"}},
		{"roles/a/", "{path...}", params{"path": "roles/a/"}},
		{"roles//", "{path...}", params{"path": "roles//"}},
		{"roles/a/secret-id", "roles/{name}/secret-id", params{"name": "a"}},
		{"roles/a/secret-id/", "roles/{name}/secret-id", params{"name": "a"}},
		{"roles/a/tags/t", "roles/{name}/tags/{tag}", params{"name": "a", "tag": "t"}},
		{"roles//tags/t", "{path...}", params{"path": "roles//tags/t"}},
		{"meta/special", "meta/special", nil},
		{"metadata/special/x", "metadata/{path...}", params{"path": "special/x"}},
		{"metadata//x", "metadata/{path...}", params{"path": "/x"}},
		{"metadatax", "{path...}", params{"path": "metadatax"}},
		{"metadata", "metadata/{path...}", params{"path": ""}},
		{"metadata/", "metadata/{path...}", params{"path": ""}},
		{"metadata/foo/", "metadata/{path...}", params{"path": "foo/"}},
		{"roles/a/tags/", "{path...}", params{"path": "roles/a/tags/"}},
		{"", "{path...}", params{"path": ""}},
		{"/", "{path...}", params{"path": "/"}},
	} {
		got, params, ok := router.Match(c.path)
		if !ok || got.Pattern != c.pattern || !maps.Equal(params, c.params) {
			t.Errorf("Match(%q) = %v %q %v, want %q %v", c.path, ok, got.Pattern, params, c.pattern, c.params)
		}
	}
}

func TestMatchNothing(t *testing.T) {
	router, err := NewRouter([]Route{route("a/{x}"), route("b"), route("")})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"a", "a/", "a//", "a/b/c", "a/b/", "b/", "b/c", "c", "/", "/b", "/a/x"} {
		if got, _, ok := router.Match(path); ok {
			t.Errorf("Match(%q) = %q, want nothing", path, got.Pattern)
		}
	}
	if _, _, ok := router.Match(""); !ok {
		t.Error(`"" must match the empty pattern`)
	}
}

// A policy on "roles" must not be passed by with "roles/": behind a slash that
// the pattern does not have, only LIST is served.
func TestTrailingSlashServesListOnly(t *testing.T) {
	router, err := NewRouter([]Route{route("roles", Read, Update, Delete, List)})
	if err != nil {
		t.Fatal(err)
	}
	with, _, _ := router.Match("roles/")
	without, _, _ := router.Match("roles")
	for op := Read; op < Help; op++ {
		if got, want := with.Handler(op) != nil, op == List; got != want {
			t.Errorf("roles/ serves %s: %v, want %v", op, got, want)
		}
		if got, want := without.Handler(op) != nil, op != Patch; got != want {
			t.Errorf("roles serves %s: %v, want %v", op, got, want)
		}
	}
}

func TestNewRouterRefuses(t *testing.T) {
	bad := func(change func(*Route)) []Route {
		r := route("a")
		change(&r)
		return []Route{r}
	}
	for name, c := range map[string]struct {
		routes []Route
		text   string
	}{
		"empty segment":    {[]Route{route("a//b")}, "literal segment"},
		"leading slash":    {[]Route{route("/a")}, "literal segment"},
		"trailing slash":   {[]Route{route("a/")}, "literal segment"},
		"dots":             {[]Route{route("a/../b")}, "literal segment"},
		"half a parameter": {[]Route{route("a/{b")}, "parameter like"},
		"no name":          {[]Route{route("a/{}")}, "parameter like"},
		"bad name":         {[]Route{route("a/{B}")}, "parameter like"},
		"optional":         {[]Route{route("a/{b...?}")}, "parameter like"},
		"inside a segment": {[]Route{route("a/x{b}")}, "literal segment"},
		"rest not last":    {[]Route{route("a/{b...}/c")}, "last segment"},
		"name twice":       {[]Route{route("{b}/{b}")}, "appears twice"},
		"declared twice":   {[]Route{route("a/{x}"), route("a/{y}")}, "never be reached"},
		"hidden by rest":   {[]Route{route("a/{x...}"), route("a/b/c")}, "never be reached"},
		"hidden root":      {[]Route{route("a/{x...}"), route("a")}, "never be reached"},
		"hidden by all":    {[]Route{route("{x...}"), route("b")}, "never be reached"},
		"hidden by param":  {[]Route{route("a/{x}"), route("a/b")}, "never be reached"},
		"crossing":         {[]Route{route("a/{x}"), route("{y}/b")}, "ambiguous"},
		"crossing rest":    {[]Route{route("{y}/b"), route("a/{x...}")}, "ambiguous"},
		"no handlers":      {bad(func(r *Route) { r.Handlers = nil }), "no handlers"},
		"nil handler":      {bad(func(r *Route) { r.Handlers[Read] = nil }), "no handler can serve"},
		"handler of help":  {bad(func(r *Route) { r.Handlers[Help] = handler }), "no handler can serve"},
		"handler of zero":  {bad(func(r *Route) { r.Handlers[0] = handler }), "no handler can serve"},
		"field twice":      {bad(func(r *Route) { r.Fields = []Field{{Name: "x"}, {Name: "x"}} }), "declared twice"},
		"read only for no one": {bad(func(r *Route) {
			r.Handlers, r.ReadOnly = map[Operation]Handler{Update: handler}, true
		}), "neither Read nor List"},
		"field has no name": {bad(func(r *Route) { r.Fields = []Field{{}} }), "empty"},
	} {
		_, err := NewRouter(c.routes)
		if !errs.Is(err, errs.Internal) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want an Internal error with %q", name, err, c.text)
		}
	}
	for name, routes := range map[string][]Route{
		"special first":  {route("a/b"), route("a/{x}"), route("a/{x...}"), route("{y...}")},
		"different size": {route("a/{x}"), route("{y}/b/c")},
		"disjoint":       {route("a/{x}/c"), route("a/{x}/d")},
		"none":           {},
	} {
		if _, err := NewRouter(routes); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHandlerFallsBackToUpdate(t *testing.T) {
	r := route("a", Update)
	if r.Handler(Create) == nil || r.Handler(Update) == nil || r.Handler(Read) != nil {
		t.Error("Update must serve Create, and nothing else")
	}
	if r := route("a", Create); r.Handler(Update) != nil {
		t.Error("Create must not serve Update")
	}
}

func TestReadsOnly(t *testing.T) {
	r := route("a", Read, List, Update)
	for op := Read; op <= Help; op++ {
		r.ReadOnly = true
		if got, want := r.ReadsOnly(op), op == Read || op == List; got != want {
			t.Errorf("a ReadOnly route reads only on %s: %v, want %v", op, got, want)
		}
		r.ReadOnly = false
		if r.ReadsOnly(op) {
			t.Errorf("a route that promises nothing reads only on %s", op)
		}
	}
}

func TestUnknownFields(t *testing.T) {
	b, err := ParseBody([]byte(`{"z":1,"ttl":2,"b":null}`))
	if err != nil {
		t.Fatal(err)
	}
	r := Route{Fields: []Field{{Name: "ttl"}}}
	if got := strings.Join(r.UnknownFields(b), " "); got != "b z" {
		t.Errorf("unknown fields %q, want b z", got)
	}
	r.Fields = append(r.Fields, Field{Name: AnyField})
	if got := r.UnknownFields(b); got != nil {
		t.Errorf("unknown fields %q of a route that takes any", got)
	}
}

func TestHelp(t *testing.T) {
	r := route("roles/{name}", Read, Update)
	r.Help, r.Sudo = "What it does.", true
	r.Fields = []Field{{Name: "ttl", Type: Duration, Help: "How long.", Default: "1h"}, {Name: AnyField, Help: "Kept."}}
	router, err := NewRouter([]Route{r, route("config")})
	if err != nil {
		t.Fatal(err)
	}
	text := func(path string) string {
		res := router.Help("db/", path)
		b, err := ParseBody(res.Data)
		if err != nil || !res.TopLevel {
			t.Fatalf("help of %q: %s, %v", path, res.Data, err)
		}
		d := b.Decode()
		return d.String("help", "")
	}
	one := text("roles/x")
	for _, want := range []string{"db/roles/{name}", "read, update", "sudo", "Summary of roles/{name}.", "What it does.", "ttl (duration)", "How long.", "Default: 1h", "any other name"} {
		if !strings.Contains(one, want) {
			t.Errorf("help of a route lacks %q:\n%s", want, one)
		}
	}
	for _, path := range []string{"", "/", "nowhere"} {
		all := text(path)
		for _, want := range []string{`"db/"`, "roles/{name}", "config", "Summary of config."} {
			if !strings.Contains(all, want) {
				t.Errorf("help of %q lacks %q:\n%s", path, want, all)
			}
		}
	}
}

// covers and overlaps decide what NewRouter refuses; match is the truth they
// are held against.
func FuzzPatterns(f *testing.F) {
	f.Add("a/{x}", "{y}/b", "a/b")
	f.Add("a/{x...}", "a", "a/")
	f.Add("{x...}", "", "")
	f.Fuzz(func(t *testing.T, one, two, path string) {
		p, err := compile(one)
		if err != nil {
			return
		}
		q, err := compile(two)
		if err != nil {
			return
		}
		inP, inQ := p.match(path, nil), q.match(path, nil)
		if inQ && !inP && p.covers(&q) {
			t.Errorf("%q covers %q but does not match %q", one, two, path)
		}
		if inP && inQ && !p.overlaps(&q) {
			t.Errorf("%q and %q both match %q but do not overlap", one, two, path)
		}
		if p.covers(&q) && !p.overlaps(&q) {
			t.Errorf("%q covers %q but does not overlap it", one, two)
		}
		params := map[string]string{}
		if p.match(path, params) != inP || inP && len(params) != p.names {
			t.Errorf("%q on %q: params %v", one, path, params)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	router, err := NewRouter([]Route{route("config"), route("data/{path...}"), route("metadata/{path...}", Read, List), route("{path...}")})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		router.Match("data/my-app/config")
	}
}

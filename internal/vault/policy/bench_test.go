package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// large returns an ACL of n rules: a third each exact, "*" and "+".
func large(t testing.TB, n int) *ACL {
	t.Helper()
	var b strings.Builder
	for i := range n {
		team := i / 3
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "path \"secret/data/team-%d/config\" { capabilities = [\"read\"] }\n", team)
		case 1:
			fmt.Fprintf(&b, "path \"secret/data/team-%d/app-*\" { capabilities = [\"read\", \"update\"] }\n", team)
		case 2:
			fmt.Fprintf(&b, "path \"secret/+/team-%d/+/key\" { capabilities = [\"read\"] }\n", team)
		}
	}
	return Compile(parse(t, "large", b.String()))
}

func questions(n int) map[string]Query {
	team := n / 6
	return map[string]Query{
		"exact": {Path: fmt.Sprintf("secret/data/team-%d/config", team), Want: Read},
		"glob":  {Path: fmt.Sprintf("secret/data/team-%d/app-7/db", team), Want: Update},
		"plus":  {Path: fmt.Sprintf("secret/data/team-%d/x/key", team), Want: Read},
		"none":  {Path: "secret/data/nobody/config", Want: Read},
		"list":  {Path: fmt.Sprintf("secret/data/team-%d/", team), Want: List},
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		acl := large(b, n)
		for _, name := range []string{"exact", "glob", "plus", "none", "list"} {
			q := questions(n)[name]
			b.Run(fmt.Sprintf("rules=%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					acl.Decide(q)
				}
			})
		}
	}
}

func BenchmarkDecideParameters(b *testing.B) {
	acl := Compile(parse(b, "p", `path "a" { capabilities = ["update"] allowed_parameters = { "ttl" = ["1h", "2h"], "*" = [] } required_parameters = ["ttl"] }`))
	body, err := engine.ParseBody([]byte(`{"ttl": "2h", "policies": ["a", "b"]}`))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !acl.Decide(Query{Path: "a", Want: Update, Params: &body}).Allowed {
			b.Fatal("refused")
		}
	}
}

func BenchmarkACLFor(b *testing.B) {
	ctx, s, book := b.Context(), newShelf(), NewBook(Config{})
	mustPut(b, book, s, "default", DefaultText)
	mustPut(b, book, s, "team-app", allow("x"))
	names := []string{"default", "team-app"}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := book.ACLFor(ctx, s, Subject{Names: names}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		parse(b, "default", DefaultText)
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "path \"secret/+/team-%d/*\" { capabilities = [\"read\"] }\n", i)
		}
		p := parse(b, "p", text.String())
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Compile(p)
			}
		})
	}
}

// The path of every request must not allocate.
func TestNoAllocations(t *testing.T) {
	acl := large(t, 300)
	body, err := engine.ParseBody([]byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range questions(300) {
		q.Params = &body
		if got := testing.AllocsPerRun(100, func() { acl.Decide(q) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
		if d := acl.Decide(q); d.Allowed != (name != "none" && name != "list") {
			t.Errorf("%s: %v", name, d.Reason)
		}
	}
	ctx, s, book := t.Context(), newShelf(), NewBook(Config{})
	mustPut(t, book, s, "default", DefaultText)
	mustPut(t, book, s, "team-app", allow("x"))
	names := []string{"default", "missing", "team-app"}
	if got := testing.AllocsPerRun(100, func() {
		if _, _, err := book.ACLFor(ctx, s, Subject{Names: names}); err != nil {
			t.Fatal(err)
		}
	}); got != 0 {
		t.Errorf("ACLFor: %v allocations", got)
	}
}

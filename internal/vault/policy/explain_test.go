package policy

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

func parsed(t *testing.T, name, text string) *Policy {
	t.Helper()
	p, err := Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// names are parameters of which only the names count.
type params map[string]string

func (p params) Names() []string {
	var all []string
	for name := range p {
		all = append(all, name)
	}
	return all
}
func (p params) Field(name string) jsontext.Value { return jsontext.Value(p[name]) }

// Complaint 6 of facts §5: a denial says which rule decided and what to add.
func TestExplain(t *testing.T) {
	const app = `
path "secret/data/app/*" {
  capabilities = ["read"]
}
path "secret/data/app/locked" { capabilities = ["deny"] }
path "kv/limited" {
  capabilities = ["update"]
  required_parameters = ["owner"]
  denied_parameters = { "admin" = [] }
}
path "kv/+/x" { capabilities = ["list"] }
path "wrapped" { capabilities = ["read"] min_wrapping_ttl = "1m" }
path "sys/seal" { capabilities = ["update"] }
path "secret/data/{{identity.entity.name}}" { capabilities = ["read"] }`
	const ops = `path "secret/*" { capabilities = ["list", "delete"] }
path "secret/data/app/*" { capabilities = ["patch"] }`
	policies := []*Policy{parsed(t, "app", app), parsed(t, "ops", ops)}
	who := &Identity{ID: "e", Name: "bob"}
	for _, c := range []struct {
		path       string
		want       Capability
		sudo       bool
		params     params
		reason     string // "" = allowed
		rule       string // that decides
		blocks     string // policy:line, "!" for those that decide
		suggestion string // capabilities; "" = none
		advice     string
	}{
		{path: "secret/data/app/a", want: Read, rule: "secret/data/app/*", blocks: "app:2! ops:2! ops:1"},
		{path: "secret/data/app/a", want: Create, reason: "do not grant", rule: "secret/data/app/*", blocks: "app:2! ops:2! ops:1",
			suggestion: `"create", "patch", "read"`, advice: `repeats what "secret/data/app/*" grants`},
		{path: "secret/data/app/locked", want: Read, reason: "denies", rule: "secret/data/app/locked", blocks: "app:5! app:2 ops:1 ops:2", advice: "change the block"},
		{path: "nowhere", want: Update, reason: "no policy has a path", suggestion: `"update"`, advice: "add the rule"},
		{path: "nowhere/", want: List, reason: "no policy has a path", suggestion: `"list"`, advice: "add the rule"},
		{path: "kv/limited", want: Update, reason: "require is missing", rule: "kv/limited", blocks: "app:6!", advice: `"owner"`},
		{path: "kv/limited", want: Update, params: params{"owner": `"a"`, "admin": "true"}, reason: "deny a parameter", rule: "kv/limited", blocks: "app:6!", advice: "conditions"},
		{path: "kv/limited", want: Read, params: params{"owner": `"a"`}, reason: "do not grant", rule: "kv/limited", blocks: "app:6!", suggestion: `"read"`, advice: "add the rule"},
		{path: "kv/a/x", want: Read, reason: "do not grant", rule: "kv/+/x", blocks: "app:11!", suggestion: `"list", "read"`, advice: "repeats"},
		{path: "wrapped", want: Read, reason: "wrapping TTL", rule: "wrapped", blocks: "app:12!", advice: "X-Vault-Wrap-TTL"},
		{path: "sys/seal", want: Update, sudo: true, reason: "capability sudo", rule: "sys/seal", blocks: "app:13!", suggestion: `"sudo"`, advice: "add the rule"},
		{path: "sys/rotate", want: Update, sudo: true, reason: "no policy", suggestion: `"sudo", "update"`, advice: "add the rule"},
		{path: "secret/data/bob", want: Read, rule: "secret/data/bob", blocks: "app:14! ops:1"},
		{path: "secret/data/eve", want: Read, reason: "do not grant", rule: "secret/*", blocks: "ops:1!", suggestion: `"delete", "list", "read"`, advice: "repeats"},
		{path: "a/../b", want: Read, reason: "segment", advice: "without"},
		{path: "other/+/x", want: Read, reason: "no policy", advice: "cannot name this path alone"},
		{path: "other/a*", want: Read, reason: "no policy", advice: "cannot name this path alone"},
		{path: `other/a"b\`, want: Read, reason: "no policy", suggestion: `"read"`, advice: "add the rule"},
	} {
		q := Question{Query: Query{Path: c.path, Want: c.want}, Sudo: c.sudo}
		if c.params != nil {
			q.Params = c.params
		}
		x := Explain(who, policies, q)
		if x.Allowed != (c.reason == "") || !strings.Contains(x.Reason, c.reason) || x.Rule != c.rule {
			t.Errorf("%s %s: allowed %v, %q by %q", c.want, c.path, x.Allowed, x.Reason, x.Rule)
		}
		var blocks []string
		for _, b := range x.Blocks {
			blocks = append(blocks, fmt.Sprintf("%s:%d%s", b.Policy, b.Line, map[bool]string{true: "!"}[b.Decides]))
		}
		if got := strings.Join(blocks, " "); got != c.blocks {
			t.Errorf("%s %s: blocks %q, want %q", c.want, c.path, got, c.blocks)
		}
		suggestion := ""
		if c.suggestion != "" {
			suggestion = fmt.Sprintf("path %q {\n  capabilities = [%s]\n}\n", c.path, c.suggestion)
		}
		if x.Suggestion != suggestion || !strings.Contains(x.Advice, c.advice) || c.advice == "" && x.Advice != "" {
			t.Errorf("%s %s: suggests %q and %q", c.want, c.path, x.Suggestion, x.Advice)
		}
	}
	if x := Explain(nil, []*Policy{Root()}, Question{Query: Query{Path: "a", Want: Read}, Sudo: true}); !x.Allowed || x.Reason != "allowed as root" {
		t.Errorf("root: %+v", x)
	}
	got := Explain(nil, policies, Question{Query: Query{Path: "wrapped", Want: Read, WrapTTL: time.Minute}})
	if !got.Allowed || len(got.Blocks) != 1 || !slices.Equal(got.Blocks[0].Conditions, []string{"min_wrapping_ttl 1m0s"}) {
		t.Errorf("wrapped: %+v", got)
	}
}

// Whatever the policies are: an explanation agrees with the decision, and a rule
// that it suggests allows what was refused and takes nothing away.
func TestSuggestionsHelp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	segment := func() string { return pick("a", "b", "c") }
	capability := func() Capability { return capabilityNames[random.IntN(len(capabilityNames))].bit }
	suggested := 0
	for range 3000 {
		var policies []*Policy
		for i := range 1 + random.IntN(3) {
			var text strings.Builder
			for range 1 + random.IntN(3) {
				path := pick(segment(), "+") + "/" + pick(segment(), "+", segment()+"/"+segment()) + pick("", "*", "/*", "/")
				caps := capability()
				caps |= capability()
				condition := pick("", "", "", `required_parameters = ["x"]`, `min_wrapping_ttl = 5`)
				fmt.Fprintf(&text, "path %q {\n capabilities = [%q]\n %s\n}\n", path, caps.Names()[0], condition)
			}
			p, err := Parse(fmt.Sprint("p", i), text.String())
			if err != nil {
				continue // "+*"
			}
			policies = append(policies, p)
		}
		q := Question{Sudo: random.IntN(4) == 0}
		q.Path, q.Want = segment()+"/"+segment()+pick("", "/"+segment()), capability()&operations
		if q.Want == 0 {
			continue
		}
		if q.Want&(List|Scan) != 0 {
			q.Path += "/"
		}
		before := Compile(policies...)
		x := Explain(nil, policies, q)
		if x.Allowed != q.answer(before).Allowed {
			t.Fatalf("%+v: explained %v", q, x.Allowed)
		}
		if x.Suggestion == "" {
			continue
		}
		suggested++
		after := Compile(append(policies, parsed(t, "added", x.Suggestion))...)
		if !q.answer(after).Allowed {
			t.Fatalf("%+v: %q does not help", q, x.Suggestion)
		}
		for _, c := range capabilityNames {
			other := Query{Path: q.Path, Want: c.bit & operations}
			if d := before.Decide(other); d.Allowed && !after.Decide(other).Allowed {
				t.Fatalf("%+v: %q takes %s away", q, x.Suggestion, c.name)
			} else if !d.Allowed && d.Reason != NotGranted && d.Reason != NoRule && after.Decide(other).Allowed {
				t.Fatalf("%+v: %q drops a condition on %s", q, x.Suggestion, c.name)
			}
		}
	}
	if suggested < 500 {
		t.Errorf("only %d suggestions were made: the test says little", suggested)
	}
}

func TestBookExplains(t *testing.T) {
	s := mem.New(mem.Config{})
	defer func() { _ = s.Close() }()
	ctx := context.Background()
	b := NewBook(Config{})
	tx := store.Begin(s)
	for name, text := range map[string]string{
		"mine": `path "kv/a" { capabilities = ["list"] }`, "helps": `path "kv/*" { capabilities = ["read"] } path "kv/a" { capabilities = ["read"] }`,
		"weaker": `path "kv/*" { capabilities = ["read"] }`, "denies": `path "kv/a" { capabilities = ["deny"] }`, "other": `path "b" { capabilities = ["read"] }`,
	} {
		if _, err := b.Put(tx, Namespace{}, name, text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	q := Question{Query: Query{Path: "kv/a", Want: Read}}
	x, err := b.Explain(ctx, s, Subject{Names: []string{"mine", "ghost", "not a name"}}, q)
	if err != nil || x.Allowed || !slices.Equal(x.Helpful, []string{"helps"}) || !slices.Equal(x.Missing, []string{"ghost", "not a name"}) {
		t.Errorf("%+v %v", x, err)
	}
	if x, err := b.Explain(ctx, s, Subject{Names: []string{"root"}}, q); err != nil || !x.Allowed {
		t.Errorf("root: %+v %v", x, err)
	}
	if x, err := b.Explain(ctx, s, Subject{Names: []string{"response-wrapping"}}, Question{Query: Query{Path: "cubbyhole/response", Want: Read}}); err != nil || !x.Allowed {
		t.Errorf("a wrapping token: %+v %v", x, err)
	}
	if _, err := b.Explain(ctx, s, Subject{Names: []string{"root", "mine"}}, q); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
	if x, err := b.Explain(ctx, s, Subject{}, q); err != nil || x.Allowed || len(x.Helpful) != 2 {
		t.Errorf("nobody: %+v %v", x, err)
	}
}

package policy

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func parse(t testing.TB, name, text string) *Policy {
	t.Helper()
	p, err := Parse(name, text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return p
}

// one returns the rule of a policy of one path.
func one(t testing.TB, text string) *rule {
	t.Helper()
	p := parse(t, "p", text)
	if len(p.rules) != 1 {
		t.Fatalf("%d rules, want 1", len(p.rules))
	}
	return p.rules[0]
}

// §2.3: the keys of a path block, in both languages.
func TestParse(t *testing.T) {
	for name, text := range map[string]string{
		"hcl": `
name = "ignored"
path "/secret/data/+/x*" {
  comment             = "for the team"
  capabilities        = ["create", "update"]
  allowed_parameters  = { "TTL" = ["1h", 3600], "*" = [] }
  denied_parameters   { policies = ["root"] }
  required_parameters = ["Name", "name", "a"]
  min_wrapping_ttl    = "1s"
  max_wrapping_ttl    = 90
}`,
		"json": `{"name": "ignored", "path": {"/secret/data/+/x*": {
  "comment": "for the team",
  "capabilities": ["create", "update"],
  "allowed_parameters": {"TTL": ["1h", 3600], "*": []},
  "denied_parameters": {"policies": ["root"]},
  "required_parameters": ["Name", "name", "a"],
  "min_wrapping_ttl": "1s",
  "max_wrapping_ttl": 90}}}`,
		"json lists": `{"path": [{"/secret/data/+/x*": [{
  "capabilities": ["create", "update"],
  "allowed_parameters": {"ttl": ["1h", 3600], "*": []},
  "denied_parameters": {"policies": ["root"]},
  "required_parameters": ["a", "name"],
  "min_wrapping_ttl": "1", "max_wrapping_ttl": "1m30s"}]}]}`,
	} {
		r := one(t, text)
		if r.path.String() != "secret/data/+/x*" || r.caps != Create|Update || r.minWrap != time.Second || r.maxWrap != 90*time.Second {
			t.Errorf("%s: %+v", name, r)
		}
		if len(r.allowed) != 2 || len(r.allowed["ttl"]) != 2 || len(r.allowed["*"]) != 0 || len(r.denied["policies"]) != 1 {
			t.Errorf("%s: allowed %v, denied %v", name, r.allowed, r.denied)
		}
		if fmt.Sprint(r.required) != "[a name]" || fmt.Sprint(r.policies) != "[p]" {
			t.Errorf("%s: required %v, policies %v", name, r.required, r.policies)
		}
	}
	p := parse(t, " Team-A ", "# only a comment\n")
	if p.Name() != "team-a" || p.Text() != "# only a comment\n" || len(p.Paths()) != 0 {
		t.Errorf("%q %q %v", p.Name(), p.Text(), p.Paths())
	}
	if paths := parse(t, "p", `path "b" {} path "/a*" {} path "b" {}`).Paths(); fmt.Sprint(paths) != "[b a* b]" {
		t.Error(paths)
	}
}

func TestCapabilitiesOfARule(t *testing.T) {
	for body, want := range map[string]Capability{
		``:                  0,
		`capabilities = []`: 0,
		`capabilities = ["create","read","update","delete","list","patch","scan","sudo"]`: operations | Sudo,
		`capabilities = ["read", "deny", "sudo"]`:                                         Deny,
		`policy = "read"`:  Read | List,
		`policy = "write"`: Create | Read | Update | Delete | List,
		`policy = "sudo"`:  Create | Read | Update | Delete | List | Sudo,
		`policy = "deny"`:  Deny,
		"policy = \"read\"\ncapabilities=[\"sudo\"]": Read | List | Sudo,
		"policy = \"deny\"\ncapabilities=[\"read\"]": Deny,
	} {
		if got := one(t, "path \"a\" {\n"+body+"\n}").caps; got != want {
			t.Errorf("%s: %v, want %v", body, got, want)
		}
	}
	if got := (Read | Create | Sudo).String(); got != "create,read,sudo" || Capability(0).String() != "none" {
		t.Error(got)
	}
}

// Whatever is refused says where, what and what to write instead.
func TestParseRefuses(t *testing.T) {
	in := func(line string) string { return "path \"a/b\" {\n  " + line + "\n}" }
	for name, c := range map[string]struct {
		text  string
		wants []string
	}{
		"nothing":            {" \n", []string{"the text is empty"}},
		"syntax":             {"path", []string{"line 1, column"}},
		"unknown at the top": {"\npaths \"a\" {}", []string{"line 2, column 1", `unknown key "paths"`, `did you mean "path"?`}},
		"unknown key":        {in(`capabilites = ["read"]`), []string{"line 2, column 3", `path "a/b"`, `"capabilites"`, `did you mean "capabilities"?`, "min_wrapping_ttl"}},
		"key in other case":  {in(`Capabilities = ["read"]`), []string{`did you mean "capabilities"?`}},
		"unknown capability": {in(`capabilities = ["read", "lst"]`), []string{"line 2, column 27", `"lst"`, `did you mean "list"?`, "create, delete, deny, list"}},
		"capability case":    {in(`capabilities = ["READ"]`), []string{`did you mean "read"?`}},
		"far off capability": {in(`capabilities = ["everything"]`), []string{`unknown capability "everything"; known`}},
		"capability string":  {in(`capabilities = "read"`), []string{"line 2, column 18", "list of strings"}},
		"capability number":  {in(`capabilities = [1]`), []string{"must be a string, found a number"}},
		"unknown legacy":     {in(`policy = "reed"`), []string{"line 2, column 12", `did you mean "read"?`}},
		"twice":              {in("policy = \"read\"\n  policy = \"deny\""), []string{"line 3, column 3", "set twice"}},
		"block twice":        {in("denied_parameters { a = [] }\n denied_parameters { b = [] }"), []string{"line 3", "set twice"}},
		"path pattern":       {"\n path \"a/+*\" {}", []string{"line 2, column 7", `"+*" is forbidden`}},
		"path traversal":     {`path "secret/../sys/*" {}`, []string{"line 1, column 6", `".."`}},
		"template":           {`path "secret/{{identity.entity.nome}}/*" {}`, []string{"line 1, column 6", "unknown template", "identity.entity.{id,name"}},
		"template in value":  {in(`allowed_parameters = { "x" = ["{{ identity.entity.id }}"] }`), []string{"line 2, column 33", "templates"}},
		"template in name":   {in(`denied_parameters = { "{{identity.entity.id}}" = [] }`), []string{"templates"}},
		"template required":  {in(`required_parameters = ["{{identity.groups.ids.x.name}}"]`), []string{"templates"}},
		"template deep":      {in(`allowed_parameters = { "x" = [{ a = ["{{identity.entity.id}}"] }] }`), []string{"templates"}},
		"path not block":     {`path = "a"`, []string{"path must be an object, found a string"}},
		"path without block": {`{"path": {"a": ["x"]}}`, []string{`path "a" must be an object, found a string`}},
		"two labels":         {`path "a" "b" { capabilities = ["read"] }`, []string{`unknown key "b"`}},
		"params list":        {in(`allowed_parameters = ["a"]`), []string{"allowed_parameters must be an object, found a list"}},
		"params no list":     {in(`allowed_parameters = { "a" = "b" }`), []string{"line 2, column 32", `"a" must be a list`, "[] stands for any value"}},
		"params twice":       {in(`allowed_parameters = { "a" = [], "A" = [] }`), []string{"set twice"}},
		"star with values":   {in(`allowed_parameters = { "*" = ["x"] }`), []string{`"*" cannot have values`}},
		"lone star":          {in(`denied_parameters = { "a" = ["*"] }`), []string{"line 2, column 32", "asterisk", "[]"}},
		"value not comparable": {in(`denied_parameters = { "a" = [{ b = 1
 b = 2 }] }`), []string{"cannot be compared"}},
		"ttl negative":     {in(`min_wrapping_ttl = -1`), []string{"line 2, column 22", "0 or more"}},
		"ttl words":        {in(`min_wrapping_ttl = "soon"`), []string{"0 or more"}},
		"ttl overflow":     {in(`max_wrapping_ttl = "99999999999d"`), []string{"0 or more"}},
		"ttl bool":         {in(`max_wrapping_ttl = true`), []string{"0 or more"}},
		"ttl order":        {in("min_wrapping_ttl = 10\n max_wrapping_ttl = 5"), []string{"line 1, column 6", "less than"}},
		"comment":          {in(`comment = 1`), []string{"comment must be a string"}},
		"name":             {`name = 1`, []string{"name must be a string"}},
		"mfa":              {in(`mfa_methods = ["m"]`), []string{"line 2, column 3", "mfa_methods is not supported", "grant too much"}},
		"control group":    {in(`control_group = { factor "a" {} }`), []string{"control_group is not supported"}},
		"pagination limit": {in(`pagination_limit = 5`), []string{"not supported"}},
		"expiration":       {in(`expiration = "2030-01-01T00:00:00Z"`), []string{"not supported"}},
	} {
		_, err := Parse("app", c.text)
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v, want Invalid", name, err)
			continue
		}
		for _, want := range append(c.wants, `parsing policy "app": `) {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	if _, err := Parse("p", strings.Repeat(" ", MaxText)+"x"); !errs.Is(err, errs.TooLarge) {
		t.Errorf("too long a text: %v", err)
	}
	block := "path \"a\" {}\n"
	p := parse(t, "p", strings.Repeat(block, MaxRules))
	if len(p.Paths()) != MaxRules {
		t.Errorf("%d rules", len(p.Paths()))
	}
	if _, err := Parse("p", strings.Repeat(block, MaxRules+1)); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "line 10001, column 6") {
		t.Errorf("too many rules: %v", err)
	}
	if _, err := Parse("p", `path "`+strings.Repeat("a", 5000)+`" {}`); !errs.Is(err, errs.Invalid) || len(err.Error()) > 300 {
		t.Errorf("too long a path: %v", err)
	}
	if _, err := Parse("p", strings.Repeat("k", 5000)+" = 1"); len(err.Error()) > 300 {
		t.Errorf("an error quotes without bounds: %d bytes", len(err.Error()))
	}
}

// §2.3: "policy body may be base64".
func TestDecode(t *testing.T) {
	text := `path "a" { capabilities = ["read"] }`
	for in, want := range map[string]string{
		text: text,
		base64.StdEncoding.EncodeToString([]byte(text)):        text,
		base64.StdEncoding.EncodeToString([]byte(text)) + "\n": text,
		"":         "",
		"/w==":     "/w==", // decodes, but to no text
		"cGF0aA":   "cGF0aA",
		"not base": "not base",
	} {
		if got := Decode(in); got != want {
			t.Errorf("Decode(%q) = %q", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		DefaultText, wrappingText, `{"path": {"a": {"capabilities": ["deny"]}}}`,
		`path "a/+/b*" { allowed_parameters = { "x" = [1, "a*", [true], {y = 1}] } required_parameters = ["x"] }`,
		`path "a" { policy = "write" max_wrapping_ttl = "1d" }`, `path = [{}]`, `path {}`, `path "" {}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse("fuzz", text)
		if err != nil {
			if k := errs.KindOf(err); k != errs.Invalid && k != errs.TooLarge {
				t.Fatalf("%v is of kind %v", err, k)
			}
			return
		}
		again := parse(t, "fuzz", p.Text())
		if fmt.Sprint(again.Paths()) != fmt.Sprint(p.Paths()) {
			t.Fatal("its own text reads differently")
		}
		acl := Compile(p, again)
		for _, path := range p.Paths() {
			path = strings.TrimSuffix(path, "*")
			if got := acl.Decide(Query{Path: path, Want: Read}); got.Reason == NoRule && !strings.Contains(path, "+") && !strings.Contains(text, "/.") {
				t.Fatalf("no rule decides about %q", path)
			}
			acl.Capabilities(path)
			acl.AnyUnder(path)
		}
	})
}

package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// compile parses texts as the policies p0, p1, …
func compile(t testing.TB, texts ...string) *policy.ACL {
	t.Helper()
	var all []*policy.Policy
	for i, text := range texts {
		p, err := policy.Parse("p"+string(rune('0'+i)), text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return policy.Compile(all...)
}

func body(t testing.TB, json string) *engine.Body {
	t.Helper()
	b, err := engine.ParseBody([]byte(json))
	if err != nil {
		t.Fatal(err)
	}
	return &b
}

const reader = `
path "secret/data/*"      { capabilities = ["read"] }
path "secret/metadata/*"  { capabilities = ["list"] }
path "secret/data/prod/*" { capabilities = ["deny"] }
path "sys/mounts"         { capabilities = ["read", "sudo"] }
path "auth/+/login"       { capabilities = ["update"] }
path "empty"              {}
`

// §2.3, §5 item 6: the answer says what decided and why.
func TestDecide(t *testing.T) {
	acl := compile(t, reader, `path "secret/data/*" { capabilities = ["create", "update"] }`)
	for name, c := range map[string]struct {
		path   string
		want   policy.Capability
		reason policy.Reason
		rule   string
		names  string
		sudo   bool
	}{
		"granted":          {"secret/data/a", policy.Read, policy.ByRule, "secret/data/*", "p0 p1", false},
		"other policy":     {"secret/data/a", policy.Create, policy.ByRule, "secret/data/*", "p0 p1", false},
		"leading slash":    {"/secret/data/a", policy.Read, policy.ByRule, "secret/data/*", "p0 p1", false},
		"not granted":      {"secret/data/a", policy.Delete, policy.NotGranted, "secret/data/*", "p0 p1", false},
		"denied":           {"secret/data/prod/a", policy.Read, policy.ExplicitDeny, "secret/data/prod/*", "p0", false},
		"list":             {"secret/metadata/a/", policy.List, policy.ByRule, "secret/metadata/*", "p0", false},
		"scan is not list": {"secret/metadata/a/", policy.Scan, policy.NotGranted, "secret/metadata/*", "p0", false},
		"no rule":          {"kv/a", policy.Read, policy.NoRule, "", "", false},
		"sudo":             {"sys/mounts", policy.Read, policy.ByRule, "sys/mounts", "p0", true},
		"sudo all the same": {"sys/mounts", policy.Update, policy.NotGranted,
			"sys/mounts", "p0", true},
		"plus":            {"auth/k8s/login", policy.Update, policy.ByRule, "auth/+/login", "p0", false},
		"grants nothing":  {"empty", policy.Read, policy.NotGranted, "empty", "p0", false},
		"sudo is no wish": {"sys/mounts", policy.Sudo, policy.NotGranted, "sys/mounts", "p0", true},
		"nothing wanted":  {"sys/mounts", 0, policy.NotGranted, "sys/mounts", "p0", true},
		"deny is no wish": {"secret/data/prod/a", policy.Deny, policy.ExplicitDeny, "secret/data/prod/*", "p0", false},
	} {
		d := acl.Decide(policy.Query{Path: c.path, Want: c.want})
		if d.Reason != c.reason || d.Rule != c.rule || strings.Join(d.Policies(), " ") != c.names || d.Sudo != c.sudo {
			t.Errorf("%s: %+v by %v (%v)", name, d, d.Policies(), d.Reason)
		}
		if d.Allowed != (c.reason == policy.ByRule) || d.Denied != (c.reason == policy.ExplicitDeny) {
			t.Errorf("%s: allowed %v, denied %v", name, d.Allowed, d.Denied)
		}
		if d.Reason.String() == "" {
			t.Errorf("%s: the reason has no text", name)
		}
	}
	if (policy.Decision{}).Allowed || policy.Reason(200).String() != "unknown" {
		t.Error("the zero values are wrong")
	}
}

// A request that the handler will act on under another spelling is allowed, and
// has sudo, only where both spellings are and have.
func TestDecideBoth(t *testing.T) {
	acl := compile(t, `
path "a/*"    { capabilities = ["read"] }
path "a/x"    { capabilities = ["deny"] }
path "a/Y"    { capabilities = ["deny"] }
path "s/*"    { capabilities = ["read", "sudo"] }
path "s/x"    { capabilities = ["read"] }`)
	for _, c := range []struct {
		written, meant string
		allowed, sudo  bool
		rule           string
	}{
		{"a/z", "a/z", true, false, "a/*"},
		{"a/Z", "a/z", true, false, "a/*"},
		{"a/X", "a/x", false, false, "a/x"},
		{"a/Y", "a/y", false, false, "a/Y"},
		{"a/z", "elsewhere", false, false, ""},
		{"s/y", "s/z", true, true, "s/*"},
		{"s/X", "s/x", true, false, "s/x"},
		{"s/x", "s/X", true, false, "s/*"},
	} {
		d := acl.DecideBoth(policy.Query{Path: c.written, Want: policy.Read}, c.meant)
		if d.Allowed != c.allowed || d.Sudo != c.sudo || d.Rule != c.rule {
			t.Errorf("%s, meaning %s: %+v", c.written, c.meant, d)
		}
	}
	if d := policy.Compile(policy.Root()).DecideBoth(policy.Query{Path: "A", Want: policy.Read}, "a"); !d.Allowed || !d.Sudo {
		t.Errorf("root: %+v", d)
	}
}

// §6: CVE-2026-3605. No path with dots is ever granted, to root neither.
func TestDotsAreRefused(t *testing.T) {
	root := policy.Compile(policy.Root())
	all := compile(t, `path "*" { capabilities = ["read", "list"] }`)
	for _, path := range []string{"secret/../sys/raw", "..", ".", "secret/.", "./a", "/../a", "a/../", "a/./b"} {
		for _, acl := range []*policy.ACL{root, all} {
			if d := acl.Decide(policy.Query{Path: path, Want: policy.Read}); d.Allowed || d.Reason != policy.BadPath {
				t.Errorf("%q: %+v", path, d)
			}
		}
		if got := all.Capabilities(path); !slices.Equal(got, []string{"deny"}) {
			t.Errorf("capabilities of %q: %v", path, got)
		}
	}
	for _, path := range []string{"a/..b", "a/b..", "a/...", "a/.b"} {
		if !all.Decide(policy.Query{Path: path, Want: policy.Read}).Allowed {
			t.Errorf("%q is refused", path)
		}
	}
}

// §6: GHSA-xp3c-3jw3-4vcr, listing past a deny by the slash at the end.
func TestListDoesNotBypassDeny(t *testing.T) {
	acl := compile(t, `
path "secret/metadata/prod/*" { capabilities = ["deny"] }
path "secret/metadata/+"      { capabilities = ["list"] }
path "kv"                     { capabilities = ["list"] }
path "kv/*"                   { capabilities = ["deny"] }`)
	for path, want := range map[string]bool{
		"secret/metadata/prod/": false, // the deny matches with the slash, so the "+" is not asked
		"secret/metadata/dev/":  true,
		"kv/":                   true, // exact without the slash goes before any glob
		"kv/a/":                 false,
	} {
		if got := acl.Decide(policy.Query{Path: path, Want: policy.List}); got.Allowed != want {
			t.Errorf("list %q: %+v", path, got)
		}
	}
}

// §2.3: "root policy alone => everything".
func TestRoot(t *testing.T) {
	acl := policy.Compile(policy.Root())
	d := acl.Decide(policy.Query{Path: "sys/raw/x", Want: policy.Delete, WrapTTL: time.Hour})
	if !acl.IsRoot() || !d.Allowed || !d.Sudo || d.Reason != policy.ByRoot || d.Rule != "" || d.Policies() != nil || d.Granted() != 0 {
		t.Errorf("%+v", d)
	}
	if !slices.Equal(acl.Capabilities("x"), []string{"root"}) || !acl.AnyUnder("x/") {
		t.Error("root has not all capabilities")
	}
	p, err := policy.Parse("p", `path "a" { capabilities = ["read"] }`)
	if err != nil {
		t.Fatal(err)
	}
	mixed := policy.Compile(p, policy.Root())
	if mixed.IsRoot() || mixed.Decide(policy.Query{Path: "b", Want: policy.Read}).Allowed || !mixed.Decide(policy.Query{Path: "a", Want: policy.Read}).Allowed {
		t.Error("root with others must grant only what the others do")
	}
	none := policy.Compile()
	if none.Decide(policy.Query{Path: "a", Want: policy.Read}).Allowed || none.AnyUnder("") || none.IsRoot() {
		t.Error("no policies grant something")
	}
}

// §2.3: merge of the same path across policies and within one.
func TestMerge(t *testing.T) {
	read, update := `path "a" { capabilities = ["read"] }`, `path "a" { capabilities = ["update", "sudo"] }`
	deny := `path "a" { capabilities = ["deny"] }`
	for name, c := range map[string]struct {
		texts []string
		caps  string
		names string
	}{
		"or":                  {[]string{read, update}, "read,sudo,update", "p0 p1"},
		"or in one policy":    {[]string{read + "\n" + update}, "read,sudo,update", "p0"},
		"deny wins last":      {[]string{read, update, deny}, "deny", "p2"},
		"deny wins first":     {[]string{deny, read, update}, "deny", "p0"},
		"two deny":            {[]string{deny, read, deny}, "deny", "p0 p2"},
		"deny in one policy":  {[]string{deny + "\n" + read, update}, "deny", "p0"},
		"leading slash":       {[]string{read, strings.Replace(update, `"a"`, `"/a"`, 1)}, "read,sudo,update", "p0 p1"},
		"the glob is another": {[]string{read, strings.Replace(update, `"a"`, `"a*"`, 1)}, "read", "p0"},
	} {
		d := compile(t, c.texts...).Decide(policy.Query{Path: "a", Want: policy.Read})
		if d.Granted().String() != c.caps || strings.Join(d.Policies(), " ") != c.names {
			t.Errorf("%s: %v by %v", name, d.Granted(), d.Policies())
		}
	}
}

// Compiling must not change what policies share: neither policy nor another ACL.
func TestMergeLeavesPoliciesAlone(t *testing.T) {
	parse := func(name, text string) *policy.Policy {
		p, err := policy.Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a := parse("a", `path "x" { capabilities = ["update"] allowed_parameters = { k = ["1"] } required_parameters = ["k"] }`)
	b := parse("b", `path "x" { capabilities = ["update"] allowed_parameters = { k = ["2"], l = [] } required_parameters = ["l"] }`)
	c := parse("c", `path "x" { capabilities = ["deny"] }`)
	alone := policy.Compile(a)
	ask := func(acl *policy.ACL, json string) bool {
		return acl.Decide(policy.Query{Path: "x", Want: policy.Update, Params: body(t, json)}).Allowed
	}
	for range 3 {
		both := policy.Compile(a, b)
		if !ask(both, `{"k":"1","l":0}`) || !ask(both, `{"k":"2","l":0}`) || ask(both, `{"k":"3","l":0}`) || ask(both, `{"k":"1"}`) {
			t.Error("the merged conditions are wrong")
		}
		if policy.Compile(a, c).Decide(policy.Query{Path: "x", Want: policy.Update}).Allowed {
			t.Error("the deny does not win")
		}
		if !ask(alone, `{"k":"1"}`) || ask(alone, `{"k":"2"}`) || !ask(policy.Compile(a), `{"k":"1"}`) || ask(policy.Compile(a), `{"k":"2"}`) {
			t.Error("compiling changed a policy")
		}
	}
}

// §2.3: "min/max wrap TTL take the smallest".
func TestWrapTTL(t *testing.T) {
	bounded := `path "a" { capabilities = ["read", "list"] min_wrapping_ttl = "1m" max_wrapping_ttl = "1h" }`
	for name, c := range map[string]struct {
		texts []string
		ttl   time.Duration
		want  bool
	}{
		"not wrapped":         {[]string{bounded}, 0, false},
		"too short":           {[]string{bounded}, time.Second, false},
		"least":               {[]string{bounded}, time.Minute, true},
		"most":                {[]string{bounded}, time.Hour, true},
		"too long":            {[]string{bounded}, time.Hour + 1, false},
		"only max, unwrapped": {[]string{`path "a" { capabilities = ["read"] max_wrapping_ttl = 60 }`}, 0, false},
		"only min, unwrapped": {[]string{`path "a" { capabilities = ["read"] min_wrapping_ttl = 60 }`}, 0, false},
		"only min, long":      {[]string{`path "a" { capabilities = ["read"] min_wrapping_ttl = 60 }`}, 99 * time.Hour, true},
		"none bounds":         {[]string{`path "a" { capabilities = ["read"] }`}, 5, true},
		"smallest max":        {[]string{bounded, `path "a" { max_wrapping_ttl = "2m" }`}, 3 * time.Minute, false},
		"smallest min":        {[]string{bounded, `path "a" { min_wrapping_ttl = "10s" }`}, 10 * time.Second, true},
		"unset is not 0":      {[]string{bounded, `path "a" { capabilities = ["update"] }`}, 0, false},
		"merged to nothing":   {[]string{`path "a" { capabilities = ["read"] min_wrapping_ttl = 60 }`, `path "a" { max_wrapping_ttl = 5 }`}, 30 * time.Second, false},
	} {
		d := compile(t, c.texts...).Decide(policy.Query{Path: "a", Want: policy.Read, WrapTTL: c.ttl})
		if d.Allowed != c.want || (!c.want && d.Reason != policy.WrapTTL) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// §2.3: parameters, on read too.
func TestParameters(t *testing.T) {
	rule := func(conditions string) string {
		return "path \"a\" {\n capabilities = [\"create\",\"read\",\"update\",\"patch\",\"delete\",\"list\"]\n" + conditions + "\n}"
	}
	for name, c := range map[string]struct {
		rules  []string
		body   string
		reason policy.Reason
		param  string
	}{
		"no conditions":        {[]string{rule(``)}, `{"x":1}`, policy.ByRule, ""},
		"empty conditions":     {[]string{rule(`allowed_parameters = {} denied_parameters = {} required_parameters = []`)}, `{"x":1}`, policy.ByRule, ""},
		"allowed":              {[]string{rule(`allowed_parameters = { x = [] }`)}, `{"x":1}`, policy.ByRule, ""},
		"allowed, lower case":  {[]string{rule(`allowed_parameters = { X = [] }`)}, `{"x":1,"X":2}`, policy.ByRule, ""},
		"not among them":       {[]string{rule(`allowed_parameters = { x = [] }`)}, `{"x":1,"y":2}`, policy.ParameterUnknown, ""},
		"null is there":        {[]string{rule(`allowed_parameters = { x = [] }`)}, `{"y":null}`, policy.ParameterUnknown, ""},
		"no parameters":        {[]string{rule(`allowed_parameters = { x = [] }`)}, `{}`, policy.ByRule, ""},
		"value":                {[]string{rule(`allowed_parameters = { x = ["a*"] }`)}, `{"x":"abc"}`, policy.ByRule, ""},
		"other value":          {[]string{rule(`allowed_parameters = { x = ["a*"] }`)}, `{"x":"bc"}`, policy.ValueNotAllowed, "x"},
		"star allows others":   {[]string{rule(`allowed_parameters = { x = ["a"], "*" = [] }`)}, `{"y":1,"x":"a"}`, policy.ByRule, ""},
		"star keeps values":    {[]string{rule(`allowed_parameters = { x = ["a"], "*" = [] }`)}, `{"x":"b"}`, policy.ValueNotAllowed, "x"},
		"denied":               {[]string{rule(`denied_parameters = { x = [] }`)}, `{"X":1}`, policy.ParameterDenied, "x"},
		"denied, other name":   {[]string{rule(`denied_parameters = { x = [] }`)}, `{"y":1}`, policy.ByRule, ""},
		"denied value":         {[]string{rule(`denied_parameters = { policies = ["root"] }`)}, `{"policies":["default","root"]}`, policy.ParameterDenied, "policies"},
		"denied, other value":  {[]string{rule(`denied_parameters = { policies = ["root"] }`)}, `{"policies":["default"]}`, policy.ByRule, ""},
		"all denied":           {[]string{rule(`denied_parameters = { "*" = [] }`)}, `{"y":1}`, policy.ParameterDenied, "*"},
		"all denied, none":     {[]string{rule(`denied_parameters = { "*" = [] }`)}, `{}`, policy.ByRule, ""},
		"denied over allowed":  {[]string{rule(`denied_parameters = { x = [] } allowed_parameters = { "*" = [] }`)}, `{"x":1}`, policy.ParameterDenied, "x"},
		"required":             {[]string{rule(`required_parameters = ["x"]`)}, `{"x":""}`, policy.ByRule, ""},
		"required missing":     {[]string{rule(`required_parameters = ["x", "y"]`)}, `{"y":1}`, policy.RequiredMissing, "x"},
		"required, no body":    {[]string{rule(`required_parameters = ["x"]`)}, ``, policy.RequiredMissing, "x"},
		"required null":        {[]string{rule(`required_parameters = ["x"]`)}, `{"x":null}`, policy.RequiredMissing, "x"},
		"required other case":  {[]string{rule(`required_parameters = ["X"]`)}, `{"X":1}`, policy.RequiredMissing, "x"},
		"required union":       {[]string{rule(`required_parameters = ["x"]`), rule(`required_parameters = ["y"]`)}, `{"x":1}`, policy.RequiredMissing, "y"},
		"merge appends":        {[]string{rule(`allowed_parameters = { x = ["a"] }`), rule(`allowed_parameters = { x = ["b"], y = [] }`)}, `{"x":"a","y":1}`, policy.ByRule, ""},
		"merge appends still":  {[]string{rule(`allowed_parameters = { x = ["a"] }`), rule(`allowed_parameters = { x = ["b"] }`)}, `{"x":"c"}`, policy.ValueNotAllowed, "x"},
		"empty list is any":    {[]string{rule(`allowed_parameters = { x = ["a"] }`), rule(`allowed_parameters = { x = [] }`)}, `{"x":"c"}`, policy.ByRule, ""},
		"denied lists append":  {[]string{rule(`denied_parameters = { x = ["a"] }`), rule(`denied_parameters = { x = ["b"] }`)}, `{"x":"b"}`, policy.ParameterDenied, "x"},
		"denied any":           {[]string{rule(`denied_parameters = { x = [] }`), rule(`denied_parameters = { x = ["b"] }`)}, `{"x":"c"}`, policy.ParameterDenied, "x"},
		"unconditional merged": {[]string{rule(``), rule(`allowed_parameters = { x = [] }`)}, `{"y":1}`, policy.ParameterUnknown, ""},
		"only the top level":   {[]string{rule(`denied_parameters = { x = [] }`)}, `{"y":{"x":1}}`, policy.ByRule, ""},
		"number for a string":  {[]string{rule(`denied_parameters = { ttl = ["3600"] }`)}, `{"ttl":3600}`, policy.ParameterDenied, "ttl"},
	} {
		acl := compile(t, c.rules...)
		for _, want := range []policy.Capability{policy.Create, policy.Read, policy.Update, policy.Patch} {
			d := acl.Decide(policy.Query{Path: "a", Want: want, Params: body(t, c.body)})
			if d.Reason != c.reason || d.Parameter != c.param || d.Allowed != (c.reason == policy.ByRule) {
				t.Errorf("%s, %v: %v (%q), want %v", name, want, d.Reason, d.Parameter, c.reason)
			}
		}
		for _, want := range []policy.Capability{policy.Delete, policy.List} {
			if d := acl.Decide(policy.Query{Path: "a", Want: want, Params: body(t, c.body)}); !d.Allowed {
				t.Errorf("%s: conditions apply to %v", name, want)
			}
		}
	}
	acl := compile(t, rule(`required_parameters = ["x"]`))
	if d := acl.Decide(policy.Query{Path: "a", Want: policy.Read}); d.Reason != policy.RequiredMissing {
		t.Errorf("without parameters: %+v", d)
	}
}

// No decision may carry what the client sent.
func TestDecisionHoldsNoInput(t *testing.T) {
	const canary = "canary7f3a"
	acl := compile(t, `path "a" { capabilities = ["update"] allowed_parameters = { x = ["a"] } }`)
	for _, json := range []string{`{"` + canary + `":1}`, `{"x":"` + canary + `"}`} {
		d := acl.Decide(policy.Query{Path: "a", Want: policy.Update, Params: body(t, json)})
		if d.Allowed || strings.Contains(d.Parameter+d.Rule+d.Reason.String(), canary) {
			t.Errorf("%+v", d)
		}
	}
}

// §2.5: sys/capabilities.
func TestCapabilities(t *testing.T) {
	acl := compile(t, reader, `path "kv/*" { capabilities = ["update", "create", "patch", "delete", "list", "read", "sudo"] }`)
	for path, want := range map[string]string{
		"secret/data/a":      "read",
		"/secret/data/a":     "read",
		"secret/data/prod/a": "deny",
		"sys/mounts":         "read sudo",
		"sys/mounts/":        "read sudo", // looked up as a listing
		"kv/x":               "create delete list patch read sudo update",
		"empty":              "deny",
		"nowhere":            "deny",
		"":                   "deny",
	} {
		if got := strings.Join(acl.Capabilities(path), " "); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// §2.5: internal/ui/mounts needs any capability under the mount.
func TestAnyUnder(t *testing.T) {
	acl := compile(t, reader, `
path "listed" { capabilities = ["list"] }
path "read-only" { capabilities = ["read"] }
path "denied/*" { capabilities = ["deny"] }`)
	for prefix, want := range map[string]bool{
		"secret/": true, "secret": true, "/secret/": true, "secret/data/": true, "secret/data/prod/": false,
		"sys/": true, "auth/k8s/": true, "auth/": true, "empty/": false, "kv/": false, "": true, "/": true,
		"listed/": true, "read-only/": false, "denied/": false, "secre/": false,
	} {
		if got := acl.AnyUnder(prefix); got != want {
			t.Errorf("AnyUnder(%q) = %v", prefix, got)
		}
	}
}

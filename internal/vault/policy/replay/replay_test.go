package replay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

func must(t testing.TB, name, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// use is an allowed use by tokens with the policy app.
func use(operation, path string) Use {
	return Use{Path: path, Operation: operation, Policies: []string{"app", "default"}, Granting: []string{"app"}, Who: "token-app", Allowed: true, At: time.Unix(1000, 0)}
}

func TestSimulate(t *testing.T) {
	now := map[string]*policy.Policy{
		"app":     must(t, "app", `path "secret/data/app/*" { capabilities = ["read","create","update"] }`),
		"other":   must(t, "other", `path "secret/data/app/a" { capabilities = ["read"] }`),
		"default": must(t, "default", policy.DefaultText),
	}
	find := func(_, name string) (*policy.Policy, error) { return now[name], nil }
	denied := use("read", "secret/data/b/x")
	denied.Allowed, denied.Granting = false, nil
	both := use("read", "secret/data/app/a")
	both.Policies = []string{"app", "other"}
	both.Path = "secret/data/app/a"
	stranger := use("read", "secret/data/app/a")
	stranger.Policies = []string{"other"}
	templated := use("create", "secret/data/app/p")
	templated.Params = []string{"data", "options"}
	for what, c := range map[string]struct {
		text string // "" = the policy is deleted
		uses []Use
		want string
	}{
		"nothing changes":        {`path "secret/data/app/*" { capabilities = ["read","create","update"] }`, []Use{use("read", "secret/data/app/a")}, ""},
		"a path is lost":         {`path "secret/data/app/a" { capabilities = ["read"] }`, []Use{use("read", "secret/data/app/a"), use("read", "secret/data/app/b")}, "denied read secret/data/app/b"},
		"a capability is lost":   {`path "secret/data/app/*" { capabilities = ["read"] }`, []Use{use("update", "secret/data/app/a")}, "denied update secret/data/app/a"},
		"denied explicitly":      {`path "secret/data/app/*" { capabilities = ["deny"] }`, []Use{both}, ""},
		"another policy is left": {``, []Use{both}, ""},
		"deleted":                {``, []Use{use("read", "secret/data/app/a"), stranger}, "denied read secret/data/app/a"},
		"something is gained":    {`path "secret/data/*" { capabilities = ["read","create","update"] }`, []Use{denied}, "allowed read secret/data/b/x"},
		"rests on values":        {`path "secret/data/app/*" { capabilities = ["create"] allowed_parameters = { "*" = [] "data" = ["x"] } }`, []Use{templated}, "uncertain create secret/data/app/p"},
		"a parameter is denied":  {`path "secret/data/app/*" { capabilities = ["create"] denied_parameters = { "options" = [] } }`, []Use{templated}, "denied create secret/data/app/p"},
	} {
		t.Run(what, func(t *testing.T) {
			var log Log
			for _, u := range c.uses {
				log.Add(u)
				log.Add(u)
			}
			change := Change{Name: "app"}
			if c.text != "" {
				change.Policy = must(t, "app", c.text)
			}
			s, err := log.Simulate(find, change)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range s.Outcomes {
				got = append(got, fmt.Sprintf("%s %s %s", o.Verdict, o.Operation, o.Path))
				if o.Count != 2 {
					t.Errorf("counted %d times", o.Count)
				}
			}
			if strings.Join(got, "; ") != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestMinimise(t *testing.T) {
	var log Log
	for _, app := range []string{"a", "b", "c"} {
		log.Add(use("read", "secret/data/"+app+"/config"))
	}
	log.Add(use("update", "secret/data/a/config"))
	log.Add(use("list", "secret/metadata/a/"))
	byDefault := use("read", "auth/token/lookup-self")
	byDefault.Granting = []string{"default"}
	log.Add(byDefault)
	refused := use("delete", "secret/data/a/config")
	refused.Allowed = false
	log.Add(refused)

	text := func(fold int) string {
		rules, err := log.Minimise(fold)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, r := range rules {
			all = append(all, r.Path+" "+r.Capabilities.String())
		}
		return strings.Join(all, "; ")
	}
	if got := text(0); got != "secret/data/a/config read,update; secret/data/b/config read; secret/data/c/config read; secret/metadata/a/ list" {
		t.Error(got)
	}
	if got := text(1); got != "secret/data/+/config read; secret/data/a/config read,update; secret/metadata/a/ list" {
		t.Error(got)
	}
	if got := text(2); got != text(0) {
		t.Error(got)
	}
}

// A policy belongs to one namespace; its paths are within it.
func TestMinimiseWithinANamespace(t *testing.T) {
	var log Log
	u := use("read", "team-a/secret/data/x")
	u.Home = "team-a/"
	log.Add(u)
	rules, err := log.Minimise(0)
	if err != nil || len(rules) != 1 || rules[0].Path != "secret/data/x" {
		t.Errorf("%+v, %v", rules, err)
	}
	log.Add(use("read", "secret/data/x"))
	if _, err := log.Minimise(0); !errs.Is(err, errs.Invalid) {
		t.Errorf("two namespaces: %v", err)
	}
}

const line = `{"time":"2026-03-04T05:06:07Z","type":"response","auth":{"display_name":"token-app","policies":["default","app"],"policy_results":{"allowed":true,"granting_policies":[{"name":"app","namespace_path":"team-a/","type":"acl"}]}},"request":{"operation":"create","path":"secret/data/x","namespace":{"id":"abcde","path":"team-a/"},"data":{"data":{"k":"hmac-sha256:0"},"options":{}}}}`

func TestFromLine(t *testing.T) {
	at := time.Unix(5, 0)
	u, ok := FromLine([]byte("prefix "+line), at)
	if !ok || u.Path != "team-a/secret/data/x" || u.Home != "team-a/" || u.Operation != "create" || strings.Join(u.Policies, ",") != "app,default" ||
		strings.Join(u.Params, ",") != "data,options" || !u.Allowed || u.Who != "token-app" || !u.At.Equal(at) {
		t.Errorf("%+v, %v", u, ok)
	}
	for what, bad := range map[string]string{
		"no JSON":    "x",
		"a login":    strings.Replace(line, `"policy_results"`, `"x"`, 1),
		"root":       strings.Replace(line, `["default","app"]`, `["root"]`, 1),
		"help":       strings.Replace(line, `"create"`, `"help"`, 1),
		"open paths": strings.Replace(line, `"granting_policies":[{"name":"app","namespace_path":"team-a/","type":"acl"}]`, `"x":1`, 1),
	} {
		if u, ok := FromLine([]byte(bad), at); ok {
			t.Errorf("%s: %+v", what, u)
		}
	}
}

func FuzzFromLine(f *testing.F) {
	f.Add(line)
	f.Add(`{"auth":{"policy_results":{"allowed":true}},"request":{"operation":"read","path":"+/{{x}}/*"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		u, ok := FromLine([]byte(text), time.Unix(0, 0))
		if !ok {
			return
		}
		var log Log
		log.Add(u)
		if _, err := log.Minimise(1); err != nil && strings.IndexFunc(u.Path, func(r rune) bool { return r < ' ' || r > '~' }) < 0 &&
			!strings.ContainsAny(u.Path, `{}+*\"$`) && u.Path != "" && !strings.Contains(u.Path, "..") && strings.HasPrefix(u.Path, u.Home) {
			t.Logf("%v", err) // paths that no server takes may have no policy either
		}
	})
}

// A path that was used as it stands and that a policy takes for a pattern is
// pointed out: the rule grants more than was done.
func TestMinimisePointsOutPatterns(t *testing.T) {
	for path, wild := range map[string]bool{"secret/data/app": false, "secret/data/app*": true, "secret/+/app": true, "secret/a+b/x": false} {
		text := HCL([]Rule{{Path: path, Capabilities: policy.Read, Count: 1, Paths: 1}})
		if strings.Contains(text, "CAREFUL") != wild {
			t.Errorf("%s: %s", path, text)
		}
	}
	if text := HCL([]Rule{{Path: "secret/+/app", Capabilities: policy.Read, Count: 9, Paths: 9}}); strings.Contains(text, "CAREFUL") {
		t.Error("a pattern that was asked for with -fold is warned of")
	}
}

package policy

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// §2.3, §6: CVE-2025-5999 and CVE-2025-64761, a name that becomes root only
// after the check for root.
func TestNormalizeName(t *testing.T) {
	for in, want := range map[string]string{
		"app": "app", " App\t": "app", "ROOT": "root", "Root ": "root", "team/a_b-c.d:e@f+g=h~i": "team/a_b-c.d:e@f+g=h~i", "1": "1",
		strings.Repeat("a", MaxName): strings.Repeat("a", MaxName),
	} {
		if got, err := NormalizeName(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "  ", "a b", "a,b", "a*", "a\x00", "rооt" /* Cyrillic */, "\u212A" /* Kelvin */, "ſ", "é", "../a", "a/./b", "a/..", "/a", "a/", "a//b",
		".", strings.Repeat("a", MaxName+1), "a\n", "a\\b", `"`, "%2e",
	} {
		if in == "a\n" {
			continue // is trimmed
		}
		if got, err := NormalizeName(in); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %q, %v; want Invalid", in, got, err)
		}
	}
}

func TestReservedNames(t *testing.T) {
	type ask func(string) (string, error)
	for name, c := range map[string]struct{ writable, deletable bool }{
		"app": {true, true}, " APP ": {true, true}, "default": {true, false}, "DEFAULT": {true, false},
		"root": {}, "ROOT": {}, " Root\n": {}, "response-wrapping": {}, "Response-Wrapping": {}, "": {},
	} {
		for what, q := range map[string]struct {
			f    ask
			want bool
		}{"Writable": {Writable, c.writable}, "Deletable": {Deletable, c.deletable}} {
			got, err := q.f(name)
			if (err == nil) != q.want || (err != nil && (!errs.Is(err, errs.Invalid) || got != "")) {
				t.Errorf("%s(%q) = %q, %v", what, name, got, err)
			}
			if err == nil && got != strings.ToLower(strings.TrimSpace(name)) {
				t.Errorf("%s(%q) = %q, not normalised", what, name, got)
			}
		}
	}
	for _, name := range []string{"root", "ROOT", " root "} {
		if _, err := Parse(name, `path "a" {}`); !errs.Is(err, errs.Invalid) {
			t.Errorf("a policy named %q was made: %v", name, err)
		}
	}
}

// §2.3: what Vault's default policy grants, and nothing beyond.
func TestBuiltin(t *testing.T) {
	p, err := Parse(DefaultName, DefaultText)
	if err != nil {
		t.Fatal(err)
	}
	acl := Compile(p)
	for path, want := range map[string]string{
		"auth/token/lookup-self": "read", "auth/token/renew-self": "update", "auth/token/revoke-self": "update",
		"sys/capabilities-self": "update", "sys/internal/ui/resultant-acl": "read", "sys/leases/lookup": "update",
		"sys/leases/renew": "update", "cubbyhole/a": "create,delete,list,read,update", "cubbyhole/": "create,delete,list,read,update",
		"sys/wrapping/wrap": "update", "sys/wrapping/lookup": "update", "sys/wrapping/unwrap": "update",
		"sys/tools/hash": "update", "sys/tools/hash/sha2-256": "update",
		"auth/token/create": "deny", "auth/token/lookup": "deny", "sys/mounts": "deny", "secret/data/a": "deny",
		"sys/leases/lookup/auth/": "deny", "sys/policies/acl/default": "deny", "sys/capabilities": "deny",
	} {
		if got := strings.Join(acl.Capabilities(path), ","); got != want {
			t.Errorf("default: %q has %q, want %q", path, got, want)
		}
	}
	w := Compile(Wrapping())
	for path, want := range map[string]string{"cubbyhole/response": "create,read", "sys/wrapping/unwrap": "update", "cubbyhole/x": "deny", "auth/token/lookup-self": "deny"} {
		if got := strings.Join(w.Capabilities(path), ","); got != want {
			t.Errorf("response-wrapping: %q has %q, want %q", path, got, want)
		}
	}
	if r := Root(); r.Name() != RootName || r.Text() != "" {
		t.Error("root has a text")
	}
}

func TestClean(t *testing.T) {
	for name, want := range map[string]bool{"app": true, "app-1": true, "App": false, " app": false, "": false, "a b": false, "a-B": false, strings.Repeat("a", MaxName+1): false} {
		if clean(name) != want {
			t.Errorf("clean(%q) = %v", name, !want)
		}
	}
}

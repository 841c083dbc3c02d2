package namespace_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease/leasetest"
)

// CVE-2026-40264 (§6): a token, or the accessor of one, reached from another
// namespace. Neither a sibling nor one below may do anything with it; one above
// only what policy grants there.
func TestCVE202640264AccessorsOfOtherNamespaces(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a", "a/dev", "b")
	victim := token(t, v, "a", everything)
	root := must(t)(v.Auth().Token().Create(&vault.TokenCreateRequest{})).Auth
	// One who may do all in the root namespace by name, and nothing below.
	narrow := v.Policy("narrow", `path "auth/token/*" { capabilities = ["update", "sudo"] } path "sys/*" { capabilities = ["update", "sudo"] }`)
	for name, who := range map[string]*vault.Client{
		"sibling": in(v, token(t, v, "b", everything).ClientToken, "b"), "below": in(v, token(t, v, "a/dev", everything).ClientToken, "a/dev"),
		"above, without a grant": in(v, narrow, ""),
	} {
		for _, target := range []*vault.SecretAuth{victim, root} {
			if name == "above, without a grant" && target == root {
				continue // its own namespace
			}
			for path, body := range map[string]map[string]any{
				"auth/token/lookup":          {"token": target.ClientToken},
				"auth/token/renew":           {"token": target.ClientToken},
				"auth/token/revoke-orphan":   {"token": target.ClientToken},
				"auth/token/lookup-accessor": {"accessor": target.Accessor},
				"auth/token/renew-accessor":  {"accessor": target.Accessor},
				"auth/token/revoke-accessor": {"accessor": target.Accessor},
				"sys/capabilities":           {"token": target.ClientToken, "paths": "kv/x"},
				"sys/capabilities-accessor":  {"accessor": target.Accessor, "paths": "kv/x"},
				"sys/policies/explain":       {"accessor": target.Accessor, "path": "kv/x"},
			} {
				_, err := who.Logical().Write(path, body)
				unknown := map[string]any{"paths": "kv/x", "path": "kv/x"}
				for key, value := range body {
					if unknown[key] == nil {
						unknown[key] = strings.Repeat("0", 20) + fmt.Sprint(value)[20:]
					}
				}
				_, none := who.Logical().Write(path, unknown)
				if err == nil || none == nil || answer(err) != answer(none) {
					t.Errorf("%s, %s: %v; of one that does not exist %v", name, path, err, none)
				}
			}
			if _, err := who.Logical().Write("auth/token/revoke", map[string]any{"token": target.ClientToken}); err != nil {
				t.Errorf("%s: revoking what is unknown: %v", name, err) // is no error (§2.4), and does nothing
			}
		}
	}
	for _, c := range []*vault.Client{in(v, victim.ClientToken, "a"), in(v, root.ClientToken, "")} {
		must(t)(c.Auth().Token().LookupSelf())
	}

	// With a grant there it is possible from above.
	able := v.Policy("able", `path "auth/token/*" { capabilities = ["update"] } path "a/auth/token/lookup-accessor" { capabilities = ["update"] }`)
	s := must(t)(in(v, able, "").Auth().Token().LookupAccessor(victim.Accessor))
	if s.Data["namespace_path"] != "a/" {
		t.Errorf("looked up from above: %v", s.Data)
	}
	check(t, v.Auth().Token().RevokeAccessor(victim.Accessor))
	_, err := in(v, victim.ClientToken, "a").Auth().Token().LookupSelf()
	refused(t, err, 403, "permission denied")
}

// answer is what a client is told, without what it sent itself.
func answer(err error) string {
	var b strings.Builder
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.HasPrefix(line, "URL:") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// CVE-2026-45808 (§6): leases of one namespace looked up, renewed and revoked
// from another, by the old names of the paths as well.
func TestCVE202645808LeasesOfOtherNamespaces(t *testing.T) {
	db := new(leasetest.Database)
	v := testenv.Start(t, func(c *app.ServerConfig) { c.Engines = map[string]engine.Factory{"users": db.Factory} })
	create(t, v, "a", "a/dev", "b")
	for _, ns := range []string{"", "a"} {
		check(t, in(v, v.Root, ns).Sys().Mount("users", &vault.MountInput{Type: "users"}))
	}
	lease := must(t)(in(v, v.Root, "a").Logical().Read("users/creds/app")).LeaseID
	if !strings.HasPrefix(lease, "users/creds/app/") || !strings.HasSuffix(lease, "."+namespaceID(t, v, "a")) {
		t.Fatalf("the lease of a namespace is %q", lease)
	}
	for name, who := range map[string]*vault.Client{
		"sibling": in(v, token(t, v, "b", everything).ClientToken, "b"),
		"below":   in(v, token(t, v, "a/dev", everything).ClientToken, "a/dev"),
		"above":   in(v, v.Policy("narrow", `path "sys/*" { capabilities = ["update", "sudo"] }`), ""),
	} {
		for _, path := range []string{"sys/leases/lookup", "sys/leases/renew", "sys/renew"} {
			if _, err := who.Logical().Write(path, map[string]any{"lease_id": lease}); err == nil {
				t.Errorf("%s, %s: done", name, path)
			}
		}
		for _, path := range []string{"sys/leases/revoke", "sys/revoke"} {
			_, _ = who.Logical().Write(path, map[string]any{"lease_id": lease, "sync": true}) // what is not there is success
		}
		for _, path := range []string{"sys/leases/revoke-prefix/users", "sys/revoke-prefix/users", "sys/leases/revoke-force/users"} {
			_, _ = who.Logical().Write(path, map[string]any{"sync": true})
		}
		if _, err := who.Logical().Write("a/sys/leases/revoke-prefix/users", map[string]any{"sync": true}); err == nil {
			t.Errorf("%s: revoked by the path of the other namespace", name)
		}
	}
	s := must(t)(in(v, v.Root, "a").Logical().Write("sys/leases/lookup", map[string]any{"lease_id": lease}))
	if s.Data["id"] != lease {
		t.Errorf("the lease is %v", s.Data)
	}
	// Its own namespace's deletion ends it for good.
	must(t)(in(v, v.Root, "a").Logical().Delete("sys/namespaces/dev"))
	must(t)(v.Logical().Delete("sys/namespaces/a"))
	if left := db.Users(); len(left) > 0 {
		t.Errorf("the users %v live on", left)
	}
}

func namespaceID(t testing.TB, v *testenv.Vault, path string) string {
	t.Helper()
	return must(t)(v.Logical().Read("sys/namespaces/" + path)).Data["id"].(string)
}

// CVE-2025-5999 and CVE-2024-9180 (§6): from within a namespace nobody becomes
// root: not by a policy of that name in any spelling, not by a role, not by a login.
func TestCVE20249180NoRootFromWithinANamespace(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a")
	admin := in(v, token(t, v, "a", everything).ClientToken, "a")
	for _, name := range []string{"root", "ROOT", " root ", "Root"} {
		if err := admin.Sys().PutPolicy(strings.TrimSpace(name), everything); err == nil {
			t.Errorf("wrote a policy %q", name)
		}
		_, err := admin.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{name}})
		refused(t, err, 400, "root")
		if _, err := admin.Logical().Write("auth/token/roles/r", map[string]any{"allowed_policies": name}); err == nil {
			if _, err = admin.Logical().Write("auth/token/create/r", nil); err == nil {
				t.Errorf("a token with %q by a role", name)
			}
		}
		check(t, ignoreTaken(admin.Sys().EnableAuthWithOptions("users", &vault.EnableAuthOptions{Type: "userpass"})))
		if _, err := admin.Logical().Write("auth/users/users/eve", map[string]any{"password": "correct horse", "token_policies": name}); err == nil {
			if s, err := admin.Logical().Write("auth/users/login/eve", map[string]any{"password": "correct horse"}); err == nil {
				t.Errorf("a login with %q: %v", name, s.Auth.Policies)
			}
		}
	}
	// The root token itself makes none there either.
	_, err := in(v, v.Root, "a").Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"root"}})
	refused(t, err, 400, "root tokens may not be created")
	s := must(t)(in(v, v.Root, "a").Auth().Token().Create(&vault.TokenCreateRequest{}))
	if fmt.Sprint(s.Auth.Policies) != "[default]" {
		t.Errorf("a token of another namespace without policies named has %v", s.Auth.Policies)
	}
	// One from above makes tokens there only with sudo there.
	weak := v.Policy("weak", `path "a/auth/token/create" { capabilities = ["update"] }`)
	_, err = in(v, weak, "a").Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"weak"}})
	refused(t, err, 400, "sudo")
}

func ignoreTaken(err error) error {
	if err != nil && strings.Contains(err.Error(), "already in use") {
		return nil
	}
	return err
}

// GHSA-xp3c and CVE-2026-3605 (§6), between namespaces: no spelling of a path
// reads what belongs to a sibling, whatever the policies of either say, and all
// that is read from below is granted from above.
func TestSiblingsReadNothingOfEachOther(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a", "b", "a/b", "b/a")
	spaces := []string{"a", "b", "a/b", "b/a"}
	for _, ns := range spaces {
		must(t)(in(v, v.Root, ns).Logical().Write("kv/x", map[string]any{"of": ns}))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	for round := range 60 {
		home := pick(spaces...)
		var rules strings.Builder
		for range 1 + rnd.IntN(4) {
			path := pick("", "a/", "b/", "+/", "root/", "a/b/") + pick("kv/x", "kv/*", "*", "+/x", "+/+", "sys/*", "auth/token/*")
			fmt.Fprintf(&rules, "path %q { capabilities = [\"read\", \"list\", \"update\", \"sudo\"] }\n", path)
		}
		tok := token(t, v, home, rules.String()).ClientToken
		for range 12 {
			header := pick("", "a", "b", "a/b", "b/a", home)
			path := pick("", "a/", "b/", "../b/", "%2e%2e/b/", "b//", "./", "a/b/", "a/../b/") + "kv/x"
			got := v.HTTP("GET", path, nil, "X-Vault-Namespace", header, "X-Vault-Token", tok)
			if got.Status != 200 {
				continue
			}
			for _, other := range spaces {
				within := other == home || strings.HasPrefix(other, home+"/")
				if !within && strings.Contains(got.Body, fmt.Sprintf(`"of":%q`, other)) {
					t.Fatalf("round %d: a token of %s reads %s as %q with %q by\n%s", round, home, other, path, header, &rules)
				}
			}
		}
	}
}

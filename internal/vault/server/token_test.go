package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
)

// lookupKeys are those of every lookup (§2.4).
var lookupKeys = []string{
	"accessor", "creation_time", "creation_ttl", "display_name", "entity_id", "expire_time", "explicit_max_ttl", "id",
	"issue_time", "meta", "num_uses", "orphan", "path", "policies", "renewable", "ttl", "type",
}

// §1.1 rows 11 and 12, §2.4: create and look up, by the client's helpers.
func TestTokenCreateAndLookup(t *testing.T) {
	v := start(t)
	tokens := v.Auth().Token()
	no := false
	in := &vault.TokenCreateRequest{
		Policies: []string{"app", "Default"}, TTL: "1h", ExplicitMaxTTL: "2h", DisplayName: "web / front", NumUses: 7,
		Metadata: map[string]string{"team": "a"}, Renewable: &no,
	}
	check(t, v.Sys().PutPolicy("app", `path "a" {}`))
	s := must[*vault.Secret](t)(tokens.Create(in))
	a := s.Auth
	if !strings.HasPrefix(a.ClientToken, "hvs.") || len(a.Accessor) != 24 || a.LeaseDuration != 3600 || a.Renewable || a.Orphan ||
		!slices.Equal(a.Policies, []string{"app", "default"}) || a.Metadata["team"] != "a" || s.Warnings != nil {
		t.Errorf("auth %+v, warnings %q", a, s.Warnings)
	}
	for how, got := range map[string]*vault.Secret{
		"token":    must[*vault.Secret](t)(tokens.Lookup(a.ClientToken)),
		"accessor": must[*vault.Secret](t)(tokens.LookupAccessor(a.Accessor)),
		"GET":      must[*vault.Secret](t)(v.NewClient(a.ClientToken).Auth().Token().LookupSelf()),
	} {
		d := got.Data
		wantKeys(t, how, d, lookupKeys...)
		if d["display_name"] != "token-web---front" || d["path"] != "auth/token/create" || d["type"] != "service" || d["orphan"] != false ||
			d["accessor"] != a.Accessor || number(d["creation_ttl"]) != 3600 || number(d["explicit_max_ttl"]) != 7200 || d["renewable"] != false {
			t.Errorf("lookup by %s: %v", how, d)
		}
		if want := map[string]string{"token": a.ClientToken, "GET": a.ClientToken}[how]; d["id"] != want {
			t.Errorf("lookup by %s: the id is right: %v", how, d["id"] == want)
		}
		if _, err := time.Parse(time.RFC3339, d["expire_time"].(string)); err != nil {
			t.Errorf("expire_time: %v", err)
		}
	}
	root := must[*vault.Secret](t)(tokens.LookupSelf()).Data
	wantKeys(t, "root", root, lookupKeys...)
	if root["expire_time"] != nil || number(root["ttl"]) != 0 || root["path"] != "auth/token/root" {
		t.Errorf("the root token: %v", root)
	}
	_, err := tokens.Lookup("hvs.unknown")
	wantFailure(t, err, 403, "bad token")
	_, err = tokens.LookupAccessor("unknown")
	wantFailure(t, err, 403, "invalid accessor")
	wantErrors(t, send(v, "POST", "auth/token/lookup-accessor", `{}`), 400, "missing accessor")
}

func number(v any) int64 {
	n, _ := v.(json.Number).Int64()
	return n
}

// §2.4: who may create what.
func TestTokenCreateRules(t *testing.T) {
	v := start(t)
	for _, name := range []string{"a", "b"} {
		check(t, v.Sys().PutPolicy(name, `path "x" {}`))
	}
	const creator = `path "auth/token/create*" { capabilities = ["update"] }`
	low := v.Policy("creator", creator)
	sudo := v.Policy("sudo", `path "auth/token/create*" { capabilities = ["update", "sudo"] }`)
	batch := create(t, v, vault.TokenCreateRequest{Policies: []string{"creator"}, Type: "batch", TTL: "1h"}).ClientToken
	limited := create(t, v, vault.TokenCreateRequest{Policies: []string{"creator"}, NumUses: 5}).ClientToken
	for name, c := range map[string]struct {
		token, path, body string
		status            int
		want              string
	}{
		"parent's policies":      {low, "create", `{}`, 200, `"policies":["creator","default"]`},
		"a subset":               {low, "create", `{"policies":["creator"]}`, 200, `"policies":["creator","default"]`},
		"no default":             {low, "create", `{"policies":["creator"],"no_default_policy":true}`, 200, `"policies":["creator"]`},
		"more than the parent's": {low, "create", `{"policies":["a"]}`, 400, "child policies must be subset of parent"},
		"root":                   {low, "create", `{"policies":["root"]}`, 400, "subset of parent"},
		"ROOT":                   {low, "create", `{"policies":["ROOT"]}`, 400, "subset of parent"},
		"root with a space":      {low, "create", `{"policies":[" Root "]}`, 400, ""},
		"sudo, more":             {sudo, "create", `{"policies":["a","b"]}`, 200, `"policies":["a","b","default"]`},
		"sudo, root":             {sudo, "create", `{"policies":["root"]}`, 400, "root tokens may not be created without parent token being root"},
		"period":                 {low, "create", `{"period":"1h"}`, 400, "sudo"},
		"period, sudo":           {sudo, "create", `{"period":"1h"}`, 200, `"lease_duration":3600`},
		"orphan":                 {low, "create", `{"no_parent":true}`, 400, "sudo"},
		"orphan, sudo":           {sudo, "create", `{"no_parent":true}`, 200, `"orphan":true`},
		"orphan by its path":     {low, "create-orphan", `{}`, 200, `"orphan":true`},
		"id":                     {low, "create", `{"id":"mine"}`, 400, "sudo"},
		"id, sudo":               {sudo, "create", `{"id":"mine"}`, 200, `"warnings":["`},
		"id with a dot":          {sudo, "create", `{"id":"a.b"}`, 400, "'.'"},
		"id that is taken":       {v.Root, "create", `{"id":` + quote(low) + `}`, 400, ""},
		"missing policy":         {v.Root, "create", `{"policies":["ghost"]}`, 200, `Policy \"ghost\" does not exist`},
		"response-wrapping":      {v.Root, "create", `{"policies":["response-wrapping"]}`, 400, "response-wrapping"},
		"batch":                  {low, "create", `{"type":"batch","ttl":"1h"}`, 200, `"client_token":"hvb.`},
		"batch of root":          {v.Root, "create", `{"type":"batch","policies":["root"]}`, 400, "batch"},
		"batch, period":          {sudo, "create", `{"type":"batch","period":"1h"}`, 400, "batch"},
		"batch, uses":            {low, "create", `{"type":"batch","num_uses":2}`, 400, "batch"},
		"batch, explicit max":    {low, "create", `{"type":"batch","explicit_max_ttl":"1h"}`, 400, "batch"},
		"unknown type":           {low, "create", `{"type":"odd"}`, 400, "type"},
		"child of a batch token": {batch, "create", `{}`, 400, "batch"},
		"child of counted uses":  {limited, "create", `{}`, 400, "restricted use token cannot generate child tokens"},
		"negative ttl":           {low, "create", `{"ttl":"-1h"}`, 400, "ttl"},
		"bad ttl":                {low, "create", `{"ttl":"soon"}`, 400, "ttl"},
		"ttl over the mount's":   {low, "create", `{"ttl":"9999h"}`, 200, `TTL of \"9999h0m0s\" exceeded the effective max_ttl of \"768h0m0s\"; TTL value is capped accordingly`},
		"ttl by number":          {low, "create", `{"ttl":90}`, 200, `"lease_duration":90`},
		"negative uses":          {low, "create", `{"num_uses":-1}`, 400, "uses"},
		"entity alias":           {low, "create", `{"entity_alias":"x"}`, 400, "entity_alias"},
		"unknown role":           {low, "create/none", `{}`, 400, "unknown role"},
		"meta of another type":   {low, "create", `{"meta":[1]}`, 400, "meta"},
		"policies of many forms": {low, "create", `{"policies":"creator, default"}`, 200, `"policies":["creator","default"]`},
	} {
		a := send(v, "POST", "auth/token/"+c.path, c.body, "X-Vault-Token", c.token)
		if a.Status != c.status || !strings.Contains(a.Body, c.want) {
			t.Errorf("%s: %d %s; want %d and %s", name, a.Status, a.Body, c.status, c.want)
		}
	}
}

// §1.1 row 11: tokens by role.
func TestTokenRoles(t *testing.T) {
	v := start(t)
	check(t, v.Sys().PutPolicy("a", `path "x" {}`))
	_, err := v.Logical().Write("auth/token/roles/web", map[string]any{
		"allowed_policies": "a", "orphan": true, "token_period": "1h", "path_suffix": "web", "renewable": false, "token_num_uses": 3,
	})
	check(t, err)
	s := must[*vault.Secret](t)(v.Auth().Token().CreateWithRole(&vault.TokenCreateRequest{}, "web"))
	if a := s.Auth; !a.Orphan || a.LeaseDuration != 3600 || a.Renewable || !slices.Equal(a.Policies, []string{"a", "default"}) {
		t.Errorf("auth %+v", a)
	}
	d := must[*vault.Secret](t)(v.Auth().Token().Lookup(s.Auth.ClientToken)).Data
	if d["role"] != "web" || number(d["period"]) != 3600 || d["path"] != "auth/token/create/web/web" || number(d["num_uses"]) != 3 {
		t.Errorf("lookup: %v", d)
	}
	_, err = v.Auth().Token().CreateWithRole(&vault.TokenCreateRequest{Policies: []string{"b"}}, "web")
	wantFailure(t, err, 400, "allowed policies")
	list := must[*vault.Secret](t)(v.Logical().List("auth/token/roles"))
	if !equal(list.Data["keys"], []any{"web"}) {
		t.Errorf("roles: %v", list.Data)
	}
	role := must[*vault.Secret](t)(v.Logical().Read("auth/token/roles/web")).Data
	if !equal(role["allowed_policies"], []any{"a"}) || role["orphan"] != true || number(role["token_period"]) != 3600 {
		t.Errorf("the role: %v", role)
	}
	for cidr, status := range map[string]int{"192.0.2.0/24": 403, "127.0.0.0/8": 200} {
		_, err = v.Logical().Write("auth/token/roles/bound", map[string]any{"token_bound_cidrs": cidr, "allowed_policies": "default"})
		check(t, err)
		bound := must[*vault.Secret](t)(v.Auth().Token().CreateWithRole(&vault.TokenCreateRequest{Policies: []string{"default"}}, "bound")).Auth
		wantStatus(t, send(v, "GET", "auth/token/lookup-self", "", "X-Vault-Token", bound.ClientToken), status)
		if d := must[*vault.Secret](t)(v.Auth().Token().LookupAccessor(bound.Accessor)).Data; !equal(d["bound_cidrs"], []any{cidr}) {
			t.Errorf("bound_cidrs: %v", d["bound_cidrs"])
		}
	}
	_, err = v.Logical().Delete("auth/token/roles/web")
	check(t, err)
	wantErrors(t, send(v, "GET", "auth/token/roles/web", ""), 404)
}

// §1.1 row 13, §2.4: renewal, and what bounds it.
func TestTokenRenew(t *testing.T) {
	v, clock := startAt(t)
	tokens := v.Auth().Token()
	a := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}, TTL: "1h", ExplicitMaxTTL: "3h"})
	self := v.NewClient(a.ClientToken).Auth().Token()
	clock.advance(30 * time.Minute)
	for how, renew := range map[string]func() (*vault.Secret, error){
		"self":     func() (*vault.Secret, error) { return self.RenewSelf(7200) },
		"token":    func() (*vault.Secret, error) { return tokens.Renew(a.ClientToken, 7200) },
		"accessor": func() (*vault.Secret, error) { return tokens.RenewAccessor(a.Accessor, 7200) },
		"as self":  func() (*vault.Secret, error) { return tokens.RenewTokenAsSelf(a.ClientToken, 7200) },
	} {
		s := must[*vault.Secret](t)(renew())
		if s.Auth.LeaseDuration < 7190 || s.Auth.LeaseDuration > 7200 || !s.Auth.Renewable || s.Auth.Accessor != a.Accessor {
			t.Errorf("%s: %+v", how, s.Auth)
		}
		if want := map[bool]string{true: "", false: a.ClientToken}[how == "accessor"]; s.Auth.ClientToken != want {
			t.Errorf("%s: the answer's token is not the one renewed", how)
		}
	}
	d := must[*vault.Secret](t)(self.LookupSelf()).Data
	wantKeys(t, "a renewed token", d, append(slices.Clone(lookupKeys), "last_renewal", "last_renewal_time")...)
	clock.advance(110 * time.Minute)
	s := must[*vault.Secret](t)(self.RenewSelf(7200)) // 40 minutes are left of three hours
	if len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0], `TTL of "2h0m0s" exceeded the effective max_ttl of "`) ||
		!strings.HasSuffix(s.Warnings[0], `"; TTL value is capped accordingly`) || s.Auth.LeaseDuration > 2400 {
		t.Errorf("over the longest life: %d, %q", s.Auth.LeaseDuration, s.Warnings)
	}
	clock.advance(41 * time.Minute)
	_, err := self.RenewSelf(60)
	wantFailure(t, err, 403, textBadToken)
	_, err = tokens.Renew(a.ClientToken, 60)
	wantFailure(t, err, 400, "token not found")
	_, err = tokens.RenewSelf(60)
	wantFailure(t, err, 400, "lease is not renewable") // the root token
	b := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}, Type: "batch", TTL: "1h"})
	_, err = v.NewClient(b.ClientToken).Auth().Token().RenewSelf(60)
	wantFailure(t, err, 400, "batch tokens cannot be renewed")
	wantStatus(t, send(v, "PUT", "auth/token/renew", `{}`), 400)
	wantStatus(t, send(v, "PUT", "auth/token/renew", `{"token":"x","increment":"soon"}`), 400)
	p := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}, Period: "10m"})
	periodic := v.NewClient(p.ClientToken).Auth().Token()
	for range 3 {
		clock.advance(9 * time.Minute)
		if s := must[*vault.Secret](t)(periodic.RenewSelf(0)); s.Auth.LeaseDuration != 600 {
			t.Errorf("a periodic token is renewed for %d", s.Auth.LeaseDuration)
		}
	}
}

// §1.1 row 14, §2.4: revocation takes the children, or leaves them. Batch tokens
// end with their parent in any case: nothing stored can make them orphans.
func TestTokenRevoke(t *testing.T) {
	v := start(t)
	tokens := v.Auth().Token()
	creator := `path "auth/token/*" { capabilities = ["create", "update", "sudo"] }`
	for how, revoke := range map[string]func(*vault.SecretAuth) error{
		"tree":     func(a *vault.SecretAuth) error { return tokens.RevokeTree(a.ClientToken) },
		"accessor": func(a *vault.SecretAuth) error { return tokens.RevokeAccessor(a.Accessor) },
		"self":     func(a *vault.SecretAuth) error { return v.NewClient(a.ClientToken).Auth().Token().RevokeSelf("") },
		"orphan":   func(a *vault.SecretAuth) error { return tokens.RevokeOrphan(a.ClientToken) },
	} {
		check(t, v.Sys().PutPolicy("creator", creator))
		parent := create(t, v, vault.TokenCreateRequest{Policies: []string{"creator"}})
		child := must[*vault.Secret](t)(v.NewClient(parent.ClientToken).Auth().Token().Create(&vault.TokenCreateRequest{})).Auth
		batch := must[*vault.Secret](t)(v.NewClient(parent.ClientToken).Auth().Token().Create(&vault.TokenCreateRequest{Type: "batch", TTL: "1h"})).Auth
		check(t, revoke(parent))
		for name, a := range map[string]*vault.SecretAuth{"parent": parent, "child": child, "batch child": batch} {
			_, err := v.NewClient(a.ClientToken).Auth().Token().LookupSelf()
			if how == "orphan" && a == child {
				check(t, err)
				continue
			}
			wantFailure(t, err, 403, textBadToken)
			_, err = tokens.Lookup(a.ClientToken)
			wantFailure(t, err, 403, "bad token")
			if name == "child" {
				_, err = tokens.LookupAccessor(a.Accessor)
				wantFailure(t, err, 403, "invalid accessor")
			}
		}
		check(t, tokens.RevokeTree(parent.ClientToken)) // not valid is what was asked for
	}
	wantFailure(t, tokens.RevokeAccessor("unknown"), 403, "invalid accessor")
	wantFailure(t, tokens.RevokeOrphan("hvs.unknown"), 400, "token to revoke not found")
	b := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}, Type: "batch", TTL: "1h"})
	wantFailure(t, tokens.RevokeTree(b.ClientToken), 400, "batch tokens cannot be revoked")
	wantStatus(t, send(v, "LIST", "auth/token/accessors", ""), 200)
}

// §2.4: num_uses counts every request, denied ones too; the last one revokes.
func TestTokenUses(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "kv/a", `{"x":"1"}`), 204)
	check(t, v.Sys().PutPolicy("app", `path "kv/a" { capabilities = ["read"] }`))
	token := create(t, v, vault.TokenCreateRequest{Policies: []string{"app"}, NumUses: 4}).ClientToken
	for i, c := range []struct {
		path   string
		status int
	}{{"kv/a", 200}, {"kv/denied", 403}, {"kv/a", 200}, {"kv/a", 200}, {"kv/a", 403}} {
		a := send(v, "GET", c.path, "", "X-Vault-Token", token)
		if a.Status != c.status {
			t.Errorf("use %d: %d %s", i+1, a.Status, a.Body)
		}
		if i == 4 {
			wantErrors(t, a, 403, textBadToken)
		}
	}
	// At once: exactly as many as it has.
	token = create(t, v, vault.TokenCreateRequest{Policies: []string{"app"}, NumUses: 5}).ClientToken
	var served atomic.Int32
	var wait sync.WaitGroup
	for range 16 {
		wait.Go(func() {
			if a := send(v, "GET", "kv/a", "", "X-Vault-Token", token); a.Status == 200 {
				served.Add(1)
			} else if a.Status != 403 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wait.Wait()
	if served.Load() != 5 {
		t.Errorf("%d requests were served with a token for 5", served.Load())
	}
}

// Issue 2, bad input: an expired token is refused with the text of an unknown one.
func TestTokenExpiry(t *testing.T) {
	v, clock := startAt(t)
	wantStatus(t, send(v, "PUT", "kv/a", `{"x":"1"}`), 204)
	for _, kind := range []string{"service", "batch"} {
		a := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}, TTL: "10m", Type: kind})
		client := v.NewClient(a.ClientToken)
		clock.advance(9 * time.Minute)
		d := must[*vault.Secret](t)(client.Auth().Token().LookupSelf()).Data
		if ttl := number(d["ttl"]); ttl < 50 || ttl > 60 || d["type"] != kind {
			t.Errorf("%s: %v", kind, d)
		}
		clock.advance(2 * time.Minute)
		_, err := client.Auth().Token().LookupSelf()
		wantFailure(t, err, 403, textBadToken)
	}
}

// The default policy lets a token look after itself, and nothing more.
func TestDefaultPolicyOverTheWire(t *testing.T) {
	v := start(t)
	token := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}}).ClientToken
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "auth/token/lookup-self", "", 200}, {"PUT", "auth/token/renew-self", "{}", 200},
		{"POST", "sys/capabilities-self", `{"paths":["a"]}`, 200}, {"PUT", "cubbyhole/a", `{"x":"1"}`, 204},
		{"GET", "sys/mounts", "", 403}, {"GET", "secret/data/a", "", 403}, {"POST", "auth/token/create", "", 403},
		{"POST", "auth/token/lookup", `{"token":"x"}`, 403}, {"LIST", "sys/policies/acl", "", 403}, {"GET", "sys/metrics", "", 403},
		{"PUT", "auth/token/revoke-self", "", 204}, {"GET", "auth/token/lookup-self", "", 403},
	} {
		if a := send(v, c.method, c.path, c.body, "X-Vault-Token", token); a.Status != c.status {
			t.Errorf("%s %s: %d %s; want %d", c.method, c.path, a.Status, a.Body, c.status)
		}
	}
}

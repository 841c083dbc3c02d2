package server_test

import (
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"
)

// §2.3 through the wire: which rule decides. Every row writes what it needs as
// root and asks with a token of the policy.
func TestACLDecides(t *testing.T) {
	v := start(t)
	for _, path := range []string{"a", "b", "app/x", "app/y", "app/sub/x", "app/sub/deep/x", "app-other", "team/one/db", "team/two/db"} {
		wantStatus(t, send(v, "PUT", "kv/"+path, `{"x":"1"}`), 204)
	}
	for name, c := range map[string]struct {
		policy string
		want   map[string]int // "METHOD path" to status
	}{
		"nothing is the default": {`path "other/*" { capabilities = ["read"] }`, map[string]int{"GET kv/a": 403, "GET kv/none": 403, "GET nowhere/x": 403}},
		"exact":                  {`path "kv/a" { capabilities = ["read"] }`, map[string]int{"GET kv/a": 200, "GET kv/a/b": 403, "GET kv/b": 403, "PUT kv/a": 403, "DELETE kv/a": 403}},
		"glob is a prefix":       {`path "kv/app*" { capabilities = ["read"] }`, map[string]int{"GET kv/app/x": 200, "GET kv/app-other": 200, "GET kv/ap": 403, "GET kv/a": 403}},
		"plus is one segment":    {`path "kv/team/+/db" { capabilities = ["read"] }`, map[string]int{"GET kv/team/one/db": 200, "GET kv/team/db": 403, "GET kv/team/a/b/db": 403, "GET kv/team//db": 400}},
		"exact before glob": {`path "kv/*" { capabilities = ["deny"] }
			path "kv/a" { capabilities = ["read"] }`, map[string]int{"GET kv/a": 200, "GET kv/b": 403}},
		"longer glob first": {`path "kv/*" { capabilities = ["read"] }
			path "kv/app/*" { capabilities = ["deny"] }`, map[string]int{"GET kv/a": 200, "GET kv/app/x": 403, "LIST kv/app/": 403}},
		"no glob before glob": {`path "kv/app/sub/*" { capabilities = ["deny"] }
			path "kv/app/+/x" { capabilities = ["read"] }`, map[string]int{"GET kv/app/sub/x": 403}}, // the later wildcard wins
		"fewer plus first": {`path "kv/team/+/+" { capabilities = ["read"] }
			path "kv/team/+/db" { capabilities = ["deny"] }`, map[string]int{"GET kv/team/one/db": 403, "GET kv/team/one/x": 404}},
		"deny wins": {`path "kv/a" { capabilities = ["read", "deny"] }`, map[string]int{"GET kv/a": 403}},
		"create and update": {`path "kv/new" { capabilities = ["create"] }
			path "kv/a" { capabilities = ["create"] }
			path "kv/b" { capabilities = ["update"] }
			path "kv/gone" { capabilities = ["update"] }`, map[string]int{"PUT kv/a": 403, "PUT kv/b": 204, "PUT kv/gone": 403, "PUT kv/new": 204}},
		"list with and without slash": {`path "kv/app" { capabilities = ["list"] }`, map[string]int{"LIST kv/app": 200, "LIST kv/app/": 200, "GET kv/app?list=true": 200, "GET kv/app": 403}},
		"list with slash":             {`path "kv/app/" { capabilities = ["list"] }`, map[string]int{"LIST kv/app": 200, "LIST kv/app/": 200, "LIST kv/app/sub": 403}},
		// GHSA-xp3c-3jw3-4vcr: listing is no way around a deny.
		"list does not pass a deny": {`path "kv/*" { capabilities = ["list", "read"] }
			path "kv/app/" { capabilities = ["deny"] }`, map[string]int{"LIST kv/app": 403, "LIST kv/app/": 403, "GET kv/app?list=1": 403, "LIST kv/": 200}},
		"legacy": {`path "kv/a" { policy = "read" }
			path "kv/b" { policy = "write" }
			path "kv/app/*" { policy = "deny" }`, map[string]int{"GET kv/a": 200, "PUT kv/a": 403, "PUT kv/b": 204, "DELETE kv/b": 204, "GET kv/app/x": 403}},
		"paths are read as they are decoded": {`path "kv/*" { capabilities = ["read"] }
			path "kv/app/*" { capabilities = ["deny"] }`, map[string]int{"GET kv/app%2fx": 403, "GET kv/%61pp/x": 403, "GET kv//app/x": 400, "GET kv/./app/x": 400, "GET kv/b/../app/x": 400}},
	} {
		token := v.Policy("p", c.policy)
		for request, want := range c.want {
			method, path, _ := strings.Cut(request, " ")
			a := send(v, method, path, `{"x":"2"}`, "X-Vault-Token", token)
			if a.Status != want {
				t.Errorf("%s: %s: %d %s; want %d", name, request, a.Status, a.Body, want)
			}
			if want == 403 {
				wantErrors(t, a, 403, textDenied)
			}
		}
		wantStatus(t, send(v, "PUT", "kv/b", `{"x":"1"}`), 204)
		wantStatus(t, send(v, "DELETE", "kv/new", ""), 204)
	}
}

// §2.3: parameters, also of reads; what is merged from several policies.
func TestACLParameters(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "secret/data/a", `{"data":{"x":"1"}}`), 200)
	for name, c := range map[string]struct {
		policy string
		want   map[string]int // path and body to status of a PUT
	}{
		"required": {`path "kv/*" { capabilities = ["create", "update"] required_parameters = ["owner"] }`,
			map[string]int{`kv/a {"x":"1"}`: 403, `kv/a {"x":"1","owner":"o"}`: 204, `kv/a {"x":"1","owner":null}`: 403}},
		"allowed": {`path "kv/*" { capabilities = ["create", "update"] allowed_parameters = { "tier" = ["gold", "sil*"] "note" = [] } }`,
			map[string]int{`kv/a {"tier":"gold"}`: 204, `kv/a {"tier":"silver"}`: 204, `kv/a {"tier":"lead"}`: 403, `kv/a {"note":"any"}`: 204, `kv/a {"other":"1"}`: 403, `kv/a {"TIER":"gold"}`: 204}},
		"denied": {`path "kv/*" { capabilities = ["create", "update"] denied_parameters = { "tier" = ["gold"] "bad" = [] } }`,
			map[string]int{`kv/a {"tier":"lead"}`: 204, `kv/a {"tier":"gold"}`: 403, `kv/a {"bad":"x"}`: 403, `kv/a {"BAD":"x"}`: 403, `kv/a {"other":"x"}`: 204}},
		"denied all": {`path "kv/*" { capabilities = ["create", "update"] denied_parameters = { "*" = [] } }`, map[string]int{`kv/a {"x":"1"}`: 403}},
		"allowed all but": {`path "kv/*" { capabilities = ["create", "update"] allowed_parameters = { "*" = [] } denied_parameters = { "x" = [] } }`,
			map[string]int{`kv/a {"x":"1"}`: 403, `kv/a {"y":"1"}`: 204}},
	} {
		token := v.Policy("p", c.policy)
		for request, want := range c.want {
			path, body, _ := strings.Cut(request, " ")
			if a := send(v, "PUT", path, body, "X-Vault-Token", token); a.Status != want {
				t.Errorf("%s: %s: %d %s; want %d", name, request, a.Status, a.Body, want)
			}
		}
	}
	reader := v.Policy("reads", `path "secret/data/a" { capabilities = ["read"] denied_parameters = { "version" = [] } }`)
	wantStatus(t, send(v, "GET", "secret/data/a", "", "X-Vault-Token", reader), 200)
	wantStatus(t, send(v, "GET", "secret/data/a?version=1", "", "X-Vault-Token", reader), 403)

	check(t, v.Sys().PutPolicy("one", `path "kv/m" { capabilities = ["read"] allowed_parameters = { "a" = ["1"] } }`))
	check(t, v.Sys().PutPolicy("two", `path "kv/m" { capabilities = ["create", "update"] allowed_parameters = { "a" = ["2"] } }`))
	check(t, v.Sys().PutPolicy("no", `path "kv/m" { capabilities = ["deny"] }`))
	both := create(t, v, vault.TokenCreateRequest{Policies: []string{"one", "two"}}).ClientToken
	for body, want := range map[string]int{`{"a":"1"}`: 204, `{"a":"2"}`: 204, `{"a":"3"}`: 403} {
		wantStatus(t, send(v, "PUT", "kv/m", body, "X-Vault-Token", both), want)
	}
	denied := create(t, v, vault.TokenCreateRequest{Policies: []string{"one", "two", "no"}}).ClientToken
	wantErrors(t, send(v, "GET", "kv/m", "", "X-Vault-Token", denied), 403, textDenied)
}

// §2.3: min_wrapping_ttl and max_wrapping_ttl ask for a wrapped answer, within bounds.
func TestACLWrapping(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "kv/a", `{"x":"1"}`), 204)
	for _, c := range []struct {
		bounds string
		ttl    string // "" = not wrapped
		status int
	}{
		{`min_wrapping_ttl = "1m"`, "", 403}, {`min_wrapping_ttl = "1m"`, "59", 403},
		{`min_wrapping_ttl = "1m"`, "60", 200}, {`min_wrapping_ttl = "1m"`, "1h", 200},
		{`max_wrapping_ttl = "1m"`, "", 403}, {`max_wrapping_ttl = "1m"`, "60", 200}, {`max_wrapping_ttl = "1m"`, "61", 403},
		{`min_wrapping_ttl = 10 max_wrapping_ttl = 20`, "15s", 200}, {`min_wrapping_ttl = 10 max_wrapping_ttl = 20`, "25s", 403},
	} {
		token := v.Policy("p", `path "kv/a" { capabilities = ["read"] `+c.bounds+` }`)
		a := send(v, "GET", "kv/a", "", "X-Vault-Token", token, "X-Vault-Wrap-TTL", c.ttl)
		if a.Status != c.status || strings.Contains(a.Body, `"x"`) {
			t.Errorf("%s, wrapped for %q: %d %s", c.bounds, c.ttl, a.Status, a.Body)
		}
		if c.status == 403 {
			wantErrors(t, a, 403, textDenied)
		}
	}
}

// A changed policy holds from the next request on, for tokens that have it already.
func TestACLChangeHoldsAtOnce(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "kv/a", `{"x":"1"}`), 204)
	token := v.Policy("p", `path "kv/a" { capabilities = ["read"] }`)
	for _, c := range []struct {
		text   string
		status int
	}{{`path "kv/a" { capabilities = ["deny"] }`, 403}, {`path "kv/+" { capabilities = ["read"] }`, 200}, {"", 403}, {`path "kv/a" { capabilities = ["read"] }`, 200}} {
		if c.text == "" {
			check(t, v.Sys().DeletePolicy("p"))
		} else {
			check(t, v.Sys().PutPolicy("p", c.text))
		}
		wantStatus(t, send(v, "GET", "kv/a", "", "X-Vault-Token", token), c.status)
	}
}

// What is not there and what is not allowed look the same to who may not know.
func TestACLHidesWhatExists(t *testing.T) {
	v := start(t)
	wantStatus(t, send(v, "PUT", "kv/there", `{"x":"1"}`), 204)
	token := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}}).ClientToken
	for _, method := range []string{"GET", "PUT", "LIST", "DELETE"} {
		for _, path := range []string{"kv/there", "kv/none", "none/x", "sys/none", "auth/none/login", "secret/data/x"} {
			wantErrors(t, send(v, method, path, `{"x":"1"}`, "X-Vault-Token", token), 403, textDenied)
			wantErrors(t, send(v, method, path, `{"x":"1"}`, "X-Vault-Token", ""), 403, textBadToken)
		}
	}
}

package conformance_test

import (
	"encoding/json"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The tests of this file hold a rule of the wire against everything that is
// mounted: a new engine belongs into whole and the tables below.

const emptyErrors = `{"errors":[]}` + "\n"

// whole runs a vault with one of each engine and method, at the name of its type.
func whole(t testing.TB) *testenv.Vault {
	t.Helper()
	v := start(t)
	for _, kind := range []string{"transit", "database", "pki"} {
		check(t, v.Sys().Mount(kind, &vault.MountInput{Type: kind}))
	}
	for _, kind := range []string{"userpass", "approle", "kubernetes", "jwt", "cert"} {
		check(t, v.Sys().EnableAuthWithOptions(kind, &vault.EnableAuthOptions{Type: kind}))
	}
	return v
}

// §2.1: a LIST without names is 404 with no errors, by verb and by query, with
// a slash and without; nowhere an empty list, nowhere null.
func TestEmptyListsEverywhere(t *testing.T) {
	v := whole(t)
	for _, path := range []string{
		"kv", "kv/a/b", "secret/metadata", "secret/metadata/a", "cubbyhole", "transit/keys", "database/config", "database/roles", "database/static-roles",
		"pki/roles", "pki/issuers", "pki/keys", "pki/certs", "auth/token/roles", "auth/userpass/users", "auth/approle/role", "auth/kubernetes/role", "auth/jwt/role", "auth/cert/certs",
		"identity/entity/id", "identity/entity/name", "identity/group/id", "identity/entity-alias/id",
		"sys/policies/password", "sys/namespaces", "sys/quotas/rate-limit", "sys/quotas/lease-count", "sys/leases/lookup", "sys/leases/lookup/database/creds",
	} {
		for _, c := range [][2]string{{"LIST", path}, {"LIST", path + "/"}, {"GET", path + "?list=true"}, {"GET", path + "/?list=true"}} {
			if a := send(v, c[0], c[1], ""); a.Status != 404 || a.Body != emptyErrors {
				t.Errorf("%s %s: %d %s", c[0], c[1], a.Status, a.Body)
			}
		}
		if s, err := v.Logical().List(path); s != nil || err != nil {
			t.Errorf("the client lists %s: %v, %v", path, s, err)
		}
	}
}

// §2.1: what is not there is 404 with no errors to who reads it, and 204 to who
// deletes it.
func TestAbsentEverywhere(t *testing.T) {
	v := whole(t)
	for _, path := range []string{
		"kv/none", "cubbyhole/none", "secret/metadata/none", "database/config/none", "database/roles/none", "database/static-roles/none",
		"pki/roles/none", "auth/token/roles/none", "auth/userpass/users/none", "auth/approle/role/none", "auth/kubernetes/role/none", "auth/jwt/role/none", "auth/cert/certs/none",
		"identity/entity/id/none", "identity/entity/name/none", "identity/group/id/none", "identity/group/name/none",
		"sys/policies/acl/none", "sys/policy/none", "sys/policies/password/none", "sys/quotas/rate-limit/none",
	} {
		if a := send(v, "GET", path, ""); a.Status != 404 || a.Body != emptyErrors {
			t.Errorf("GET %s: %d %s", path, a.Status, a.Body)
		}
		if a := send(v, "HEAD", path, ""); a.Status != 404 || a.Body != "" {
			t.Errorf("HEAD %s: %d %s", path, a.Status, a.Body)
		}
		if s, err := v.Logical().Read(path); s != nil || err != nil {
			t.Errorf("the client reads %s: %v, %v", path, s, err)
		}
		if a := send(v, "DELETE", path, ""); a.Status != 204 || a.Body != "" {
			t.Errorf("DELETE %s: %d %s", path, a.Status, a.Body)
		}
	}
	for _, path := range []string{"sys/mounts/none", "sys/auth/none", "sys/audit/none"} {
		want(t, send(v, "DELETE", path, ""), 204, "")
	}
}

// §2.1: POST is PUT, and a form is what JSON is, for every engine and method.
func TestWritesEverywhere(t *testing.T) {
	v := whole(t)
	for _, c := range []struct{ path, json, form, read, field string }{
		{"kv/x", `{"k":"v w"}`, "k=v+w", "kv/x", "k"},
		{"cubbyhole/x", `{"k":"v w"}`, "k=v+w", "cubbyhole/x", "k"},
		{"secret/metadata/x", `{"max_versions":4}`, "max_versions=4", "secret/metadata/x", "max_versions"},
		{"transit/keys/x/config", `{"min_encryption_version":1}`, "min_encryption_version=1", "transit/keys/x", "min_encryption_version"},
		{"database/roles/x", `{"db_name":"db","creation_statements":"S","max_ttl":60}`, "db_name=db&creation_statements=S&max_ttl=60", "database/roles/x", "db_name"},
		{"pki/roles/x", `{"allowed_domains":"a.test","max_ttl":"1h"}`, "allowed_domains=a.test&max_ttl=1h", "pki/roles/x", "allowed_domains"},
		{"auth/userpass/users/x", `{"password":"correct horse","token_ttl":"1m"}`, "password=correct+horse&token_ttl=1m", "auth/userpass/users/x", "token_ttl"},
		{"auth/approle/role/x", `{"token_policies":"a,b"}`, "token_policies=a,b", "auth/approle/role/x", "token_policies"},
		{"auth/token/roles/x", `{"allowed_policies":["a","b"]}`, "allowed_policies=a&allowed_policies=b", "auth/token/roles/x", "allowed_policies"},
		{"auth/kubernetes/role/x", `{"bound_service_account_names":"a","bound_service_account_namespaces":"b"}`,
			"bound_service_account_names=a&bound_service_account_namespaces=b", "auth/kubernetes/role/x", "bound_service_account_names"},
		{"identity/entity/name/x", `{"policies":"a,b"}`, "policies=a,b", "identity/entity/name/x", "policies"},
		{"sys/policies/acl/x", `{"policy":"path \"a\" {}"}`, "policy=path+%22a%22+%7B%7D", "sys/policies/acl/x", "policy"},
		{"sys/mounts/kv/tune", `{"default_lease_ttl":"1h"}`, "default_lease_ttl=1h", "sys/mounts/kv/tune", "default_lease_ttl"},
	} {
		if strings.HasPrefix(c.path, "transit/") {
			write(t, v.Client, "transit/keys/x", nil)
		}
		field := func() string {
			t.Helper()
			var s struct{ Data map[string]json.RawMessage }
			a := send(v, "GET", c.read, "")
			if err := json.Unmarshal([]byte(a.Body), &s); err != nil || s.Data[c.field] == nil {
				t.Errorf("%s: %d %s", c.read, a.Status, a.Body)
			}
			return string(s.Data[c.field])
		}
		var first string
		for i, w := range []struct{ method, body, media string }{
			{"POST", c.json, "application/json"}, {"PUT", c.json, ""}, {"POST", c.json, "application/x-www-form-urlencoded"},
			{"PUT", c.form, "application/x-www-form-urlencoded"}, {"POST", c.form, "application/x-www-form-urlencoded; charset=utf-8"},
		} {
			if a := send(v, w.method, c.path, w.body, "Content-Type", w.media); a.Status >= 300 {
				t.Errorf("%s %s as %q: %d %s", w.method, c.path, w.media, a.Status, a.Body)
			}
			if got := field(); i == 0 {
				first = got
			} else if got != first {
				t.Errorf("%s %s as %q: %s is %s, want %s", w.method, c.path, w.media, c.field, got, first)
			}
		}
	}
	// In a form "list" and "help" are fields like any other.
	want(t, send(v, "PUT", "kv/steer", "list=a&help=b", "Content-Type", "application/x-www-form-urlencoded"), 204, "")
	want(t, send(v, "GET", "kv/steer?list=false&help=0", ""), 200, `"data":{"help":"b","list":"a"}`)
	want(t, send(v, "POST", "auth/userpass/login/x", "password=correct+horse", "X-Vault-Token", "", "Content-Type", "application/x-www-form-urlencoded"), 200, `"client_token":"hvs.`)
}

// §2.1: ?help=1 is answered for every mount and every path below it that has a
// route, and changes nothing.
func TestHelpEverywhere(t *testing.T) {
	v := whole(t)
	for _, path := range []string{
		"kv/x", "secret/data/x", "secret/destroy/x", "cubbyhole/x", "transit/encrypt/x", "transit/keys/x/rotate", "database/creds/x", "database/rotate-root/x",
		"pki/issue/x", "pki/root/generate/internal", "pki/revoke",
		"auth/token/create", "auth/userpass/login/x", "auth/approle/role/x/secret-id", "auth/kubernetes/login", "auth/jwt/login", "auth/cert/login",
		"identity/entity", "sys/leases/revoke", "sys/seal", "sys/rotate", "sys/audit/file", "sys/wrapping/unwrap", "sys/namespaces/x", "sys/quotas/rate-limit/x",
	} {
		h, err := v.Help(path)
		if err != nil || len(h.Help) < 20 {
			t.Errorf("help of %s: %+v, %v", path, h, err)
		}
		for _, method := range []string{"GET", "LIST", "PUT", "POST", "DELETE"} {
			want(t, send(v, method, path+"?help=1", `{"a":"b"}`), 200, `"help":`)
		}
	}
	want(t, send(v, "GET", "sys/audit/file", ""), 405, "unsupported operation")
	if devices := must[map[string]*vault.Audit](t)(v.Sys().ListAudit()); devices["file/"] == nil {
		t.Error("asking for help has disabled the audit device")
	}
	if s := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus()); s.Sealed {
		t.Error("asking for help has sealed the vault")
	}
}

// §2.1: no route answers without a token but those meant to, and what it says
// does not depend on what there is.
func TestStrangersEverywhere(t *testing.T) {
	v := whole(t)
	write(t, v.Client, "kv/there", object{"k": "v"})
	for _, path := range []string{
		"kv/there", "kv/none", "secret/data/x", "transit/keys/x", "transit/encrypt/x", "database/creds/x", "database/config/x", "pki/issue/x", "pki/roles/x", "pki/revoke", "auth/userpass/users/x",
		"auth/approle/role/x", "auth/kubernetes/config", "auth/jwt/config", "auth/cert/certs/x", "auth/token/lookup-self", "identity/entity/id/x", "sys/mounts", "sys/auth",
		"sys/policies/acl/default", "sys/audit", "sys/leases/lookup", "sys/capabilities-self", "sys/metrics", "sys/namespaces/x", "sys/key-status", "nowhere/x",
	} {
		for _, method := range []string{"GET", "PUT", "LIST", "DELETE"} {
			for _, token := range []string{"", "hvs.unknown", v.Root + "x"} {
				wantErrors(t, send(v, method, path, `{}`, "X-Vault-Token", token), 403, "permission denied")
			}
		}
	}
}

// Tokens mean nothing outside the vault and the namespace that made them (§2.4).
func TestTokensOfOthers(t *testing.T) {
	v, other := testenv.Start(t, nil), testenv.Start(t, nil)
	batch := must[*vault.Secret](t)(other.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"default"}, Type: "batch", TTL: "1h"})).Auth.ClientToken
	wrapped := must[*vault.Secret](t)(other.Logical().Write("sys/wrapping/wrap", object{"k": "v"})).WrapInfo.Token
	for _, foreign := range []string{other.Root, batch, wrapped} {
		wantErrors(t, send(v, "GET", "auth/token/lookup-self", "", "X-Vault-Token", foreign), 403, "permission denied")
		_, err := v.Auth().Token().Lookup(foreign)
		refused(t, err, 403, "bad token")
		want(t, send(v, "PUT", "sys/wrapping/unwrap", `{"token":"`+foreign+`"}`), 400, "wrapping token is not valid or does not exist")
	}
}

// §2.5: both ways to tune a method are one, and both to read it.
func TestTuningAMethodEitherWay(t *testing.T) {
	v := whole(t)
	for _, path := range []string{"sys/auth/userpass/tune", "sys/mounts/auth/userpass/tune"} {
		for i, read := range []string{"sys/auth/userpass/tune", "sys/mounts/auth/userpass/tune"} {
			ttl := []string{"1h", "2h"}[i]
			want(t, send(v, "POST", path, `{"max_lease_ttl":"`+ttl+`","description":"by `+path+`"}`), 204, "")
			want(t, send(v, "GET", read, ""), 200, `"max_lease_ttl":`+map[string]string{"1h": "3600", "2h": "7200"}[ttl])
			want(t, send(v, "GET", read, ""), 200, `"description":"by `+path+`"`)
		}
	}
	for _, path := range []string{"sys/auth/userpass", "sys/mounts/auth/userpass"} {
		want(t, send(v, "GET", path, ""), 200, `"type":"userpass"`)
	}
}

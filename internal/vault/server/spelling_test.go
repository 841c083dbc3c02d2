package server_test

import (
	"strings"
	"testing"
)

// Whoever may do something to all but one thing must not reach that one under
// another spelling of its name (classes of CVE-2025-64761, GHSA-xp3c-3jw3-4vcr).
func TestDenyHoldsForEverySpelling(t *testing.T) {
	v := start(t)
	check(t, v.Sys().PutPolicy("guarded", `path "x" { capabilities = ["read"] }`))
	wantStatus(t, send(v, "PUT", "auth/token/roles/guarded", `{"allowed_policies":"guarded"}`), 204)
	wantStatus(t, send(v, "PUT", "sys/auth/cluster", `{"type":"kubernetes"}`), 204)
	wantStatus(t, send(v, "PUT", "secret/data/a", `{"data":{"x":"1"}}`), 200)
	token := v.Policy("all-but", `
		path "sys/policies/acl/*" { capabilities = ["create", "read", "update", "delete"] }
		path "sys/policies/acl/guarded" { capabilities = ["deny"] }
		path "sys/policy/*" { capabilities = ["create", "read", "update", "delete"] }
		path "sys/policy/guarded" { capabilities = ["deny"] }
		path "sys/mounts/*" { capabilities = ["create", "read", "update", "delete"] }
		path "sys/mounts/secret" { capabilities = ["deny"] }
		path "sys/mounts/secret/tune" { capabilities = ["deny"] }
		path "sys/auth/*" { capabilities = ["create", "read", "update", "delete", "sudo"] }
		path "sys/auth/cluster" { capabilities = ["deny"] }
		path "auth/token/*" { capabilities = ["create", "read", "update", "delete", "sudo"] }
		path "auth/token/roles/guarded" { capabilities = ["deny"] }
		path "auth/token/create/guarded" { capabilities = ["deny"] }
		path "auth/cluster/*" { capabilities = ["create", "read", "update", "delete"] }
		path "auth/cluster/role/guarded" { capabilities = ["deny"] }
		path "secret/metadata/*" { capabilities = ["list"] }
		path "secret/metadata/" { capabilities = ["deny"] }`)
	for _, request := range []string{
		"PUT sys/policies/acl/Guarded", "GET sys/policies/acl/GUARDED", "DELETE sys/policies/acl/guardeD",
		"PUT sys/policies/acl/%20guarded", "GET sys/policies/acl/guarded%20", "GET sys/policies/acl//guarded",
		"PUT sys/policy/Guarded", "DELETE sys/policy/guarded%20",
		"GET sys/mounts/secret/", "DELETE sys/mounts/secret/", "DELETE sys/mounts//secret", "DELETE sys/mounts/secret//",
		"GET sys/mounts/secret/tune/", "GET sys/mounts/secret//tune", "PUT sys/mounts//secret/tune",
		"DELETE sys/auth/cluster/", "DELETE sys/auth//cluster",
		"PUT auth/token/roles/Guarded", "DELETE auth/token/roles/GUARDED", "PUT auth/token/create/Guarded",
		"PUT auth/cluster/role/Guarded", "DELETE auth/cluster/role/guardeD",
		"LIST secret/metadata//", "GET secret/metadata//?list=true",
	} {
		method, path, _ := strings.Cut(request, " ")
		a := send(v, method, path, `{"policy":"path \"y\" {}","type":"kv","bound_service_account_names":"*"}`, "X-Vault-Token", token)
		if a.Status != 403 && a.Status != 400 || strings.Contains(path, "//") && a.Status != 400 {
			t.Errorf("%s: %d %s", request, a.Status, a.Body)
		}
	}
	// Another spelling of what is allowed stays allowed.
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"PUT", "sys/policies/acl/Free", 200}, {"GET", "sys/policies/acl/FREE", 200}, {"GET", "sys/mounts/kv/", 200},
		{"PUT", "auth/token/create/FREE", 400}, // there is no such role
	} {
		wantStatus(t, send(v, c.method, c.path, `{"policy":"path \"y\" {}"}`, "X-Vault-Token", token), c.status)
	}
}

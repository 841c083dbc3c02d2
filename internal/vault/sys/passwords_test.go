package sys_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// sys/policies/password as Vault has it: HCL and base64 of it, its text read back
// to the byte, and passwords that fit.
func TestPasswordPolicies(t *testing.T) {
	v := testenv.Start(t, nil)
	const text = "length = 12\nrule \"charset\" {\n  charset = \"abc#\"\n  min-chars = 3\n}\n"
	put := func(path, text string) testenv.Answer {
		body, err := json.Marshal(map[string]string{"policy": text})
		check(t, err)
		return send(v, "PUT", "sys/policies/password/"+path, string(body))
	}
	want(t, send(v, "LIST", "sys/policies/password", ""), 404, `{"errors":[]}`)
	want(t, put("db", text), 204, "")
	want(t, put("b64", base64.StdEncoding.EncodeToString([]byte(text))), 204, "")
	for _, name := range []string{"db", "b64"} {
		if d := data(t, send(v, "GET", "sys/policies/password/"+name, "")); d["policy"] != text || len(d) != 1 {
			t.Errorf("%s is %q", name, d)
		}
	}
	want(t, send(v, "LIST", "sys/policies/password", ""), 200, `"keys":["b64","db"]`)
	seen := map[string]bool{}
	for range 20 {
		made, err := v.Logical().Read("sys/policies/password/db/generate")
		check(t, err)
		password := made.Data["password"].(string)
		if len(password) != 12 || strings.Trim(password, "abc#") != "" {
			t.Errorf("generated %q", password)
		}
		seen[password] = true
	}
	if len(seen) < 19 {
		t.Errorf("%d different passwords of 20", len(seen))
	}
	v.Restart()
	v.Unseal()
	want(t, send(v, "GET", "sys/policies/password/db/generate", ""), 200, "password")
	want(t, send(v, "DELETE", "sys/policies/password/db", ""), 204, "")
	want(t, send(v, "GET", "sys/policies/password/db", ""), 404, `{"errors":[]}`)
	want(t, send(v, "GET", "sys/policies/password/db/generate", ""), 404, `there is no password policy \"db\"`)
	want(t, put("db", ""), 400, "missing policy")
	want(t, put("db", "length = 12"), 400, "at least one rule")
	want(t, put("db", "lenght = 12"), 400, `line 1, column 1: unknown key \"lenght\"`)
	want(t, put("%20", text), 400, "no name of a password policy")
	if token := v.Policy("p", `path "sys/policies/password/b64" { capabilities = ["read"] }`); true {
		want(t, send(v, "GET", "sys/policies/password/b64", "", "X-Vault-Token", token), 200, "length")
		want(t, send(v, "GET", "sys/policies/password/b64/generate", "", "X-Vault-Token", token), 403, "permission denied")
	}
}

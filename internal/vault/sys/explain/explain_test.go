package explain_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

func send(v *testenv.Vault, method, path, body string, headers ...string) testenv.Answer {
	return v.HTTP(method, path, strings.NewReader(body), headers...)
}

// ask returns the data of one answer of sys/policies/explain.
func ask(t *testing.T, v *testenv.Vault, body, token string) map[string]any {
	t.Helper()
	a := send(v, "PUT", "sys/policies/explain", body, "X-Vault-Token", token)
	var s struct{ Data map[string]any }
	if err := json.Unmarshal([]byte(a.Body), &s); err != nil || a.Status != 200 {
		t.Fatalf("%s: %d %s", body, a.Status, a.Body)
	}
	return s.Data
}

const mine = `path "kv/a" { capabilities = ["read"] }
path "sys/policies/explain" { capabilities = ["update"] }`

func start(t *testing.T) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("kv", &vault.MountInput{Type: "kv-v1"}); err != nil {
		t.Fatal(err)
	}
	if a := send(v, "PUT", "kv/a", `{"x":"planted-value"}`); a.Status != 204 {
		t.Fatal(a.Body)
	}
	return v
}

// Complaint 6 of facts §5, by the endpoint: about the caller, a token, an
// accessor, or policies.
func TestExplainEndpoint(t *testing.T) {
	v := start(t)
	token := v.Policy("mine", mine)
	other, err := v.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"mine", "ghost"}, NoDefaultPolicy: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		body, token string
		allowed     bool
		policies    string
		reason      string
	}{
		{`{"path":"kv/a"}`, token, true, "default mine", "allowed by policy"},
		{`{"path":"kv/a","operation":"delete"}`, token, false, "default mine", "do not grant"},
		{`{"path":"kv/a","operation":"delete","policies":"mine"}`, token, false, "mine", "do not grant"},
		{`{"path":"kv/b","token":"` + other.Auth.ClientToken + `"}`, token, false, "ghost mine", "no policy has a path"},
		{`{"path":"/kv/a","accessor":"` + other.Auth.Accessor + `"}`, token, true, "ghost mine", "allowed by policy"},
		{`{"path":"kv/b"}`, v.Root, true, "root", "allowed as root"},
		{`{"path":"sys/seal","operation":"update"}`, token, false, "default mine", "no policy has a path"},
		{`{"path":"kv","operation":"list","policies":["ROOT"]}`, token, true, "root", "allowed as root"},
	} {
		d := ask(t, v, c.body, c.token)
		var policies []string
		for _, name := range d["policies"].([]any) {
			policies = append(policies, name.(string))
		}
		if d["allowed"] != c.allowed || strings.Join(policies, " ") != c.policies || !strings.Contains(d["reason"].(string), c.reason) {
			t.Errorf("%s: %v", c.body, d)
		}
	}
	d := ask(t, v, `{"path":"sys/seal","operation":"write"}`, token)
	if d["suggestion"] != "path \"sys/seal\" {\n  capabilities = [\"sudo\", \"update\"]\n}\n" {
		t.Errorf("%v", d)
	}
	for path, note := range map[string]string{
		"nowhere/x": "nothing is mounted", "sys/nonsense": "has no such path", "sys/internal/ui/mounts/x": "every token", "sys/wrapping/lookup": "no token",
	} {
		if d := ask(t, v, `{"path":"`+path+`"}`, token); !strings.Contains(d["note"].(string), note) {
			t.Errorf("%s: %v", path, d["note"])
		}
	}
	// It is policy that says who may ask.
	if a := send(v, "PUT", "sys/policies/explain", `{"path":"a"}`, "X-Vault-Token", v.Policy("none", `path "x" {}`)); a.Status != 403 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for body, text := range map[string]string{
		`{}`: "missing path", `{"path":"a","operation":"eat"}`: "operation must be", `{"path":"a","token":"hvs.x"}`: "invalid token or accessor",
		`{"path":"a","accessor":"x"}`: "invalid token or accessor", `{"path":"a","accessor":"x","policies":"y"}`: "give one of",
		`{"path":"a","parameters":3}`: "parameters", `{"path":"a","policies":["root","x"]}`: "",
	} {
		a := send(v, "PUT", "sys/policies/explain", body)
		if text == "" {
			continue // grant.Normalize: root is alone
		}
		if a.Status != 400 || !strings.Contains(a.Body, text) {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
	if strings.Contains(v.Log.String(), other.Auth.ClientToken) {
		t.Error("the token asked about is in the log")
	}
}

// The opt-in within a 403: the same text, and the reasons beside it for who asks
// for them and may know.
func TestExplainedDenial(t *testing.T) {
	v := start(t)
	curious := v.Policy("mine", mine)
	plain := v.Policy("plain", `path "kv/a" { capabilities = ["read"] }`)
	const text = `{"errors":["1 error occurred:\n\t* permission denied\n\n"]`
	for name, c := range map[string]struct {
		token, header string
		explained     bool
	}{
		"asks and may":      {curious, "true", true},
		"asks and may, too": {curious, "1", true},
		"does not ask":      {curious, "", false},
		"says no":           {curious, "false", false},
		"may not":           {plain, "true", false},
	} {
		a := send(v, "DELETE", "kv/a", "", "X-Vault-Token", c.token, "X-Strongkeep-Explain", c.header)
		if a.Status != 403 || !strings.HasPrefix(a.Body, text) || strings.Contains(a.Body, `"explanation"`) != c.explained {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if strings.Contains(a.Body, "planted-value") {
			t.Errorf("%s: the answer holds a secret", name)
		}
		if !c.explained {
			continue
		}
		var s struct {
			Data struct {
				Explanation struct {
					Allowed    bool
					Suggestion string
					Blocks     []struct {
						Policy  string
						Line    int
						Decides bool
					}
				}
			}
		}
		if err := json.Unmarshal([]byte(a.Body), &s); err != nil {
			t.Fatal(err)
		}
		x := s.Data.Explanation
		if x.Allowed || x.Suggestion != "path \"kv/a\" {\n  capabilities = [\"delete\"]\n}\n" || len(x.Blocks) != 1 || x.Blocks[0].Policy != "mine" || x.Blocks[0].Line != 1 || !x.Blocks[0].Decides {
			t.Errorf("%s: %+v", name, x)
		}
	}
	// A token that is not known learns nothing, and what is not a denial has no reasons.
	for _, a := range []testenv.Answer{
		send(v, "GET", "kv/a", "", "X-Vault-Token", "hvs.unknown", "X-Strongkeep-Explain", "true"),
		send(v, "GET", "kv/a", "", "X-Vault-Token", curious, "X-Strongkeep-Explain", "true"),
	} {
		if strings.Contains(a.Body, "explanation") {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	// The client that everybody uses sees the same error.
	client := v.NewClient(curious)
	client.AddHeader("X-Strongkeep-Explain", "true")
	_, err := client.Logical().Delete("kv/a")
	var res *vault.ResponseError
	if !errors.As(err, &res) || res.StatusCode != 403 || !slices.Equal(res.Errors, []string{"1 error occurred:\n\t* permission denied\n\n"}) {
		t.Errorf("%v", err)
	}
}

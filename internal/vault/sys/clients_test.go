package sys_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// sys/tools/random in all its forms.
func TestRandom(t *testing.T) {
	v := testenv.Start(t, nil)
	for path, c := range map[string]struct {
		body string
		n    int
	}{
		"": {``, 32}, "/7": {``, 7}, "/platform": {`{"bytes":9}`, 9}, "/all/12": {`{"bytes":9}`, 12}, "/131072": {``, 131072},
	} {
		a := send(v, "PUT", "sys/tools/random"+path, c.body)
		raw, err := base64.StdEncoding.DecodeString(data(t, a)["random_bytes"].(string))
		if err != nil || len(raw) != c.n {
			t.Errorf("%s: %d bytes, %v", path, len(raw), err)
		}
	}
	one, two := send(v, "PUT", "sys/tools/random", `{"format":"hex"}`), send(v, "PUT", "sys/tools/random", `{"format":"hex"}`)
	first := data(t, one)["random_bytes"].(string)
	if raw, err := hex.DecodeString(first); err != nil || len(raw) != 32 || first == data(t, two)["random_bytes"] {
		t.Errorf("%s", one.Body)
	}
	for path, text := range map[string]string{"/0": "less than 1", "/131073": "less than 131073", "/seal": "unsupported entropy source", "/all/x": "must be a number"} {
		want(t, send(v, "PUT", "sys/tools/random"+path, ""), 400, text)
	}
	want(t, send(v, "PUT", "sys/tools/random", `{"format":"utf8"}`), 400, "unsupported encoding format")
}

// sys/tools/hash: the sums of "abc" of FIPS 180-4 and FIPS 202.
func TestHash(t *testing.T) {
	v := testenv.Start(t, nil)
	token := v.Policy("p", `path "x" {}`) // the default policy grants it
	for algorithm, sum := range map[string]string{
		"":         "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha2-224": "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7",
		"sha3-256": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
	} {
		path := "sys/tools/hash"
		if algorithm != "" {
			path += "/" + algorithm
		}
		if d := data(t, send(v, "PUT", path, `{"input":"YWJj"}`, "X-Vault-Token", token)); d["sum"] != sum {
			t.Errorf("%q: %v", algorithm, d)
		}
	}
	for _, algorithm := range []string{"sha2-384", "sha2-512", "sha3-224", "sha3-384", "sha3-512"} {
		want(t, send(v, "PUT", "sys/tools/hash", `{"input":"YWJj","format":"base64","algorithm":"`+algorithm+`"}`), 200, `"sum":"`)
	}
	want(t, send(v, "PUT", "sys/tools/hash/md5", `{"input":"YWJj"}`), 400, "unsupported algorithm")
	want(t, send(v, "PUT", "sys/tools/hash", `{"input":"!"}`), 400, "base64")
	want(t, send(v, "PUT", "sys/tools/hash", `{"input":"YWJj","format":"x"}`), 400, "unsupported encoding format")
}

// sys/plugins/catalog by the official client: what is built in, and nothing to add.
func TestCatalog(t *testing.T) {
	v := testenv.Start(t, nil)
	all, err := v.Sys().ListPlugins(&vault.ListPluginsInput{})
	check(t, err)
	auth, secret := all.PluginsByType[vault.PluginTypeCredential], all.PluginsByType[vault.PluginTypeSecrets]
	if !slices.Contains(auth, "kubernetes") || !slices.Contains(secret, "kv") || slices.Contains(secret, "system") {
		t.Errorf("%q %q", auth, secret)
	}
	one, err := v.Sys().GetPlugin(&vault.GetPluginInput{Name: "kv", Type: vault.PluginTypeSecrets})
	check(t, err)
	if !one.Builtin || one.Name != "kv" || one.Command != "" || one.DeprecationStatus != "supported" {
		t.Errorf("%+v", one)
	}
	want(t, send(v, "LIST", "sys/plugins/catalog/auth", ""), 200, `"kubernetes"`)
	want(t, send(v, "LIST", "sys/plugins/catalog/database", ""), 404, `{"errors":[]}`)
	want(t, send(v, "LIST", "sys/plugins/catalog/x", ""), 400, "secret, auth or database")
	want(t, send(v, "GET", "sys/plugins/catalog/secret/x", ""), 404, `{"errors":[]}`)
	want(t, send(v, "PUT", "sys/plugins/catalog/secret/x", `{"command":"x","sha256":"00"}`), 400, "there are no plugins")
	want(t, send(v, "DELETE", "sys/plugins/catalog/secret/kv", ""), 400, "there are no plugins")
	want(t, send(v, "GET", "sys/plugins/catalog", "", "X-Vault-Token", v.Policy("p", `path "sys/plugins/*" { capabilities = ["read"] }`)), 403, "")
}

// What a web interface asks about its user.
func TestResultantACL(t *testing.T) {
	v := testenv.Start(t, nil)
	token := v.Policy("p", `path "secret/data/a" { capabilities = ["read", "update"] }
		path "secret/data/a" { capabilities = ["list"] }
		path "kv/*" { capabilities = ["read"] }
		path "kv/+/x" { capabilities = ["deny"] }`)
	d := data(t, send(v, "GET", "sys/internal/ui/resultant-acl", "", "X-Vault-Token", token))
	exact, glob := d["exact_paths"].(map[string]any), d["glob_paths"].(map[string]any)
	for got, wanted := range map[any]string{
		text(t, exact["secret/data/a"]): `{"capabilities":["list","read","update"]}`, text(t, glob["kv/"]): `{"capabilities":["read"]}`,
		text(t, glob["kv/+/x"]): `{"capabilities":["deny"]}`, text(t, exact["auth/token/lookup-self"]): `{"capabilities":["read"]}`,
	} {
		if got != wanted {
			t.Errorf("%s, want %s", got, wanted)
		}
	}
	if d["root"] != false {
		t.Error("root")
	}
	if d := data(t, send(v, "GET", "sys/internal/ui/resultant-acl", "")); d["root"] != true {
		t.Errorf("%v", d)
	}
}

// Namespaces that a caller may know of: those where policy grants it anything.
func TestVisibleNamespaces(t *testing.T) {
	v := testenv.Start(t, nil)
	for _, name := range []string{"a", "b"} {
		if a := send(v, "POST", "sys/namespaces/"+name, "{}"); a.Status/100 != 2 {
			t.Fatal(a.Body)
		}
	}
	want(t, send(v, "GET", "sys/internal/ui/namespaces", ""), 200, `"keys":["a/","b/"]`)
	token := v.Policy("p", `path "b/secret/*" { capabilities = ["read"] }`)
	want(t, send(v, "GET", "sys/internal/ui/namespaces", "", "X-Vault-Token", token), 200, `"keys":["b/"]`)
}

func text(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	check(t, err)
	return strings.TrimSpace(string(raw))
}

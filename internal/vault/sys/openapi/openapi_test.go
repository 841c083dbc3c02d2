package openapi_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// start runs a vault with one mount of every type that there is.
func start(t *testing.T) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	for list, enable := range map[string]string{"secrets engine": "sys/mounts/", "auth method": "sys/auth/"} {
		// The error of an unknown type names those that are known.
		a := v.HTTP("POST", enable+"x", strings.NewReader(`{"type":"nonsense"}`))
		_, names, ok := strings.Cut(a.Body, "known types: ")
		if !ok {
			t.Fatalf("%s: %s", list, a.Body)
		}
		for _, name := range regexp.MustCompile(`[a-z][a-z0-9-]*`).FindAllString(strings.SplitN(names, `"`, 2)[0], -1) {
			if a := v.HTTP("POST", enable+"the-"+name, strings.NewReader(`{"type":"`+name+`"}`)); a.Status != 204 && !strings.Contains(a.Body, "cubbyhole") {
				t.Fatalf("%s: %d %s", name, a.Status, a.Body)
			}
		}
	}
	if err := v.Sys().Mount("secret", &vault.MountInput{Type: "kv-v2"}); err != nil {
		t.Fatal(err)
	}
	return v
}

// document reads and validates the specification.
func document(t *testing.T, v *testenv.Vault, token, query string) *openapi3.T {
	t.Helper()
	a := v.HTTP("GET", "sys/internal/specs/openapi"+query, nil, "X-Vault-Token", token)
	if a.Status != 200 || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(a.Body))
	if err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.0.2" {
		t.Errorf("openapi %s", doc.OpenAPI)
	}
	return doc
}

// The document is valid OpenAPI, as a library of others sees it, and its
// operations have names of their own.
func TestDocumentIsValid(t *testing.T) {
	v := start(t)
	doc := document(t, v, v.Root, "")
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	seen := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for verb, op := range item.Operations() {
			if before, twice := seen[op.OperationID]; twice || op.OperationID == "" || op.Summary == "" {
				t.Errorf("%s %s: operationId %q, summary %q; also at %s", verb, path, op.OperationID, op.Summary, before)
			}
			seen[op.OperationID] = path
		}
	}
	t.Logf("%d paths, %d operations", doc.Paths.Len(), len(seen))
}

// unsafe are operations that end the vault, the test's token or the answer.
var unsafe = map[string]bool{
	"POST /sys/seal": true, "POST /auth/token/revoke-self": true, "GET /sys/events/subscribe/{type}": true, "GET /sys/monitor": true,
	"POST /sys/init": true, "GET /sys/pprof/profile": true, "GET /sys/pprof/trace": true,
}

// refused are operations that clients of Vault ask for and that tell what to do instead.
var refused = map[string]string{
	"POST /sys/storage/raft/snapshot": "strongkeep snapshot restore", "POST /sys/storage/raft/snapshot-force": "strongkeep snapshot restore",
}

var braces = regexp.MustCompile(`\{[^}]*\}`)

// What is documented is there: no operation answers that there is no such path or method.
func TestEveryOperationIsServed(t *testing.T) {
	v := start(t)
	doc := document(t, v, v.Root, "")
	asked := 0
	paths := slices.Sorted(maps.Keys(doc.Paths.Map()))
	for _, path := range paths {
		for verb := range doc.Paths.Find(path).Operations() {
			if unsafe[verb+" "+path] {
				continue
			}
			at, body := strings.TrimPrefix(braces.ReplaceAllString(path, "x"), "/"), "{}"
			if strings.HasSuffix(at, "/") {
				at += "?list=true"
			}
			if verb == "GET" || verb == "DELETE" {
				body = ""
			}
			a := v.HTTP(verb, at, strings.NewReader(body), "Content-Type", map[string]string{"PATCH": "application/merge-patch+json"}[verb])
			asked++
			if instead, ok := refused[verb+" "+path]; ok {
				if a.Status != 405 || !strings.Contains(a.Body, instead) {
					t.Errorf("%s %s: %d %s", verb, path, a.Status, a.Body)
				}
				continue
			}
			for _, text := range []string{"unsupported path", "unsupported operation", "unsupported method", "no handler for"} {
				if a.Status == 405 || strings.Contains(a.Body, text) {
					t.Errorf("%s %s as %s: %d %s", verb, path, at, a.Status, a.Body)
				}
			}
			if a.Status == 500 {
				t.Errorf("%s %s as %s: %d %s", verb, path, at, a.Status, a.Body)
			}
		}
	}
	if asked < 50 {
		t.Errorf("only %d operations were asked for", asked)
	}
}

// What is there is documented: every route that the mounts name in their help.
func TestEveryRouteIsDocumented(t *testing.T) {
	v := start(t)
	doc := document(t, v, v.Root, "")
	routes := 0
	for _, list := range []string{"sys/mounts", "sys/auth"} {
		var s struct{ Data map[string]any }
		if err := json.Unmarshal([]byte(v.HTTP("GET", list, nil).Body), &s); err != nil {
			t.Fatal(err)
		}
		for mount := range s.Data {
			if list == "sys/auth" {
				mount = "auth/" + mount
			}
			help, err := v.Help(strings.TrimSuffix(mount, "/"))
			if err != nil {
				t.Fatalf("%s: %v", mount, err)
			}
			for _, line := range regexp.MustCompile(`(?m)^    (\S.*)$`).FindAllStringSubmatch(help.Help, -1) {
				path := "/" + mount + strings.ReplaceAll(line[1], "...}", "}")
				routes++
				if doc.Paths.Find(path) == nil && doc.Paths.Find(path+"/") == nil {
					t.Errorf("%s is not documented", path)
				}
			}
		}
	}
	for _, path := range []string{"/sys/init", "/sys/seal-status", "/sys/unseal", "/sys/health", "/sys/leader"} {
		if item := doc.Paths.Find(path); item == nil || len(item.Operations()) == 0 {
			t.Errorf("%s is not documented", path)
		}
	}
	if routes < 30 {
		t.Errorf("only %d routes were found", routes)
	}
}

func TestParametersAndBodies(t *testing.T) {
	v := start(t)
	doc := document(t, v, v.Root, "")
	data := doc.Paths.Find("/secret/data/{path}")
	if data == nil || data.Get == nil || data.Post == nil || data.Patch == nil || data.Delete == nil {
		t.Fatalf("%+v", data)
	}
	if p := data.Parameters.GetByInAndName("path", "path"); p == nil || !p.Required {
		t.Error("the path parameter is missing")
	}
	if data.Get.Parameters.GetByInAndName("query", "version") == nil || data.Get.Parameters.GetByInAndName("query", "options") != nil {
		t.Errorf("the query of a read: %+v", data.Get.Parameters)
	}
	body := data.Post.RequestBody.Value.Content["application/json"].Schema.Value
	if !body.Properties["options"].Value.Type.Is("object") || body.Properties["path"] != nil {
		t.Errorf("the body: %+v", body)
	}
	if data.Patch.RequestBody.Value.Content["application/merge-patch+json"] == nil {
		t.Error("the media type of PATCH")
	}
	list := doc.Paths.Find("/secret/metadata/{path}/")
	if p := list.Get.Parameters.GetByInAndName("query", "list"); p == nil || !p.Required {
		t.Error("a listing needs list=true")
	}
	if x := doc.Paths.Find("/sys/seal").Extensions["x-vault-sudo"]; x != true {
		t.Errorf("x-vault-sudo is %v", x)
	}
	if login := doc.Paths.Find("/auth/the-kubernetes/login"); login.Extensions["x-vault-unauthenticated"] != true || login.Post.Security == nil {
		t.Error("a login needs no token")
	}
}

// A caller sees the mounts where policy grants it something.
func TestOnlyWhatTheCallerMayUse(t *testing.T) {
	v := start(t)
	token := v.Policy("p", `path "secret/data/app" { capabilities = ["read"] }`)
	doc := document(t, v, token, "")
	for path, there := range map[string]bool{"/secret/data/{path}": true, "/the-kv/{path}": false, "/auth/the-kubernetes/login": false, "/sys/health": true} {
		if (doc.Paths.Find(path) != nil) != there {
			t.Errorf("%s: %v", path, !there)
		}
	}
	if a := v.HTTP("GET", "sys/internal/specs/openapi", nil, "X-Vault-Token", ""); a.Status != 403 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// generic_mount_paths, for generators of clients: one mount of each type.
func TestGenericMountPaths(t *testing.T) {
	v := start(t)
	doc := document(t, v, v.Root, "?generic_mount_paths=true")
	item := doc.Paths.Find("/{kv_v2_mount_path}/data/{path}")
	if item == nil {
		t.Fatal("kv version 2 is not there")
	}
	if p := item.Parameters.GetByInAndName("path", "kv_v2_mount_path"); p == nil || p.Schema.Value.Default != "secret" {
		t.Errorf("%+v", item.Parameters)
	}
	if doc.Paths.Find("/secret/data/{path}") != nil || doc.Paths.Find("/sys/mounts") == nil || doc.Paths.Find("/auth/{kubernetes_mount_path}/login") == nil {
		t.Error("the other mounts")
	}
}

// Below the root there is what a namespace has, and no more.
func TestDocumentOfANamespace(t *testing.T) {
	v := testenv.Start(t, nil)
	if a := v.HTTP("POST", "sys/namespaces/team", strings.NewReader("{}")); a.Status/100 != 2 {
		t.Fatal(a.Status, a.Body)
	}
	a := v.HTTP("GET", "sys/internal/specs/openapi", nil, "X-Vault-Namespace", "team")
	doc, err := openapi3.NewLoader().LoadFromData([]byte(a.Body))
	if err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	for path, there := range map[string]bool{"/sys/mounts": true, "/sys/seal": false, "/sys/unseal": false, "/cubbyhole/{path}": true} {
		if (doc.Paths.Find(path) != nil) != there {
			t.Errorf("%s: %v", path, !there)
		}
	}
}

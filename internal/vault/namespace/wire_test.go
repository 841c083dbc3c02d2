package namespace_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The tests of this file speak to the whole vault over HTTPS, mostly with the
// official client and its SetNamespace (facts §2.1).

// in returns a client of token in the namespace at path.
func in(v *testenv.Vault, token, path string) *vault.Client {
	c := v.NewClient(token)
	if path != "" {
		c.SetNamespace(path)
	}
	return c
}

// make creates namespaces, each with kv version 2 at secret/ and version 1 at kv/.
func create(t testing.TB, v *testenv.Vault, paths ...string) {
	t.Helper()
	for _, path := range paths {
		parent, name := "", path
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			parent, name = path[:i], path[i+1:]
		}
		must(t)(in(v, v.Root, parent).Logical().Write("sys/namespaces/"+name, nil))
		c := in(v, v.Root, path)
		check(t, c.Sys().Mount("secret", &vault.MountInput{Type: "kv-v2"}))
		check(t, c.Sys().Mount("kv", &vault.MountInput{Type: "kv-v1"}))
	}
}

func must(t testing.TB) func(*vault.Secret, error) *vault.Secret {
	return func(s *vault.Secret, err error) *vault.Secret {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// token makes a token of the namespace at path with a policy of that text.
func token(t testing.TB, v *testenv.Vault, path, policy string) *vault.SecretAuth {
	t.Helper()
	c := in(v, v.Root, path)
	check(t, c.Sys().PutPolicy("p", policy))
	s, err := c.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"p"}, NoParent: true})
	check(t, err)
	return s.Auth
}

const everything = `path "*" { capabilities = ["create", "read", "update", "delete", "list", "patch", "sudo"] }`

// refused fails the test unless err is an answer of this status that says text.
func refused(t testing.TB, err error, status int, text string) {
	t.Helper()
	var e *vault.ResponseError
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want status %d", err, status)
	}
	if e.StatusCode != status || !strings.Contains(strings.Join(e.Errors, "\n"), text) {
		t.Fatalf("status %d %q, want %d %q", e.StatusCode, e.Errors, status, text)
	}
}

// §2.5, §2.1: create, nest, list, read, patch, delete; header and path are one.
func TestLifeOfNamespaces(t *testing.T) {
	v := testenv.Start(t, nil)
	s := must(t)(v.Logical().Write("sys/namespaces/team-a", map[string]any{"custom_metadata": map[string]string{"owner": "ann"}}))
	id, _ := s.Data["id"].(string)
	if len(id) != 5 || s.Data["path"] != "team-a/" || s.Data["uuid"] == "" {
		t.Fatalf("created %v", s.Data)
	}
	again := must(t)(v.Logical().Write("sys/namespaces/team-a", nil))
	if again.Data["id"] != id {
		t.Errorf("creating what exists: %v", again.Data)
	}
	create(t, v, "team-a/dev", "team-b")
	a := in(v, v.Root, "team-a")
	if s = must(t)(a.Logical().List("sys/namespaces")); fmt.Sprint(s.Data["keys"]) != "[dev/]" {
		t.Errorf("below team-a: %v", s.Data)
	}
	if info, _ := s.Data["key_info"].(map[string]any)["dev/"].(map[string]any); info["path"] != "team-a/dev/" {
		t.Errorf("key_info: %v", s.Data["key_info"])
	}
	s = must(t)(v.Logical().ReadWithData("sys/namespaces", map[string][]string{"list": {"true"}, "recursive": {"true"}}))
	if fmt.Sprint(s.Data["keys"]) != "[team-a/ team-a/dev/ team-b/]" {
		t.Errorf("all: %v", s.Data["keys"])
	}
	_, err := v.Logical().JSONMergePatch(t.Context(), "sys/namespaces/team-a", map[string]any{"custom_metadata": map[string]any{"owner": nil, "x": "1"}})
	check(t, err)
	if s = must(t)(v.Logical().Read("sys/namespaces/team-a")); fmt.Sprint(s.Data["custom_metadata"]) != "map[x:1]" {
		t.Errorf("patched: %v", s.Data)
	}

	// One secret, four spellings.
	must(t)(in(v, v.Root, "team-a/dev").Logical().Write("kv/x", map[string]any{"k": "v"}))
	for _, c := range [][2]string{{"team-a/dev", "kv/x"}, {"team-a", "dev/kv/x"}, {"", "team-a/dev/kv/x"}, {"/team-a/", "dev/kv/x"}} {
		s, err := in(v, v.Root, c[0]).Logical().Read(c[1])
		if err != nil || s == nil || s.Data["k"] != "v" {
			t.Errorf("%v: %v, %v", c, s, err)
		}
	}
	if s, err := in(v, v.Root, "team-b").Logical().Read("kv/x"); s != nil || err != nil {
		t.Errorf("in the namespace beside it: %v, %v", s, err)
	}
	answer := v.HTTP("GET", "kv/x", nil, "X-Vault-Namespace", "team-a/dev/")
	if answer.Header.Get("X-Vault-Namespace") != "team-a/dev" {
		t.Errorf("the header comes back as %q", answer.Header.Get("X-Vault-Namespace"))
	}

	_, err = v.Logical().Delete("sys/namespaces/team-a")
	refused(t, err, 400, "child namespaces")
	must(t)(a.Logical().Delete("sys/namespaces/dev"))
	if s := must(t)(a.Logical().Read("sys/namespaces/dev")); s != nil {
		t.Errorf("deleted and there: %v", s.Data)
	}
	must(t)(v.Logical().Delete("sys/namespaces/team-a"))
	must(t)(v.Logical().Delete("sys/namespaces/team-a"))
}

func TestNamesThatCannotBe(t *testing.T) {
	v := testenv.Start(t, nil)
	check(t, v.Sys().Mount("deep/er", &vault.MountInput{Type: "kv"}))
	create(t, v, "team")
	for name, text := range map[string]string{
		"sys": "reserved", "auth": "reserved", "cubbyhole": "reserved", "Identity": "reserved", "root": "reserved", "audit": "reserved",
		"a*": "letters", "+": "letters", "a%2fb": "", "none/below": "create it first", "deep": "path is already in use",
		strings.Repeat("x", 200): "limit",
	} {
		_, err := v.Logical().Write("sys/namespaces/"+name, nil)
		var e *vault.ResponseError
		if !errors.As(err, &e) || e.StatusCode != 400 || !strings.Contains(e.Error(), text) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, path := range []string{"team", "team/x"} {
		refused(t, v.Sys().Mount(path, &vault.MountInput{Type: "kv"}), 400, "path is already in use")
	}
	refused(t, v.Sys().Remount("deep/er", "team/kv"), 400, "path is already in use")
	refused(t, in(v, v.Root, "team").Sys().Mount("cubbyhole/x", &vault.MountInput{Type: "kv"}), 400, "path is already in use")
	check(t, in(v, v.Root, "team").Sys().Mount("deep/er", &vault.MountInput{Type: "kv"})) // each has its own paths
}

// Mounts, policies, token roles and auth methods of one namespace are its own.
func TestEachHasItsOwn(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a", "b")
	a, b := in(v, v.Root, "a"), in(v, v.Root, "b")
	mounts, err := a.Sys().ListMounts()
	check(t, err)
	for _, want := range []string{"sys/", "cubbyhole/", "secret/", "kv/"} {
		if mounts[want] == nil {
			t.Errorf("no mount %s in a namespace: %v", want, mounts)
		}
	}
	check(t, a.Sys().Unmount("kv"))
	if m, _ := b.Sys().MountConfig("kv"); m == nil {
		t.Error("unmounted in one namespace, gone in another")
	}
	refused(t, a.Sys().TuneMount("auth/token", vault.MountConfigInput{MaxLeaseTTL: "1h"}), 400, "root namespace")

	check(t, a.Sys().PutPolicy("mine", everything))
	if text, _ := b.Sys().GetPolicy("mine"); text != "" {
		t.Error("a policy of one namespace is in another")
	}
	names, err := a.Sys().ListPolicies()
	if err != nil || fmt.Sprint(names) != "[default mine]" {
		t.Errorf("policies of a namespace: %v, %v", names, err)
	}
	if text, _ := a.Sys().GetPolicy("root"); text != "" {
		t.Error("a namespace has a root policy")
	}

	check(t, a.Sys().EnableAuthWithOptions("users", &vault.EnableAuthOptions{Type: "userpass"}))
	must(t)(a.Logical().Write("auth/users/users/ann", map[string]any{"password": "correct horse", "token_policies": "mine"}))
	s := must(t)(in(v, "", "a").Logical().Write("auth/users/login/ann", map[string]any{"password": "correct horse"}))
	if !strings.Contains(s.Auth.ClientToken, ".") || strings.Count(s.Auth.ClientToken, ".") != 2 || !strings.Contains(s.Auth.Accessor, ".") {
		t.Error("a login's token or accessor does not end in the namespace")
	}
	if got := must(t)(in(v, s.Auth.ClientToken, "a").Auth().Token().LookupSelf()); got.Data["namespace_path"] != "a/" || got.Data["path"] != "auth/users/login/ann" {
		t.Errorf("lookup-self: %v", got.Data)
	}
	_, err = in(v, "", "b").Logical().Write("auth/users/login/ann", map[string]any{"password": "correct horse"})
	refused(t, err, 403, "permission denied")

	must(t)(a.Logical().Write("auth/token/roles/ci", map[string]any{"allowed_policies": "mine"}))
	if s := must(t)(b.Logical().Read("auth/token/roles/ci")); s != nil {
		t.Errorf("a token role of one namespace is in another: %v", s.Data)
	}
	if s := must(t)(a.Logical().Write("auth/token/create/ci", nil)); fmt.Sprint(s.Auth.Policies) != "[default mine]" {
		t.Errorf("made by role: %v", s.Auth.Policies)
	}
}

// Only the root namespace has what concerns the whole vault.
func TestWhatIsOfTheRootAlone(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a")
	admin := token(t, v, "a", everything)
	for _, path := range []string{"sys/audit", "sys/key-status", "sys/metrics", "sys/ha-status"} {
		_, err := in(v, admin.ClientToken, "a").Logical().Read(path)
		refused(t, err, 400, "root namespace")
	}
	refused(t, in(v, admin.ClientToken, "a").Sys().Seal(), 400, "root namespace")
	refused(t, in(v, v.Root, "a").Sys().Rotate(), 400, "root namespace")
	// What clients ask before they know anything works with a namespace and without.
	for _, path := range []string{"sys/health", "sys/seal-status", "sys/leader", "sys/init"} {
		for _, ns := range []string{"", "a", "nowhere"} {
			if got := v.HTTP("GET", path, nil, "X-Vault-Namespace", ns, "X-Vault-Token", ""); got.Status != http.StatusOK {
				t.Errorf("%s in %q: %d %s", path, ns, got.Status, got.Body)
			}
		}
	}
}

// A grant from above reaches down; nothing reaches up or across.
func TestPoliciesReachDownOnly(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a", "a/dev", "b")
	for _, ns := range []string{"a", "a/dev", "b"} {
		must(t)(in(v, v.Root, ns).Logical().Write("kv/x", map[string]any{"of": ns}))
	}
	read := func(token, ns string) string {
		s, err := in(v, token, ns).Logical().Read("kv/x")
		if err != nil || s == nil {
			return ""
		}
		return s.Data["of"].(string)
	}
	below := token(t, v, "a", `path "dev/kv/*" { capabilities = ["read"] } path "b/kv/*" { capabilities = ["read"] }`)
	plus := v.Policy("plus", `path "+/kv/*" { capabilities = ["read"] }`)
	all := token(t, v, "a/dev", everything)
	for _, c := range []struct{ who, token, in, want string }{
		{"below", below.ClientToken, "a/dev", "a/dev"}, {"below", below.ClientToken, "a", ""}, {"below", below.ClientToken, "b", ""},
		{"plus", plus, "a", "a"}, {"plus", plus, "b", "b"}, {"plus", plus, "a/dev", ""},
		{"all", all.ClientToken, "a/dev", "a/dev"}, {"all", all.ClientToken, "a", ""}, {"all", all.ClientToken, "b", ""}, {"all", all.ClientToken, "", ""},
	} {
		if got := read(c.token, c.in); got != c.want {
			t.Errorf("%s in %q reads %q, want %q", c.who, c.in, got, c.want)
		}
	}
	// Rules cannot climb: neither by their text nor by the request's path.
	refused(t, in(v, v.Root, "a").Sys().PutPolicy("climb", `path "../b/kv/x" { capabilities = ["read"] }`), 400, "not allowed")
	for _, path := range []string{"../b/kv/x", "dev/../../b/kv/x", "./kv/x"} {
		if got := v.HTTP("GET", path, nil, "X-Vault-Namespace", "a", "X-Vault-Token", all.ClientToken); got.Status == 200 {
			t.Errorf("%s: %s", path, got.Body)
		}
	}
	caps := must(t)(in(v, below.ClientToken, "a").Logical().Write("sys/capabilities-self", map[string]any{"paths": []string{"dev/kv/x", "kv/x"}}))
	if fmt.Sprint(caps.Data["dev/kv/x"], caps.Data["kv/x"]) != "[read] [deny]" {
		t.Errorf("capabilities: %v", caps.Data)
	}
	pre := must(t)(in(v, v.Root, "a").Logical().Read("sys/internal/ui/mounts/dev/secret/x"))
	if pre.Data["path"] != "dev/secret/" {
		t.Errorf("the preflight from above: %v", pre.Data)
	}
	_, err := in(v, all.ClientToken, "a/dev").Logical().Read("sys/internal/ui/mounts/nothing/x")
	refused(t, err, 403, "preflight")
}

// strangers get one answer, whether or not there is what they ask for.
func TestDenialsTellNothing(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a", "b")
	poor := v.Policy("poor", `path "elsewhere/*" { capabilities = ["read"] }`)
	sibling := token(t, v, "a", everything).ClientToken
	for _, who := range []string{"", "hvs.unknown", poor, sibling} {
		for _, op := range []struct{ method, path string }{
			{"GET", "kv/x"}, {"PUT", "kv/x"}, {"LIST", "kv"}, {"GET", "sys/mounts"}, {"GET", "sys/mounts?help=1"}, {"GET", "kv/x?help=1"},
			{"GET", "sys/internal/ui/mounts/kv/x"}, {"GET", "sys/internal/ui/mounts"}, {"GET", "auth/token/lookup-self"}, {"DELETE", "sys/policies/acl/p"},
			{"PUT", "sys/namespaces/api-lock/lock"}, {"GET", "cubbyhole/x"},
		} {
			there := v.HTTP(op.method, op.path, nil, "X-Vault-Namespace", "b", "X-Vault-Token", who)
			nowhere := v.HTTP(op.method, op.path, nil, "X-Vault-Namespace", "c", "X-Vault-Token", who)
			if there.Status != 403 || there.Status != nowhere.Status || there.Body != nowhere.Body {
				t.Errorf("%s %s as %.8q: there %d %s, nowhere %d %s", op.method, op.path, who, there.Status, there.Body, nowhere.Status, nowhere.Body)
			}
			there = v.HTTP(op.method, "b/"+op.path, nil, "X-Vault-Token", who)
			nowhere = v.HTTP(op.method, "c/"+op.path, nil, "X-Vault-Token", who)
			if there.Status != 403 || there.Body != nowhere.Body {
				t.Errorf("%s b/%s as %.8q: there %d %s, nowhere %d %s", op.method, op.path, who, there.Status, there.Body, nowhere.Status, nowhere.Body)
			}
		}
	}
	log, err := os.ReadFile(v.AuditFile())
	check(t, err)
	if !strings.Contains(string(log), `"namespace":{"id":"unknown"`) {
		t.Error("the audit log does not say that a namespace was unknown")
	}
}

// A locked namespace answers nothing but its unlocking, nor do those within it.
func TestLock(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a", "a/dev", "b")
	admin := token(t, v, "a", everything).ClientToken
	dev := token(t, v, "a/dev", everything).ClientToken
	plain := token(t, v, "b", `path "sys/namespaces/api-lock/*" { capabilities = ["update"] }`).ClientToken
	key := must(t)(in(v, v.Root, "").Logical().Write("sys/namespaces/api-lock/lock/a", nil)).Data["unlock_key"].(string)
	for _, c := range []*vault.Client{in(v, admin, "a"), in(v, dev, "a/dev"), in(v, v.Root, "a"), in(v, v.Root, "a/dev")} {
		_, err := c.Logical().Write("kv/x", map[string]any{"a": "1"})
		refused(t, err, 503, `API access to this namespace has been locked by an administrator - "a/" must be unlocked to gain access.`)
	}
	_, err := in(v, "hvs.unknown", "a").Logical().Read("kv/x")
	refused(t, err, 403, "permission denied")
	must(t)(in(v, v.Root, "b").Logical().Write("kv/x", map[string]any{"a": "1"}))
	_, err = v.Logical().Write("sys/namespaces/api-lock/lock/a", nil)
	refused(t, err, 400, "already locked")
	_, err = in(v, admin, "a").Logical().Write("sys/namespaces/api-lock/unlock", map[string]any{"unlock_key": "wrong"})
	refused(t, err, 400, "incorrect unlock key")
	v.Restart()
	v.Unseal() // the lock is stored
	_, err = in(v, admin, "a").Logical().Read("kv/x")
	refused(t, err, 503, "locked")
	must(t)(in(v, admin, "a").Logical().Write("sys/namespaces/api-lock/unlock", map[string]any{"unlock_key": key}))
	must(t)(in(v, admin, "a").Logical().Write("kv/x", map[string]any{"a": "1"}))

	key = must(t)(in(v, plain, "b").Logical().Write("sys/namespaces/api-lock/lock", nil)).Data["unlock_key"].(string)
	_, err = in(v, plain, "b").Logical().Write("sys/namespaces/api-lock/unlock", nil) // neither the key nor sudo
	refused(t, err, 400, "incorrect unlock key")
	must(t)(in(v, plain, "b").Logical().Write("sys/namespaces/api-lock/unlock", map[string]any{"unlock_key": key}))
	_, err = v.Logical().Write("sys/namespaces/api-lock/lock", nil)
	refused(t, err, 400, "root namespace cannot be locked")
	log, err := os.ReadFile(v.AuditFile())
	check(t, err)
	if strings.Contains(string(log), key) {
		t.Error("the audit log holds an unlock key")
	}
}

// What a deleted namespace had is out of reach at once and gone soon, and one
// that takes its name has nothing of it.
func TestDeletedNamespace(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a")
	a := in(v, v.Root, "a")
	service := token(t, v, "a", everything).ClientToken
	batch, err := a.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{"p"}, Type: "batch"})
	check(t, err)
	must(t)(a.Logical().Write("kv/x", map[string]any{"old": "1"}))
	must(t)(in(v, batch.Auth.ClientToken, "a").Logical().Read("kv/x"))
	must(t)(v.Logical().Delete("sys/namespaces/a"))
	for _, dead := range []string{service, batch.Auth.ClientToken} {
		_, err := in(v, dead, "a").Logical().Read("kv/x")
		refused(t, err, 403, "permission denied")
	}
	create(t, v, "a")
	if s := must(t)(a.Logical().Read("kv/x")); s != nil {
		t.Errorf("the new namespace has %v of the old", s.Data)
	}
	if text, _ := a.Sys().GetPolicy("p"); text != "" {
		t.Error("the new namespace has a policy of the old")
	}
	for _, dead := range []string{service, batch.Auth.ClientToken} {
		_, err := in(v, dead, "a").Logical().Read("kv/x")
		refused(t, err, 403, "permission denied")
	}
	v.Restart()
	v.Unseal()
	if s := must(t)(in(v, v.Root, "a").Logical().Read("kv/x")); s != nil {
		t.Error("back after a restart")
	}
}

// A listing of accessors is that of one namespace.
func TestAccessorsAreListedByNamespace(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a", "b")
	mine := token(t, v, "a", everything)
	other := token(t, v, "b", everything)
	s := must(t)(in(v, mine.ClientToken, "a").Logical().List("auth/token/accessors"))
	if keys := fmt.Sprint(s.Data["keys"]); !strings.Contains(keys, mine.Accessor) || strings.Contains(keys, other.Accessor) {
		t.Errorf("accessors of a: %s", keys)
	}
	s = must(t)(v.Logical().List("auth/token/accessors"))
	if keys := fmt.Sprint(s.Data["keys"]); strings.Contains(keys, mine.Accessor) {
		t.Errorf("accessors of the root: %s", keys)
	}
}

// A wrapping token is of the namespace of its request.
func TestWrappingWithinANamespace(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a", "b")
	wrapping := in(v, v.Root, "a")
	must(t)(wrapping.Logical().Write("kv/x", map[string]any{"k": "v"}))
	wrapping.SetWrappingLookupFunc(func(string, string) string { return "60s" })
	s := must(t)(wrapping.Logical().Read("kv/x"))
	theirs := token(t, v, "b", everything).ClientToken
	_, err := in(v, theirs, "b").Logical().Write("sys/wrapping/unwrap", map[string]any{"token": s.WrapInfo.Token})
	refused(t, err, 400, "wrapping token is not valid or does not exist")
	_, err = in(v, theirs, "b").Logical().Write("sys/wrapping/lookup", map[string]any{"token": s.WrapInfo.Token})
	refused(t, err, 400, "wrapping token is not valid or does not exist")
	got := must(t)(in(v, s.WrapInfo.Token, "a").Logical().Unwrap(""))
	if got.Data["k"] != "v" {
		t.Errorf("unwrapped %v", got.Data)
	}
}

// Audit lines say in which namespace something happened, and whose policy allowed it.
func TestAuditNamesTheNamespace(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a")
	tok := token(t, v, "a", everything).ClientToken
	must(t)(in(v, tok, "").Logical().Write("a/kv/audited", map[string]any{"k": "v"}))
	log, err := os.ReadFile(v.AuditFile())
	check(t, err)
	lines := strings.Split(string(log), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"kv/audited"`) })
	if at < 0 {
		t.Fatal("the request is not in the log under its path within the namespace")
	}
	var line struct {
		Auth struct {
			Results struct {
				Granting []struct {
					Path string `json:"namespace_path"`
				} `json:"granting_policies"`
			} `json:"policy_results"`
		} `json:"auth"`
		Request struct {
			Namespace struct{ ID, Path string } `json:"namespace"`
		} `json:"request"`
	}
	check(t, json.Unmarshal([]byte(lines[at]), &line))
	if line.Request.Namespace.Path != "a/" || len(line.Auth.Results.Granting) != 1 || line.Auth.Results.Granting[0].Path != "a/" {
		t.Errorf("audited as %+v", line)
	}
}

// cubbyholes belong to tokens, and these to namespaces.
func TestCubbyholeIsInTheTokensNamespace(t *testing.T) {
	v := testenv.Start(t, nil)
	create(t, v, "a")
	mine := token(t, v, "a", everything).ClientToken
	must(t)(in(v, mine, "a").Logical().Write("cubbyhole/x", map[string]any{"k": "v"}))
	if s := must(t)(in(v, mine, "a").Logical().Read("cubbyhole/x")); s.Data["k"] != "v" {
		t.Errorf("read %v", s.Data)
	}
	_, err := in(v, v.Root, "a").Logical().Write("cubbyhole/x", map[string]any{"k": "v"})
	refused(t, err, 400, "own namespace")
}

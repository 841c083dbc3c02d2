package conformance_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// §1.1: every row of the table, once through the official client, in the order
// of a day: what each row promises in detail is in the tests that
// docs/vault-api.md names beside it.
func TestOperations(t *testing.T) {
	v := testenv.New(t, nil)
	for _, row := range []struct {
		name string
		test func(*testing.T, *testenv.Vault)
	}{
		{"01-04 health, status, init, unseal", rowUnseal},
		{"05 seal, step-down", rowSeal},
		{"06-07 mounts", rowMounts},
		{"08 auth methods", rowAuth},
		{"09-10 policies, capabilities", rowPolicies},
		{"11-14 tokens", rowTokens},
		{"15-16 userpass, approle", rowLogins},
		{"18-20 kv versions", rowKV},
		{"21-22 kv metadata, preflight", rowMetadata},
		{"23 leases", rowLeases},
		{"24 wrapping", rowWrapping},
		{"25 transit, audit, leader", rowEngines},
	} {
		if !t.Run(row.name, func(t *testing.T) { row.test(t, v) }) && strings.HasPrefix(row.name, "01") {
			return
		}
	}
}

func rowUnseal(t *testing.T, v *testenv.Vault) {
	health := must[*vault.HealthResponse](t)(v.Sys().Health()) // 501 but for the codes the client asks for
	if health.Initialized || !health.Sealed || must[bool](t)(v.Sys().InitStatus()) {
		t.Errorf("a new vault: %+v", health)
	}
	made := must[*vault.InitResponse](t)(v.Sys().Init(&vault.InitRequest{SecretShares: 3, SecretThreshold: 2}))
	if s := must[*vault.SealStatusResponse](t)(v.Sys().Unseal(made.Keys[0])); !s.Sealed || s.Progress != 1 || s.T != 2 || s.N != 3 {
		t.Errorf("after one share: %+v", s)
	}
	if s := must[*vault.SealStatusResponse](t)(v.Sys().ResetUnsealProcess()); s.Progress != 0 {
		t.Errorf("after the reset: %+v", s)
	}
	must[*vault.SealStatusResponse](t)(v.Sys().Unseal(made.KeysB64[2]))
	if s := must[*vault.SealStatusResponse](t)(v.Sys().Unseal(made.Keys[1])); s.Sealed || s.Progress != 0 {
		t.Errorf("after two shares: %+v", s)
	}
	v.Root, v.Shares = made.RootToken, []string{made.Keys[0], made.Keys[2]}
	v.SetToken(v.Root)
	if health = must[*vault.HealthResponse](t)(v.Sys().Health()); health.Sealed || health.Standby {
		t.Errorf("an open vault: %+v", health)
	}
}

func rowSeal(t *testing.T, v *testenv.Vault) {
	check(t, v.Sys().StepDown())
	check(t, v.Sys().Seal())
	if s := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus()); !s.Sealed || s.Type != "shamir" {
		t.Errorf("sealed: %+v", s)
	}
	_, err := v.Logical().Read("kv/x")
	refused(t, err, 503, "Vault is sealed")
	for _, share := range v.Shares {
		must[*vault.SealStatusResponse](t)(v.Sys().Unseal(share))
	}
	if leader := must[*vault.LeaderResponse](t)(v.Sys().Leader()); !leader.IsSelf {
		t.Errorf("leader: %+v", leader)
	}
}

func rowMounts(t *testing.T, v *testenv.Vault) {
	sys := v.Sys()
	check(t, sys.Mount("secret", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}))
	check(t, sys.Mount("kv", &vault.MountInput{Type: "kv", Description: "plain", Config: vault.MountConfigInput{DefaultLeaseTTL: "10m"}}))
	all := must[map[string]*vault.MountOutput](t)(sys.ListMounts())
	if all["secret/"].Options["version"] != "2" || all["kv/"].Description != "plain" || all["kv/"].Config.DefaultLeaseTTL != 600 {
		t.Errorf("mounts: %+v, %+v", all["secret/"], all["kv/"])
	}
	check(t, sys.TuneMount("kv", vault.MountConfigInput{MaxLeaseTTL: "20m"}))
	if c := must[*vault.MountConfigOutput](t)(sys.MountConfig("kv")); c.MaxLeaseTTL != 1200 || c.DefaultLeaseTTL != 600 {
		t.Errorf("tuned: %+v", c)
	}
	check(t, sys.Mount("gone", &vault.MountInput{Type: "kv"}))
	check(t, sys.Unmount("gone"))
	check(t, sys.Unmount("gone"))
}

func rowAuth(t *testing.T, v *testenv.Vault) {
	sys := v.Sys()
	for _, kind := range []string{"userpass", "approle", "kubernetes"} {
		check(t, sys.EnableAuthWithOptions(kind, &vault.EnableAuthOptions{Type: kind}))
	}
	check(t, sys.TuneMount("auth/userpass", vault.MountConfigInput{MaxLeaseTTL: "2h"})) // how the client and the CLI tune
	if c := must[*vault.MountConfigOutput](t)(sys.MountConfig("auth/userpass")); c.MaxLeaseTTL != 7200 {
		t.Errorf("tuned: %+v", c)
	}
	check(t, sys.DisableAuth("kubernetes"))
	all := must[map[string]*vault.AuthMount](t)(sys.ListAuth())
	if len(all) != 3 || all["token/"] == nil || all["userpass/"].Type != "userpass" || all["approle/"].Accessor == "" {
		t.Errorf("methods: %v", all)
	}
}

func rowPolicies(t *testing.T, v *testenv.Vault) {
	sys := v.Sys()
	check(t, sys.PutPolicy("app", `path "secret/data/app/*" { capabilities = ["create", "read", "update"] }`))
	check(t, sys.PutPolicy("gone", `path "x" { capabilities = ["read"] }`))
	check(t, sys.DeletePolicy("gone"))
	if names := must[[]string](t)(sys.ListPolicies()); !slices.Equal(names, []string{"app", "default", "root"}) {
		t.Errorf("policies: %q", names)
	}
	if text := must[string](t)(sys.GetPolicy("app")); !strings.Contains(text, "secret/data/app/*") {
		t.Errorf("the policy: %q", text)
	}
	app := token(t, v, "app")
	for _, got := range [][]string{
		must[[]string](t)(sys.Capabilities(app, "secret/data/app/x")),
		must[[]string](t)(v.NewClient(app).Sys().CapabilitiesSelf("secret/data/app/x")),
	} {
		if !slices.Equal(got, []string{"create", "read", "update"}) {
			t.Errorf("capabilities: %q", got)
		}
	}
}

func rowTokens(t *testing.T, v *testenv.Vault) {
	tokens := v.Auth().Token()
	write(t, v.Client, "auth/token/roles/r", object{"allowed_policies": "app"})
	role := must[*vault.Secret](t)(tokens.CreateWithRole(&vault.TokenCreateRequest{}, "r")).Auth
	orphan := must[*vault.Secret](t)(tokens.CreateOrphan(&vault.TokenCreateRequest{Policies: []string{"app"}})).Auth
	if !orphan.Orphan || role.Orphan || !slices.Contains(role.Policies, "app") {
		t.Errorf("orphan %+v, by role %+v", orphan, role)
	}
	made := must[*vault.Secret](t)(tokens.Create(&vault.TokenCreateRequest{Policies: []string{"app"}, TTL: "10m"})).Auth
	self := v.NewClient(made.ClientToken).Auth().Token()
	for _, s := range []*vault.Secret{
		must[*vault.Secret](t)(self.LookupSelf()), must[*vault.Secret](t)(tokens.Lookup(made.ClientToken)), must[*vault.Secret](t)(tokens.LookupAccessor(made.Accessor)),
	} {
		if s.Data["accessor"] != made.Accessor || s.Data["creation_ttl"] != json.Number("600") {
			t.Errorf("lookup: %v", s.Data)
		}
	}
	for _, s := range []*vault.Secret{
		must[*vault.Secret](t)(self.RenewSelf(1200)), must[*vault.Secret](t)(tokens.Renew(made.ClientToken, 1200)), must[*vault.Secret](t)(tokens.RenewAccessor(made.Accessor, 1200)),
	} {
		if s.Auth.LeaseDuration != 1200 {
			t.Errorf("renewed for %d", s.Auth.LeaseDuration)
		}
	}
	check(t, self.RevokeSelf(""))
	check(t, tokens.RevokeAccessor(role.Accessor))
	check(t, tokens.RevokeOrphan(orphan.ClientToken))
	check(t, tokens.RevokeTree(token(t, v, "app")))
	for _, ended := range []string{made.ClientToken, role.ClientToken, orphan.ClientToken} {
		_, err := tokens.Lookup(ended)
		refused(t, err, 403, "bad token")
	}
}

func rowLogins(t *testing.T, v *testenv.Vault) {
	write(t, v.Client, "auth/userpass/users/ann", object{"password": "correct horse", "token_policies": "app"})
	write(t, v.Client, "auth/approle/role/web", object{"token_policies": "app", "token_ttl": "5m"})
	roleID := read(t, v.Client, "auth/approle/role/web/role-id").Data["role_id"]
	secretID := write(t, v.Client, "auth/approle/role/web/secret-id", nil).Data["secret_id"]
	for path, body := range map[string]object{
		"auth/userpass/login/ann": {"password": "correct horse"},
		"auth/approle/login":      {"role_id": roleID, "secret_id": secretID},
	} {
		s := write(t, v.NewClient(""), path, body)
		if s.Auth == nil || !slices.Equal(s.Auth.Policies, []string{"app", "default"}) || !s.Auth.Renewable || s.Auth.EntityID == "" || !s.Auth.Orphan {
			t.Errorf("%s: %+v", path, s.Auth)
			continue
		}
		must[*vault.KVSecret](t)(v.NewClient(s.Auth.ClientToken).KVv2("secret").Put(t.Context(), "app/"+path, object{"by": path}))
	}
}

func rowKV(t *testing.T, v *testenv.Vault) {
	kv, ctx := v.KVv2("secret"), t.Context()
	for i := 1; i <= 2; i++ {
		if s := must[*vault.KVSecret](t)(kv.Put(ctx, "k", object{"n": i}, vault.WithCheckAndSet(i-1))); s.VersionMetadata.Version != i {
			t.Errorf("write %d: %+v", i, s.VersionMetadata)
		}
	}
	must[*vault.KVSecret](t)(kv.Patch(ctx, "k", object{"more": true}))
	if s := must[*vault.KVSecret](t)(kv.Get(ctx, "k")); s.Data["n"] != json.Number("2") || s.Data["more"] != true {
		t.Errorf("patched: %v", s.Data)
	}
	check(t, kv.Delete(ctx, "k"))
	check(t, kv.DeleteVersions(ctx, "k", []int{2}))
	check(t, kv.Undelete(ctx, "k", []int{3}))
	check(t, kv.Destroy(ctx, "k", []int{1}))
	for version, there := range map[int]bool{1: false, 2: false, 3: true} {
		if s := must[*vault.KVSecret](t)(kv.GetVersion(ctx, "k", version)); (s.Data != nil) != there || s.VersionMetadata.Destroyed != (version == 1) {
			t.Errorf("version %d: %v %+v", version, s.Data, s.VersionMetadata)
		}
	}
	_, err := kv.GetVersion(ctx, "k", 4)
	if err == nil || !strings.Contains(err.Error(), "secret not found") {
		t.Errorf("version 4: %v", err)
	}
}

func rowMetadata(t *testing.T, v *testenv.Vault) {
	kv, ctx := v.KVv2("secret"), t.Context()
	check(t, kv.PutMetadata(ctx, "m", vault.KVMetadataPutInput{MaxVersions: 2, CustomMetadata: object{"owner": "ann"}}))
	three := 3
	check(t, kv.PatchMetadata(ctx, "m", vault.KVMetadataPatchInput{MaxVersions: &three}))
	if m := must[*vault.KVMetadata](t)(kv.GetMetadata(ctx, "m")); m.MaxVersions != 3 || m.CustomMetadata["owner"] != "ann" {
		t.Errorf("metadata: %+v", m)
	}
	if s := must[*vault.Secret](t)(v.Logical().List("secret/metadata")); fmt.Sprint(s.Data["keys"]) != "[app/ k m]" {
		t.Errorf("keys: %v", s.Data["keys"])
	}
	check(t, kv.DeleteMetadata(ctx, "m"))
	app := v.NewClient(token(t, v, "app"))
	if s := read(t, app, "sys/internal/ui/mounts/secret/app/x"); s.Data["path"] != "secret/" || s.Data["options"].(object)["version"] != "2" {
		t.Errorf("the preflight: %v", s.Data)
	}
	_, err := app.Logical().Read("sys/internal/ui/mounts/kv/x")
	refused(t, err, 403, "preflight capability check returned 403")
}

// Leases of a database's users are in engine/database and, in all their forms, in sys.
func rowLeases(t *testing.T, v *testenv.Vault) {
	_, err := v.Sys().Lookup("kv/creds/x/none")
	refused(t, err, 400, "invalid lease")
	_, err = v.Sys().Renew("kv/creds/x/none", 60)
	refused(t, err, 400, "lease not found")
	check(t, v.Sys().Revoke("kv/creds/x/none"))
	check(t, v.Sys().RevokePrefix("kv/creds/x"))
	check(t, v.Sys().RevokeForce("kv/creds/x"))
	check(t, v.Sys().RevokeWithOptions(&vault.RevokeOptions{LeaseID: "kv/creds/x/none", Sync: true}))
}

func rowWrapping(t *testing.T, v *testenv.Vault) {
	write(t, v.Client, "kv/w", object{"k": "v"})
	c := v.NewClient(v.Root)
	c.SetWrappingLookupFunc(func(op, path string) string {
		if path == "kv/w" || path == "sys/wrapping/wrap" {
			return "5m"
		}
		return ""
	})
	wrapped := read(t, c, "kv/w").WrapInfo
	if wrapped == nil || wrapped.TTL != 300 || wrapped.CreationPath != "kv/w" {
		t.Fatalf("wrapped: %+v", wrapped)
	}
	if s := write(t, v.NewClient(""), "sys/wrapping/lookup", object{"token": wrapped.Token}); s.Data["creation_ttl"] != json.Number("300") {
		t.Errorf("lookup: %v", s.Data)
	}
	if s := must[*vault.Secret](t)(v.Logical().Unwrap(wrapped.Token)); s.Data["k"] != "v" {
		t.Errorf("unwrapped: %+v", s)
	}
	_, err := v.Logical().Unwrap(wrapped.Token)
	refused(t, err, 400, "wrapping token is not valid or does not exist")
	own := write(t, c, "sys/wrapping/wrap", object{"mine": "1"}).WrapInfo
	again := write(t, v.Client, "sys/wrapping/rewrap", object{"token": own.Token}).WrapInfo
	if s := must[*vault.Secret](t)(v.NewClient(again.Token).Logical().Unwrap("")); s.Data["mine"] != "1" {
		t.Errorf("unwrapped by itself: %+v", s)
	}
}

func rowEngines(t *testing.T, v *testenv.Vault) {
	check(t, v.Sys().Mount("transit", &vault.MountInput{Type: "transit"}))
	plain := base64.StdEncoding.EncodeToString([]byte("text"))
	secret := write(t, v.Client, "transit/encrypt/k", object{"plaintext": plain}).Data["ciphertext"]
	write(t, v.Client, "transit/keys/k/rotate", nil)
	newer := write(t, v.Client, "transit/rewrap/k", object{"ciphertext": secret}).Data["ciphertext"].(string)
	if got := write(t, v.Client, "transit/decrypt/k", object{"ciphertext": newer}).Data["plaintext"]; got != plain || !strings.HasPrefix(newer, "vault:v2:") {
		t.Errorf("%s is %v", newer, got)
	}
	mac := write(t, v.Client, "transit/hmac/k", object{"input": plain}).Data["hmac"]
	write(t, v.Client, "transit/keys/s", object{"type": "ed25519"})
	signature := write(t, v.Client, "transit/sign/s", object{"input": plain}).Data["signature"]
	for key, body := range map[string]object{"k": {"input": plain, "hmac": mac}, "s": {"input": plain, "signature": signature}} {
		if got := write(t, v.Client, "transit/verify/"+key, body).Data["valid"]; got != true {
			t.Errorf("verify %s: %v", key, got)
		}
	}
	check(t, v.Sys().EnableAuditWithOptions("more", &vault.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": "more.log"}}))
	if all := must[map[string]*vault.Audit](t)(v.Sys().ListAudit()); all["more/"] == nil {
		t.Errorf("devices: %v", all)
	}
	check(t, v.Sys().DisableAudit("more"))
	// One node, no raft: said, not faked.
	wantErrors(t, send(v, "GET", "sys/storage/raft/configuration", ""), 404, unsupported)
}

package server_test

import (
	"encoding/base64"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// §1.1 rows 1-4, §2.5: from nothing to an open vault with the official client.
func TestInitAndUnsealByTheClient(t *testing.T) {
	v := testenv.New(t, nil)
	if done := must[bool](t)(v.Sys().InitStatus()); done {
		t.Fatal("a new vault is initialised")
	}
	wantHealth(t, v, "", 501, false, true)
	status := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus())
	if status.Initialized || !status.Sealed {
		t.Errorf("seal status of a new vault: %+v", status)
	}
	if _, err := v.Sys().Unseal(strings.Repeat("ab", 33)); err == nil {
		t.Error("unsealing a vault that is not initialised")
	}
	for name, in := range map[string]vault.InitRequest{
		"threshold over shares": {SecretShares: 2, SecretThreshold: 3},
		"one of many":           {SecretShares: 5, SecretThreshold: 1},
		"too many":              {SecretShares: 256, SecretThreshold: 3},
		"negative":              {SecretShares: -1, SecretThreshold: -1},
		"only shares":           {SecretShares: 5},
		"pgp keys":              {SecretShares: 1, SecretThreshold: 1, PGPKeys: []string{"a"}},
	} {
		_, err := v.Sys().Init(&in)
		wantFailure(t, err, 400, "")
		if done := must[bool](t)(v.Sys().InitStatus()); done {
			t.Fatalf("%s: initialised all the same", name)
		}
	}
	wantStatus(t, send(v, "PUT", "sys/init", `{"secret_shares":1e30,"secret_threshold":1}`), 400)
	made := must[*vault.InitResponse](t)(v.Sys().Init(&vault.InitRequest{SecretShares: 5, SecretThreshold: 3}))
	if len(made.Keys) != 5 || len(made.KeysB64) != 5 || made.RootToken == "" {
		t.Fatalf("init answered %d keys, %d in base64", len(made.Keys), len(made.KeysB64))
	}
	wantHealth(t, v, "", 503, true, true)
	wantErrors(t, send(v, "PUT", "sys/init", `{}`), 400, "Vault is already initialized")
	if s := unsealStep(t, v, made.Keys[4], 1); len(s.Warnings) != 0 {
		t.Errorf("the first share: %q", s.Warnings)
	}
	if s := unsealStep(t, v, made.KeysB64[4], 1); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "counts once") { // in its other form
		t.Errorf("the same share again: %q", s.Warnings)
	}
	if s := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus()); len(s.Warnings) != 0 {
		t.Errorf("who asks only: %q", s.Warnings)
	}
	reset := must[*vault.SealStatusResponse](t)(v.Sys().ResetUnsealProcess())
	if reset.Progress != 0 || reset.Nonce != "" {
		t.Errorf("after a reset: %+v", reset)
	}
	unsealStep(t, v, made.Keys[0], 1)
	unsealStep(t, v, made.KeysB64[1], 2) // hex or base64
	open := unsealStep(t, v, made.Keys[2], 0)
	if open.Sealed || open.T != 3 || open.N != 5 || open.ClusterID == "" || open.ClusterName == "" || open.Type != "shamir" {
		t.Errorf("after the threshold: %+v", open)
	}
	v.Client.SetToken(made.RootToken)
	self := must[*vault.Secret](t)(v.Auth().Token().LookupSelf())
	if !slices.Equal(must[[]string](t)(self.TokenPolicies()), []string{"root"}) {
		t.Errorf("the first token has %v", self.Data["policies"])
	}
	wantErrors(t, send(v, "PUT", "sys/unseal", `{"reset":true}`), 400, "the vault is unsealed already: there are no shares to drop")
}

// unsealStep gives a share and checks how far the attempt is.
func unsealStep(t *testing.T, v *testenv.Vault, share string, progress int) *vault.SealStatusResponse {
	t.Helper()
	s := must[*vault.SealStatusResponse](t)(v.Sys().Unseal(share))
	if s.Progress != progress || s.Sealed != (progress != 0) {
		t.Errorf("after a share: progress %d, sealed %v; want progress %d", s.Progress, s.Sealed, progress)
	}
	return s
}

// wantHealth checks code and body of sys/health, by GET and HEAD.
func wantHealth(t *testing.T, v *testenv.Vault, query string, code int, initialized, sealed bool) {
	t.Helper()
	a := send(v, "GET", "sys/health"+query, "", "X-Vault-Token", "")
	wantStatus(t, a, code)
	wantStatus(t, send(v, "HEAD", "sys/health"+query, "", "X-Vault-Token", ""), code)
	if m := object(t, a); m["initialized"] != initialized || m["sealed"] != sealed {
		t.Errorf("health: %s", a.Body)
	}
}

// §2.1: the codes of sys/health, and their overrides by the query.
func TestHealthCodes(t *testing.T) {
	v := testenv.Start(t, nil)
	const all = "?uninitcode=221&sealedcode=222&activecode=223&standbycode=224&drsecondarycode=225&performancestandbycode=226"
	const client = "?standbycode=299&sealedcode=299&uninitcode=299&drsecondarycode=299&performancestandbycode=299&removedcode=299&haunhealthycode=299"
	wantHealth(t, v, "", 200, true, false)
	wantHealth(t, v, all, 223, true, false)
	wantHealth(t, v, client, 200, true, false)
	wantHealth(t, v, "?standbyok=true&perfstandbyok=true", 200, true, false)
	for _, bad := range []string{"?activecode=x", "?activecode=99", "?activecode=600", "?activecode=-1"} {
		a := send(v, "GET", "sys/health"+bad, "")
		if a.Status != 400 || !strings.Contains(a.Body, "activecode") {
			t.Errorf("%s: %d %s", bad, a.Status, a.Body)
		}
	}
	h := must[*vault.HealthResponse](t)(v.Sys().Health())
	if !h.Initialized || h.Sealed || h.Standby || h.Version == "" || h.ClusterID == "" || h.ServerTimeUTC == 0 {
		t.Errorf("health by the client: %+v", h)
	}
	check(t, v.Sys().Seal())
	wantHealth(t, v, "", 503, true, true)
	wantHealth(t, v, all, 222, true, true)
	wantHealth(t, v, client, 299, true, true)
	if h = must[*vault.HealthResponse](t)(v.Sys().Health()); !h.Sealed {
		t.Errorf("health of a sealed vault by the client: %+v", h)
	}
	fresh := testenv.New(t, nil)
	wantHealth(t, fresh, all, 221, false, true)
}

// §2.1, §2.5: these are bare objects, without an envelope.
func TestBareObjects(t *testing.T) {
	v := testenv.Start(t, nil)
	for path, want := range map[string][]string{
		"sys/init": {"initialized"},
		"sys/seal-status": {"type", "initialized", "sealed", "t", "n", "progress", "nonce", "version", "build_date", "migration",
			"cluster_name", "cluster_id", "recovery_seal", "storage_type", "seals"},
		"sys/seal-backend-status": {"healthy", "backends", "fully_wrapped"},
		"sys/health": {"initialized", "sealed", "standby", "performance_standby", "replication_performance_mode", "replication_dr_mode",
			"server_time_utc", "version", "enterprise", "echo_duration_ms", "clock_skew_ms", "cluster_id", "cluster_name"},
		"sys/leader": {"ha_enabled", "is_self", "active_time", "leader_address", "leader_cluster_address", "performance_standby",
			"performance_standby_last_remote_wal"},
	} {
		for _, p := range []string{path, path + "/"} {
			wantKeys(t, p, object(t, send(v, "GET", p, "", "X-Vault-Token", "")), want...)
		}
	}
	leader := must[*vault.LeaderResponse](t)(v.Sys().Leader())
	if leader.HAEnabled || !leader.IsSelf {
		t.Errorf("leader: %+v", leader)
	}
	ha := must[*vault.HAStatusResponse](t)(v.Sys().HAStatus())
	if len(ha.Nodes) != 1 || !ha.Nodes[0].ActiveNode {
		t.Errorf("ha-status: %+v", ha)
	}
}

// §2.5: what is no share, and shares of which one is wrong.
func TestWrongShares(t *testing.T) {
	v, other := testenv.Start(t, nil), testenv.Start(t, nil)
	check(t, v.Sys().Seal())
	share := func(text string) (*vault.SealStatusResponse, error) { return v.Sys().Unseal(text) }
	raw := must[[]byte](t)(hex.DecodeString(v.Shares[0]))
	raw[3] ^= 1
	for name, text := range map[string]string{
		"not hex": "canary-share", "too short": v.Shares[0][2:], "too long": v.Shares[0] + "00", "a token": v.Root,
		"base64 of another length": base64.StdEncoding.EncodeToString([]byte("canary")),
	} {
		_, err := share(text)
		wantFailure(t, err, 400, "")
		if strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error quotes the share: %v", name, err)
		}
	}
	for name, wrong := range map[string]string{"one bit off": hex.EncodeToString(raw), "of another vault": other.Shares[0]} {
		for i, s := range []string{wrong, v.Shares[1], v.Shares[2]} {
			if _, err := share(s); err != nil && i < 2 {
				break // told early that it does not belong
			} else if err == nil && i == 2 {
				t.Errorf("%s: the vault is open", name)
			}
		}
		if s := must[*vault.SealStatusResponse](t)(v.Sys().ResetUnsealProcess()); !s.Sealed || s.Progress != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	wantStatus(t, send(v, "PUT", "sys/unseal", `{"key":"","migrate":true}`), 400)
	wantStatus(t, send(v, "PUT", "sys/unseal", ``), 400)
	wantStatus(t, send(v, "PUT", "sys/unseal", `{"key":["x"]}`), 400)
	for _, s := range v.Shares[2:] {
		must[*vault.SealStatusResponse](t)(share(s))
	}
	wantHealth(t, v, "", 200, true, false)
}

// Issue 2: a sealed server answers 503 "Vault is sealed" to everything else.
func TestSealedServer(t *testing.T) {
	v := start(t)
	low := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}}).ClientToken
	wantErrors(t, send(v, "PUT", "sys/seal", "", "X-Vault-Token", low), 403, textDenied)
	wantErrors(t, send(v, "PUT", "sys/seal", "", "X-Vault-Token", ""), 403, textBadToken)
	check(t, v.Sys().StepDown()) // row 5; a single node stays
	check(t, v.Sys().Seal())
	for _, c := range [][2]string{
		{"GET", "secret/data/a"}, {"PUT", "kv/a"}, {"LIST", "kv"}, {"GET", "sys/mounts"}, {"PUT", "sys/seal"}, {"GET", "sys/leader"},
		{"GET", "auth/token/lookup-self"}, {"POST", "auth/kubernetes/login"}, {"GET", "sys/metrics"}, {"GET", "nowhere"},
		{"GET", "sys/internal/ui/mounts"}, {"GET", "secret/data/a?help=1"}, {"GET", "kv/../a"}, {"PUT", "sys/rotate"},
	} {
		for _, token := range []string{v.Root, low, "hvs.unknown", ""} {
			wantErrors(t, send(v, c[0], c[1], "{}", "X-Vault-Token", token), 503, textSealed)
		}
	}
	wantErrors(t, send(v, "GET", "sys/events/subscribe/kv-v2/*", ""), 503, textSealed)
	v.Unseal()
	wantStatus(t, send(v, "GET", "kv/a", ""), 404)
}

// A vault with a key of its own is open after a restart, and its shares open it too.
func TestAutoUnsealOverTheWire(t *testing.T) {
	key := filepath.Join(t.TempDir(), "unseal.key")
	must[*keyfile.Key](t)(keyfile.Generate(key))
	v := testenv.New(t, func(c *app.ServerConfig) { c.UnsealKeyFile = key })
	made := must[*vault.InitResponse](t)(v.Sys().Init(&vault.InitRequest{RecoveryShares: 3, RecoveryThreshold: 2}))
	s := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus())
	if s.Sealed || !s.RecoverySeal || s.RecoverySealType != "shamir" || s.N != 3 || s.T != 2 {
		t.Errorf("after init: %+v", s)
	}
	if !slices.Equal(made.RecoveryKeys, made.Keys) || !slices.Equal(made.RecoveryKeysB64, made.KeysB64) {
		t.Error("the recovery keys are not the shares")
	}
	v.Client.SetToken(made.RootToken)
	v.Restart()
	wantHealth(t, v, "", 200, true, false)
	check(t, v.Sys().Seal())
	for _, share := range made.Keys[1:] {
		must[*vault.SealStatusResponse](t)(v.Sys().Unseal(share))
	}
	wantHealth(t, v, "", 200, true, false)
}

// Requests that are inside while the vault is sealed are answered in full or
// refused; what was acknowledged is there afterwards.
func TestSealWhileRequestsAreInside(t *testing.T) {
	v := start(t)
	const writers = 8
	acknowledged := make([][]string, writers)
	var wait sync.WaitGroup
	started := make(chan struct{}, writers)
	for w := range writers {
		wait.Go(func() {
			for i := 0; ; i++ {
				path := "kv/seal/" + string(rune('a'+w)) + "/" + strings.Repeat("i", i%50+1) + string(rune('a'+i%26))
				a := send(v, "PUT", path, `{"x":"`+path+`"}`)
				if i == 3 {
					started <- struct{}{}
				}
				switch {
				case a.Status == 204:
					acknowledged[w] = append(acknowledged[w], path)
				case a.Status == 503 && strings.Contains(a.Body, textSealed):
					return
				default:
					t.Errorf("writing while the vault is sealed: %d %s", a.Status, a.Body)
					return
				}
			}
		})
	}
	for range writers {
		<-started
	}
	check(t, v.Sys().Seal())
	wait.Wait()
	v.Unseal()
	for _, paths := range acknowledged {
		for _, path := range paths {
			if a := send(v, "GET", path, ""); a.Status != 200 || !strings.Contains(a.Body, path) {
				t.Fatalf("%s was acknowledged, and now: %d %s", path, a.Status, a.Body)
			}
		}
	}
}

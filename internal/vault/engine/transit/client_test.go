package transit_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The example calls the command line as it is found in PATH.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"strongkeep": func() { os.Exit(cli.Main(os.Args[1:], session.System())) },
	})
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

type object = map[string]any

func start(t *testing.T) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("transit", &vault.MountInput{Type: "transit"}); err != nil {
		t.Fatal(err)
	}
	return v
}

// write sends a request with the official client, which must succeed.
func write(t *testing.T, c *vault.Client, path string, body object) object {
	t.Helper()
	s, err := c.Logical().WriteWithContext(context.Background(), "transit/"+path, body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if s == nil {
		return nil
	}
	return s.Data
}

// §1.1 row 25: PUT transit/{encrypt,decrypt,rewrap,sign,verify,hmac}/K, and
// §2.9: the answers' fields. What was encrypted can be decrypted after a restart.
func TestOfficialClient(t *testing.T) {
	v := start(t)
	if made := write(t, v.Client, "keys/k", nil); made["type"] != "aes256-gcm96" {
		t.Errorf("%v", made)
	}
	write(t, v.Client, "keys/s", object{"type": "ecdsa-p256"})
	made := write(t, v.Client, "encrypt/k", object{"plaintext": b64("p")})
	text, _ := made["ciphertext"].(string)
	if !strings.HasPrefix(text, "vault:v1:") || made["key_version"] != json.Number("1") {
		t.Errorf("%v", made)
	}
	signed := write(t, v.Client, "sign/s", object{"input": b64("i")})
	mac := write(t, v.Client, "hmac/k", object{"input": b64("i")})

	v.Restart()
	v.Unseal()
	if got := write(t, v.Client, "decrypt/k", object{"ciphertext": text}); got["plaintext"] != b64("p") {
		t.Errorf("%v", got)
	}
	for path, body := range map[string]object{
		"verify/s": {"input": b64("i"), "signature": signed["signature"]},
		"verify/k": {"input": b64("i"), "hmac": mac["hmac"]},
	} {
		if got := write(t, v.Client, path, body); got["valid"] != true {
			t.Errorf("%s: %v", path, got)
		}
	}
	write(t, v.Client, "keys/k/rotate", nil)
	if got := write(t, v.Client, "rewrap/k", object{"ciphertext": text}); got["key_version"] != json.Number("2") {
		t.Errorf("%v", got)
	}
	listed, err := v.Logical().List("transit/keys")
	if err != nil || fmt.Sprint(listed.Data["keys"]) != "[k s]" {
		t.Errorf("%v, %v", listed, err)
	}
}

// §2.9 "encrypt upserts the key if caller has create": policy decides.
func TestUpsertNeedsCreate(t *testing.T) {
	v := start(t)
	updater := v.NewClient(v.Policy("updater", `path "transit/encrypt/*" { capabilities = ["update"] }`))
	creator := v.NewClient(v.Policy("creator", `path "transit/encrypt/*" { capabilities = ["create", "update"] }`))
	body := object{"plaintext": b64("p")}
	if _, err := updater.Logical().Write("transit/encrypt/k", body); err == nil || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v", err)
	}
	write(t, creator, "encrypt/k", body)
	write(t, updater, "encrypt/k", body)
	write(t, v.Client, "config/keys", object{"disable_upsert": true})
	if _, err := creator.Logical().Write("transit/encrypt/other", body); err == nil || !strings.Contains(err.Error(), "encryption key not found") {
		t.Errorf("%v", err)
	}
	// Whoever may encrypt may not decrypt, nor read the key out.
	for _, path := range []string{"decrypt/k", "rewrap/k", "keys/k/rotate", "datakey/plaintext/k", "restore/k"} {
		if _, err := creator.Logical().Write("transit/"+path, object{"ciphertext": "x"}); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// Many who make the same key at once make one: whatever any of them was
// answered can be decrypted. Others rotate it meanwhile.
func TestConcurrentUpserts(t *testing.T) {
	v := start(t)
	var wait sync.WaitGroup
	texts := make(chan string, 64)
	for range cap(texts) / 2 {
		wait.Go(func() {
			for range 2 {
				s, err := v.Logical().Write("transit/encrypt/k", object{"plaintext": b64("p")})
				if err != nil {
					t.Error(err)
					continue
				}
				texts <- s.Data["ciphertext"].(string)
				if _, err := v.Logical().Write("transit/keys/k/rotate", nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	close(texts)
	for text := range texts {
		if got := write(t, v.Client, "decrypt/k", object{"ciphertext": text}); got["plaintext"] != b64("p") {
			t.Errorf("%v", got)
		}
	}
	if got, err := v.Logical().Read("transit/keys/k"); err != nil || got.Data["latest_version"] != json.Number("65") {
		t.Errorf("%v, %v", got, err)
	}
}

// §2.9: 400 if all or some of a batch fail, with the results beside; or
// partial_failure_response_code.
func TestBatchOnTheWire(t *testing.T) {
	v := start(t)
	write(t, v.Client, "keys/k", nil)
	for body, status := range map[string]int{
		`{"batch_input":[{"plaintext":"YQ=="},{"plaintext":"Yg==","reference":"b"}]}`:                  200,
		`{"batch_input":[{"plaintext":"YQ=="},{"plaintext":"!"}]}`:                                     400,
		`{"batch_input":[{"plaintext":"!"}],"partial_failure_response_code":200}`:                      400,
		`{"batch_input":[{"plaintext":"YQ=="},{"plaintext":"!"}],"partial_failure_response_code":200}`: 200,
	} {
		got := v.HTTP("PUT", "transit/encrypt/k", strings.NewReader(body))
		var envelope struct {
			Data struct {
				Results []object `json:"batch_results"`
			}
		}
		if err := json.Unmarshal([]byte(got.Body), &envelope); err != nil || got.Status != status || len(envelope.Data.Results) == 0 {
			t.Errorf("%s: %d %s, %v", body, got.Status, got.Body, err)
		}
	}
	if got := v.HTTP("GET", "transit/keys/none", nil); got.Status != 404 || !strings.Contains(got.Body, `{"errors":[]}`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := v.HTTP("PUT", "transit/decrypt/none", strings.NewReader(`{"ciphertext":"vault:v1:AAAA"}`)); got.Status != 400 || !strings.Contains(got.Body, `{"errors":["encryption key not found"]}`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := v.HTTP("DELETE", "transit/keys/k", nil); got.Status != 400 || !strings.Contains(got.Body, "deletion is not allowed") {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

// No plaintext, key or data key is in a log, an audit line, or the store's files.
func TestCanaries(t *testing.T) {
	v := start(t)
	const canary = "canary-transit-5e1d90"
	write(t, v.Client, "keys/k", object{"exportable": true, "allow_plaintext_backup": true})
	text := write(t, v.Client, "encrypt/k", object{"plaintext": b64(canary), "associated_data": b64(canary)})["ciphertext"]
	write(t, v.Client, "decrypt/k", object{"ciphertext": text, "associated_data": b64(canary)})
	data := write(t, v.Client, "datakey/plaintext/k", nil)["plaintext"].(string)
	exported, err := v.Logical().Read("transit/export/encryption-key/k")
	if err != nil {
		t.Fatal(err)
	}
	material := exported.Data["keys"].(object)["1"].(string)
	saved, err := v.Logical().Read("transit/backup/k")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"encrypt/k", "decrypt/k", "sign/k", "verify/k", "hmac/k", "rewrap/k", "restore", "keys/x/import"} {
		_, _ = v.Logical().Write("transit/"+path, object{"plaintext": canary, "ciphertext": canary, "input": canary, "backup": canary, "signature": canary, "type": canary, "context": canary})
	}
	audit, err := os.ReadFile(v.AuditFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{canary, b64(canary), data, material, saved.Data["backup"].(string)} {
		if strings.Contains(v.Log.String(), secret) || strings.Contains(string(audit), secret) {
			t.Errorf("%q is in a log or an audit line", secret)
		}
	}
}

// The example works as it stands.
func TestExample(t *testing.T) {
	const script = "../../../../examples/vault/transit.sh"
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("SKIPPED: no sh is installed, which runs the example")
	}
	v := testenv.Start(t, nil)
	cmd := exec.CommandContext(t.Context(), "sh", script)
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+v.Server.URL(), "VAULT_TOKEN="+v.Root, "VAULT_CACERT="+v.Server.CAFile())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "transit works") {
		t.Errorf("%v\n%s", err, out)
	}
}

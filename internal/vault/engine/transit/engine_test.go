package transit

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

const (
	read, update, del, list = engine.Read, engine.Update, engine.Delete, engine.List

	canary = enginetest.Canary
)

// fixedRSA gives the same key each time: making one takes a second, and a
// handler that runs twice on one state must do the same.
var fixedRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 4096) })

func newFixed(cfg engine.Config) (engine.Engine, error) {
	e := &Engine{cfg: cfg}
	e.rsa = func(bits int) (*rsa.PrivateKey, error) {
		if bits != 4096 {
			return rsa.GenerateKey(rand.Reader, bits)
		}
		return fixedRSA()
	}
	return e, nil
}

// mount is a harness with short words for what these tests do all day.
type mount struct {
	*enginetest.Harness
	t testing.TB
}

func newMount(t testing.TB) mount { return mount{enginetest.New(t, newFixed), t} }

// object is an answer's data, or a body.
type object = map[string]any

func encode(t testing.TB, body any) string {
	t.Helper()
	if body == nil {
		return ""
	}
	b, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ok sends a request that must succeed and returns its data.
func (m mount) ok(op engine.Operation, path string, body any) object {
	m.t.Helper()
	res, err := m.Do(op, path, encode(m.t, body))
	if err != nil {
		m.t.Fatalf("%s %s: %v", op, path, err)
	}
	if res == nil || res.Data == nil {
		return nil
	}
	if res.Status != 0 {
		m.t.Fatalf("%s %s: status %d with %s", op, path, res.Status, res.Data)
	}
	return m.data(res)
}

func (m mount) data(res *engine.Response) object {
	m.t.Helper()
	var data object
	if err := json.Unmarshal(res.Data, &data); err != nil {
		m.t.Fatal(err)
	}
	return data
}

func (m mount) str(op engine.Operation, path string, body any, field string) string {
	m.t.Helper()
	s, ok := m.ok(op, path, body)[field].(string)
	if !ok {
		m.t.Fatalf("%s %s has no %s", op, path, field)
	}
	return s
}

// refused sends a request that must fail with a text and change nothing.
func (m mount) refused(op engine.Operation, path string, body any, want string) {
	m.t.Helper()
	before := m.Stored(m.t)
	res, err := m.Do(op, path, encode(m.t, body))
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
		m.t.Errorf("%s %s: %+v, %v; want %q, Invalid", op, path, res, err, want)
	}
	if err != nil && strings.Contains(err.Error(), canary) {
		m.t.Errorf("%s %s: the error holds the canary: %v", op, path, err)
	}
	after := m.Stored(m.t)
	if len(before) != len(after) {
		m.t.Errorf("%s %s: the refused request changed the store", op, path)
	}
	for key, value := range before {
		if after[key] != value {
			m.t.Errorf("%s %s: the refused request changed %q", op, path, key)
		}
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestConformance(t *testing.T) {
	plain := `{"plaintext":"` + b64(canary) + `"}`
	input := `{"input":"` + b64(canary) + `"}`
	// Steps cannot use what earlier ones answered: what they need is made elsewhere.
	backup := func() string {
		m := newMount(t)
		m.ok(update, "keys/saved", object{"exportable": true, "allow_plaintext_backup": true})
		return m.str(read, "backup/saved", nil, "backup")
	}()
	public := newMount(t).str(read, "wrapping_key", nil, "public_key")
	wrapped := wrapFor(t, public, []byte(strings.Repeat("k", 32)))
	steps := []enginetest.Step{
		{Op: read, Path: "config/keys"}, {Op: update, Path: "config/keys", Body: `{"disable_upsert":false}`},
		{Op: read, Path: "cache-config"}, {Op: update, Path: "cache-config", Body: `{"size":500}`},
		{Op: update, Path: "keys/a", Body: `{"exportable":true,"allow_plaintext_backup":true,"auto_rotate_period":"24h"}`},
		{Op: update, Path: "keys/sig", Body: `{"type":"ed25519"}`},
		{Op: read, Path: "keys/a"}, {Op: list, Path: "keys/"},
		{Op: update, Path: "encrypt/a", Body: plain}, {Op: update, Path: "encrypt/new", Body: plain},
		{Op: update, Path: "encrypt/a", Body: `{"batch_input":[` + plain + `,{"plaintext":"!` + canary + `"}]}`},
		{Op: update, Path: "decrypt/a", Body: `{"batch_input":[{"ciphertext":"vault:v1:` + canary + `"}]}`},
		{Op: update, Path: "decrypt/a", Body: `{"ciphertext":"vault:v1:` + canary + `"}`, Fails: errs.Invalid},
		{Op: update, Path: "rewrap/a", Body: `{"batch_input":[{"ciphertext":"` + canary + `"}]}`},
		{Op: update, Path: "datakey/plaintext/a"},
		{Op: update, Path: "sign/sig", Body: input}, {Op: update, Path: "sign/sig/sha2-512", Body: input},
		{Op: update, Path: "verify/sig", Body: `{"signature":"vault:v1:` + b64("x") + `","input":""}`},
		{Op: update, Path: "verify/sig/sha2-512", Body: `{"signature":"vault:v1:` + b64("x") + `","input":""}`},
		{Op: update, Path: "hmac/a", Body: input}, {Op: update, Path: "hmac/a/sha3-256", Body: input},
		{Op: update, Path: "hash", Body: input}, {Op: update, Path: "hash/sha1", Body: input},
		{Op: update, Path: "random"}, {Op: update, Path: "random/16"}, {Op: update, Path: "random/platform/16", Body: `{"format":"hex"}`},
		{Op: update, Path: "keys/a/rotate"},
		{Op: update, Path: "keys/a/config", Body: `{"min_decryption_version":2,"min_encryption_version":2,"deletion_allowed":true}`},
		{Op: update, Path: "keys/a/trim", Body: `{"min_available_version":2}`},
		{Op: read, Path: "export/encryption-key/a"}, {Op: read, Path: "export/encryption-key/a/latest"},
		{Op: read, Path: "backup/a"},
		{Op: update, Path: "restore", Body: `{"backup":"` + backup + `"}`}, {Op: update, Path: "restore/other", Body: `{"backup":"` + backup + `"}`},
		{Op: update, Path: "restore", Body: `{"backup":"` + canary + `"}`, Fails: errs.Invalid},
		{Op: read, Path: "wrapping_key"},
		{Op: update, Path: "keys/in/import", Body: `{"ciphertext":"` + wrapped + `","exportable":true}`},
		{Op: update, Path: "keys/in/import_version", Body: `{"ciphertext":"` + wrapped + `"}`},
		{Op: update, Path: "keys/in2/import", Body: `{"ciphertext":"` + canary + `"}`, Fails: errs.Invalid},
		{Op: update, Path: "keys/dest/import", Body: encode(t, object{"type": "rsa-4096", "public_key": public})},
		{Op: read, Path: "byok-export/dest/in"}, {Op: read, Path: "byok-export/dest/in/1", Body: `{"hash":"SHA512"}`},
		{Op: del, Path: "keys/a"},
	}
	enginetest.Run(t, enginetest.Suite{Factory: newFixed, Steps: steps})
}

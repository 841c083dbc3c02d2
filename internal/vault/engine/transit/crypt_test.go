package transit

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

var aeads = map[string]func([]byte) (cipher.AEAD, error){
	"aes128-gcm96": gcm, "aes256-gcm96": gcm, "chacha20-poly1305": chacha20poly1305.New, "xchacha20-poly1305": chacha20poly1305.NewX,
}

func gcm(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func decode64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// openRaw decrypts a ciphertext with an exported key and nothing of ours.
func openRaw(t *testing.T, a cipher.AEAD, text, associated string) string {
	t.Helper()
	parts := strings.Split(text, ":")
	if len(parts) != 3 || parts[0] != "vault" {
		t.Fatalf("%q is no ciphertext", text)
	}
	blob := decode64(t, parts[2])
	plain, err := a.Open(nil, blob[:a.NonceSize()], blob[a.NonceSize():], []byte(associated))
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// §2.9: what is encrypted can be decrypted here, and elsewhere with the exported key.
func TestEncryptInterop(t *testing.T) {
	for kind, newAEAD := range aeads {
		m := newMount(t)
		m.ok(update, "keys/k", object{"type": kind, "exportable": true})
		raw := decode64(t, m.ok(read, "export/encryption-key/k", nil)["keys"].(object)["1"].(string))
		a, err := newAEAD(raw)
		if err != nil {
			t.Fatal(kind, err)
		}
		for _, plain := range []string{"", "x", strings.Repeat("long ", 1000)} {
			for _, associated := range []string{"", "row 7"} {
				made := m.ok(update, "encrypt/k", object{"plaintext": b64(plain), "associated_data": b64(associated)})
				if made["key_version"] != 1.0 || len(made) != 2 {
					t.Errorf("%s: %v", kind, made)
				}
				text := made["ciphertext"].(string)
				if got := openRaw(t, a, text, associated); got != plain {
					t.Errorf("%s: %q elsewhere", kind, got)
				}
				back := m.ok(update, "decrypt/k", object{"ciphertext": text, "associated_data": b64(associated)})
				if back["plaintext"] != b64(plain) || len(back) != 1 {
					t.Errorf("%s: %v", kind, back)
				}
				m.refused(update, "decrypt/k", object{"ciphertext": text, "associated_data": b64(canary)}, "unable to decrypt")
			}
		}
		// What others encrypt with the key is taken too.
		nonce := bytes.Repeat([]byte{7}, a.NonceSize())
		foreign := "vault:v1:" + base64.StdEncoding.EncodeToString(a.Seal(nonce, nonce, []byte("foreign"), nil))
		if got := m.str(update, "decrypt/k", object{"ciphertext": foreign}, "plaintext"); got != b64("foreign") {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// §2.9 context: HKDF-SHA256 with the context as info, as Vault derives.
func TestDerivedInterop(t *testing.T) {
	for kind, newAEAD := range aeads {
		for _, convergent := range []bool{false, true} {
			m := newMount(t)
			m.ok(update, "keys/k", object{"type": kind, "exportable": true, "derived": true, "convergent_encryption": convergent})
			raw := decode64(t, m.ok(read, "export/encryption-key/k", nil)["keys"].(object)["1"].(string))
			derived, err := hkdf.Key(sha256.New, raw, nil, "tenant", len(raw))
			if err != nil {
				t.Fatal(err)
			}
			a, err := newAEAD(derived)
			if err != nil {
				t.Fatal(err)
			}
			text := m.str(update, "encrypt/k", object{"plaintext": b64("p"), "context": b64("tenant")}, "ciphertext")
			if got := openRaw(t, a, text, ""); got != "p" {
				t.Errorf("%s: %q elsewhere", kind, got)
			}
			if got := m.str(update, "decrypt/k", object{"ciphertext": text, "context": b64("tenant")}, "plaintext"); got != b64("p") {
				t.Errorf("%s: %q", kind, got)
			}
			m.refused(update, "decrypt/k", object{"ciphertext": text, "context": b64("other")}, "unable to decrypt")
			m.refused(update, "decrypt/k", object{"ciphertext": text}, "missing 'context' for key derivation")
			m.refused(update, "encrypt/k", object{"plaintext": b64("p")}, "missing 'context' for key derivation")
		}
	}
}

// §2.9 convergent: equal only if plaintext, context and associated data are.
func TestConvergent(t *testing.T) {
	for kind := range aeads {
		m := newMount(t)
		m.ok(update, "keys/k", object{"type": kind, "derived": true, "convergent_encryption": true})
		seen := map[string]string{}
		nonces := map[string]string{}
		for _, plain := range []string{"", "a", "b"} {
			for _, derivation := range []string{"c", "d"} {
				for _, associated := range []string{"", "e", "f"} {
					body := object{"plaintext": b64(plain), "context": b64(derivation), "associated_data": b64(associated)}
					one, two := m.str(update, "encrypt/k", body, "ciphertext"), m.str(update, "encrypt/k", body, "ciphertext")
					if one != two {
						t.Errorf("%s: %v is not the same twice", kind, body)
					}
					what := fmt.Sprint(body)
					if other, is := seen[one]; is {
						t.Errorf("%s: %s is the same as %s", kind, what, other)
					}
					seen[one] = what
					// One nonce for two messages under one key gives GCM's authentication key away.
					size := 12
					if kind == "xchacha20-poly1305" {
						size = 24
					}
					nonce := derivation + string(decode64(t, strings.TrimPrefix(one, "vault:v1:"))[:size])
					if other, is := nonces[nonce]; is {
						t.Errorf("%s: %s has the nonce of %s", kind, what, other)
					}
					nonces[nonce] = what
				}
			}
		}
	}
}

func TestEncryptIsNotConvergentByItself(t *testing.T) {
	m := newMount(t)
	body := object{"plaintext": b64("p")}
	one, two := m.str(update, "encrypt/k", body, "ciphertext"), m.str(update, "encrypt/k", body, "ciphertext")
	if one == two {
		t.Error("two encryptions are equal")
	}
}

func TestEncryptRSA(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", object{"type": "rsa-2048"})
	text := m.str(update, "encrypt/k", object{"plaintext": b64("p"), "padding_scheme": "oaep"}, "ciphertext")
	if got := m.str(update, "decrypt/k", object{"ciphertext": text}, "plaintext"); got != b64("p") {
		t.Errorf("%q", got)
	}
	m.refused(update, "encrypt/k", object{"plaintext": b64(strings.Repeat("x", 191))}, "at most 190 bytes")
	m.refused(update, "encrypt/k", object{"plaintext": b64("p"), "associated_data": b64("a")}, "associated_data provided for non-AEAD cipher suite rsa-2048")
	m.refused(update, "encrypt/k", object{"plaintext": b64("p"), "padding_scheme": "pkcs1v15"}, "padding_scheme must be oaep")
	m.refused(update, "encrypt/k", object{"plaintext": "!" + canary}, "failed to base64-decode plaintext")
	m.refused(update, "decrypt/k", object{"ciphertext": "vault:v1:AAAA"}, "unable to decrypt")
}

// §6 "transit RSA+derived panic": such a key must not come to be, nor a context
// do any harm to a key that has no use for it.
func TestAdvisoryTransitRSADerivedPanic(t *testing.T) {
	m := newMount(t)
	for _, kind := range []string{"rsa-2048", "rsa-3072", "rsa-4096", "ecdsa-p256", "hmac"} {
		m.refused(update, "keys/k", object{"type": kind, "derived": true}, "key derivation and convergent encryption not supported for keys of type "+kind)
		m.refused(update, "keys/k", object{"type": kind, "derived": true, "convergent_encryption": true}, "not supported for keys of type "+kind)
		m.refused(update, "keys/k/import", object{"type": kind, "derived": true, "public_key": "x"}, "")
	}
	m.refused(update, "encrypt/k", object{"type": "rsa-2048", "context": b64("c"), "plaintext": ""}, "key type rsa-2048 not supported for this operation")
	m.ok(update, "keys/r", object{"type": "rsa-2048", "exportable": true, "allow_plaintext_backup": true})
	text := m.str(update, "encrypt/r", object{"plaintext": b64("p"), "context": b64("c")}, "ciphertext")
	m.ok(update, "decrypt/r", object{"ciphertext": text, "context": b64("c")})
	m.ok(update, "rewrap/r", object{"ciphertext": text, "context": b64("c")})
	m.ok(update, "sign/r", object{"input": "", "context": b64("c")})
	m.ok(update, "datakey/plaintext/r", object{"context": b64("c")})
	m.ok(read, "keys/r", object{"context": b64("c")})

	// A backup that claims it: flip the bit where the flags stand.
	backup := decode64(t, m.str(read, "backup/r", nil, "backup"))
	at := len("strongkeep-transit-1:") + 2 + len("r") + 3
	backup[at] |= 1
	m.refused(update, "restore/evil", object{"backup": base64.StdEncoding.EncodeToString(backup)}, "the backup is damaged")
}

// §2.9: encrypt makes a key if the caller may create, unless disable_upsert.
func TestUpsert(t *testing.T) {
	m := newMount(t)
	if got := m.ok(update, "encrypt/one", object{"plaintext": b64("p"), "type": "chacha20-poly1305"}); got["key_version"] != 1.0 {
		t.Errorf("%v", got)
	}
	one := m.ok(read, "keys/one", nil)
	if one["type"] != "chacha20-poly1305" || one["derived"] != false {
		t.Errorf("%v", one)
	}
	m.ok(update, "encrypt/two", object{"plaintext": b64("p"), "context": b64("c"), "convergent_encryption": true})
	if two := m.ok(read, "keys/two", nil); two["derived"] != true || two["convergent_encryption"] != true || two["convergent_encryption_version"] != 3.0 || two["type"] != "aes256-gcm96" {
		t.Errorf("%v", two)
	}
	m.ok(update, "encrypt/three", object{"batch_input": []object{{"plaintext": "", "context": b64("c")}}})
	if three := m.ok(read, "keys/three", nil); three["derived"] != true {
		t.Errorf("%v", three)
	}
	m.refused(update, "encrypt/four", object{"plaintext": "", "convergent_encryption": true}, "so context is required")
	m.refused(update, "encrypt/four", object{"plaintext": "", "type": "ed25519"}, "key type ed25519 not supported for this operation")
	m.refused(update, "encrypt/four", object{"plaintext": "", "type": canary}, "unknown key type")
	m.refused(update, "encrypt/four", object{"plaintext": "!"}, "failed to base64-decode plaintext")
	m.refused(update, "encrypt/-four", object{"plaintext": ""}, "invalid key name")
	m.ok(update, "config/keys", object{"disable_upsert": true})
	if got := m.ok(read, "config/keys", nil); got["disable_upsert"] != true {
		t.Errorf("%v", got)
	}
	m.refused(update, "encrypt/four", object{"plaintext": ""}, "encryption key not found")
	m.ok(update, "encrypt/one", object{"plaintext": ""})
}

// An encryption with a key that is there writes nothing.
func TestEncryptWritesNothing(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	m.Events()
	before := fmt.Sprint(m.Stored(t))
	m.ok(update, "encrypt/k", object{"plaintext": ""})
	m.ok(update, "datakey/wrapped/k", nil)
	if fmt.Sprint(m.Stored(t)) != before || len(m.Events()) != 0 {
		t.Error("the store changed")
	}
}

// Two requests make one key: the second, run again, uses the first's.
func TestUpsertConflict(t *testing.T) {
	m := newMount(t)
	m.Conflict()
	m.ok(update, "encrypt/k", object{"plaintext": b64("p")})
	if k := m.ok(read, "keys/k", nil); k["latest_version"] != 1.0 {
		t.Errorf("%v", k)
	}
	// The gate decides create from update anew; a handler run as a create
	// although the key is there warns as Vault does.
	res, err := m.Do(engine.Create, "encrypt/k", `{"plaintext":""}`)
	if err != nil || len(res.Warnings) != 1 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestVersions(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	one := m.str(update, "encrypt/k", object{"plaintext": b64("p")}, "ciphertext")
	m.ok(update, "keys/k/rotate", nil)
	if two := m.ok(update, "encrypt/k", object{"plaintext": b64("p")}); two["key_version"] != 2.0 || !strings.HasPrefix(two["ciphertext"].(string), "vault:v2:") {
		t.Errorf("%v", two)
	}
	if old := m.ok(update, "encrypt/k", object{"plaintext": b64("p"), "key_version": "1"}); old["key_version"] != 1.0 {
		t.Errorf("%v", old)
	}
	m.refused(update, "encrypt/k", object{"plaintext": "", "key_version": 3}, "requested version for encryption is higher than the latest key version")
	m.refused(update, "encrypt/k", object{"plaintext": "", "key_version": -1}, "requested version for encryption is negative")
	if re := m.ok(update, "rewrap/k", object{"ciphertext": one}); re["key_version"] != 2.0 ||
		m.str(update, "decrypt/k", object{"ciphertext": re["ciphertext"]}, "plaintext") != b64("p") {
		t.Errorf("%v", re)
	}
	if re := m.ok(update, "rewrap/k", object{"ciphertext": one, "key_version": 1}); re["key_version"] != 1.0 {
		t.Errorf("%v", re)
	}
	m.ok(update, "keys/k/config", object{"min_encryption_version": 2})
	m.refused(update, "encrypt/k", object{"plaintext": "", "key_version": 1}, "less than the minimum encryption key version")
	m.ok(update, "decrypt/k", object{"ciphertext": one})
	// §2.9: decrypt below min_decryption_version 400.
	m.ok(update, "keys/k/config", object{"min_decryption_version": 2})
	m.refused(update, "decrypt/k", object{"ciphertext": one}, "ciphertext or signature version is disallowed by policy (too old)")
	m.refused(update, "rewrap/k", object{"ciphertext": one}, "disallowed by policy (too old)")
	m.refused(update, "decrypt/k", object{"ciphertext": "vault:v3:AAAA"}, "invalid ciphertext: version is too new")
}

func TestBadCiphertexts(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	good := m.str(update, "encrypt/k", object{"plaintext": b64("p")}, "ciphertext")
	for bad, want := range map[string]string{
		"":                           "missing ciphertext to decrypt",
		canary:                       "invalid ciphertext: no prefix",
		"vault:v1":                   "invalid ciphertext: wrong number of fields",
		"vault:v:" + canary:          "invalid ciphertext: version number could not be decoded",
		"vault:v0:AAAA":              "version number could not be decoded",
		"vault:v01:AAAA":             "version number could not be decoded",
		"vault:v-1:AAAA":             "version number could not be decoded",
		"vault:v99999999999999:AAAA": "version number could not be decoded",
		"vault:v1:" + canary + "!":   "invalid ciphertext: could not decode base64",
		"vault:v1:AAAA":              "invalid ciphertext: too short",
		"vault:v1:" + b64(strings.Repeat("x", 28)):             "invalid ciphertext: unable to decrypt",
		strings.Replace(good, "vault:v1:", "vault:v1:AAAA", 1): "invalid ciphertext",
	} {
		m.refused(update, "decrypt/k", object{"ciphertext": bad}, want)
		m.refused(update, "rewrap/k", object{"ciphertext": bad}, want)
	}
	m.refused(update, "decrypt/k", nil, "missing ciphertext to decrypt")
	m.refused(update, "decrypt/none", object{"ciphertext": good}, "encryption key not found")
	m.refused(update, "encrypt/k", nil, "missing plaintext to encrypt")
	m.refused(update, "encrypt/k", object{"plaintext": 7}, `field "plaintext" must be a string`)
	m.refused(update, "encrypt/k", object{"plaintext": "", "nonce": b64("123456789012")}, "provided nonce not allowed for this key")
	m.refused(update, "encrypt/k", object{"plaintext": "", "context": canary + "!"}, "failed to base64-decode context")
	m.ok(update, "keys/s", object{"type": "ed25519"})
	m.refused(update, "encrypt/s", object{"plaintext": ""}, "key type ed25519 does not support encryption")
	m.refused(update, "decrypt/s", object{"ciphertext": "vault:v1:AAAA"}, "key type ed25519 does not support decryption")
}

// JSON encoders such as PHP's write a slash as \/.
func TestEscapedFields(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	res, err := m.Do(update, "encrypt/k", `{"plaintext":"\/\/\/\/"}`)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.str(update, "decrypt/k", m.data(res), "plaintext"); got != "////" {
		t.Errorf("%q", got)
	}
}

// §2.9 batch_results: per-item errors, references, and what the status is.
func TestBatch(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	batch := func(path, body string) (int, []any) {
		t.Helper()
		res, err := m.Do(update, path, body)
		if err != nil {
			t.Fatal(err)
		}
		return res.Status, m.data(res)["batch_results"].([]any)
	}
	status, results := batch("encrypt/k", `{"batch_input":[{"plaintext":"YQ==","reference":"first"},{"plaintext":"Yg==","key_version":1}]}`)
	if status != 0 || len(results) != 2 || results[0].(object)["reference"] != "first" || results[0].(object)["key_version"] != 1.0 {
		t.Errorf("%d %v", status, results)
	}
	a, b := results[0].(object)["ciphertext"], results[1].(object)["ciphertext"]
	decrypting := encode(t, object{"batch_input": []object{{"ciphertext": b, "reference": "b"}, {"ciphertext": a}}})
	if status, results := batch("decrypt/k", decrypting); status != 0 || results[0].(object)["plaintext"] != "Yg==" || results[0].(object)["reference"] != "b" || results[1].(object)["plaintext"] != "YQ==" {
		t.Errorf("%d %v", status, results)
	}
	if status, results := batch("rewrap/k", decrypting); status != 0 || results[1].(object)["key_version"] != 1.0 {
		t.Errorf("%d %v", status, results)
	}
	// The command line sends a list as a string.
	if status, results := batch("encrypt/k", encode(t, object{"batch_input": `[{"plaintext":"YQ=="}]`})); status != 0 || len(results) != 1 {
		t.Errorf("%d %v", status, results)
	}

	partial := `"batch_input":[{"plaintext":"YQ=="},{"plaintext":"!` + canary + `","reference":"bad"},{"key_version":9,"plaintext":""},{}]`
	status, results = batch("encrypt/k", `{`+partial+`}`)
	if status != 400 || results[0].(object)["error"] != nil || results[1].(object)["reference"] != "bad" {
		t.Errorf("%d %v", status, results)
	}
	for i, want := range []string{"base64-decode", "higher than the latest", "missing plaintext"} {
		got, _ := results[i+1].(object)["error"].(string)
		if !strings.Contains(got, want) || strings.Contains(got, canary) {
			t.Errorf("item %d: %q, want %q", i+1, got, want)
		}
	}
	if status, _ := batch("encrypt/k", `{"partial_failure_response_code":207,`+partial+`}`); status != 207 {
		t.Errorf("status %d, want 207", status)
	}
	if status, results := batch("decrypt/k", `{"partial_failure_response_code":207,"batch_input":[{"ciphertext":"x"}]}`); status != 400 || results[0].(object)["plaintext"] != "" {
		t.Errorf("all failed: %d %v", status, results)
	}
	for body, want := range map[string]string{
		`{"batch_input":[]}`: "missing batch input to process",
		`{"batch_input":{}}`: "must be a list of objects", `{"batch_input":["a"]}`: "must be a list of objects",
		`{"batch_input":"[{}"}`: "must be a list of objects", `{"batch_input":"[],\"x\":1"}`: "must be a list of objects", `{"batch_input":3}`: "must be a list of objects",
		`{"batch_input":[{"plaintext":""},{"plaintext":"","context":"Yw=="}]}`: "context should be set either in all the request blocks or in none",
		`{"partial_failure_response_code":204,"batch_input":[{}]}`:             "partial_failure_response_code",
	} {
		if _, err := m.Do(update, "encrypt/k", body); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func TestDataKey(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	for bits, size := range map[any]int{nil: 32, 128: 16, 256: 32, 512: 64} {
		made := m.ok(update, "datakey/plaintext/k", object{"bits": bits})
		plain := made["plaintext"].(string)
		if len(decode64(t, plain)) != size || made["key_version"] != 1.0 {
			t.Errorf("%v bits: %v", bits, made)
		}
		if got := m.str(update, "decrypt/k", object{"ciphertext": made["ciphertext"]}, "plaintext"); got != plain {
			t.Errorf("%v bits: %q", bits, got)
		}
	}
	if made := m.ok(update, "datakey/wrapped/k", nil); made["plaintext"] != nil || made["ciphertext"] == nil {
		t.Errorf("%v", made)
	}
	m.refused(update, "datakey/wrapped/k", object{"bits": 64}, "invalid bit length")
	m.refused(update, "datakey/bare/k", nil, "must be 'plaintext' or 'wrapped'")
	m.refused(update, "datakey/wrapped/none", nil, "encryption key not found")
}

func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		`[{"plaintext":"YQ=="}]`, `"[{\"plaintext\":\"\"}]"`, `[{},{"context":"Yw=="}]`, `[`, `[[]]`, `{}`, `"\u005b\u005d"`, `[{"ciphertext":"vault:v1:AAAA"}]`,
		`[{"plaintext":"","key_version":1e3}]`, `[{"plaintext":null,"reference":{}}]`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, batch string) {
		if !json.Valid([]byte(batch)) {
			return
		}
		m := newMount(t)
		m.ok(update, "keys/k", nil)
		for _, path := range []string{"encrypt/k", "decrypt/k", "rewrap/k", "hmac/k"} {
			res, err := m.Do(update, path, `{"batch_input":`+batch+`}`)
			if err != nil {
				if errs.KindOf(err) == errs.Internal {
					t.Errorf("%s: %v", path, err)
				}
				continue
			}
			if !json.Valid(res.Data) {
				t.Errorf("%s: the answer is no JSON: %s", path, res.Data)
			}
		}
	})
}

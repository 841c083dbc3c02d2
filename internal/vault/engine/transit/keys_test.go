package transit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
)

func TestKeyTypes(t *testing.T) {
	m := newMount(t)
	for _, kind := range key.TypeNames() {
		made := m.ok(update, "keys/"+kind, object{"type": kind})
		if got := m.ok(read, "keys/"+kind, nil); fmt.Sprint(got) != fmt.Sprint(made) {
			t.Errorf("%s: made %v, read %v", kind, made, got)
		}
		crypts := strings.Contains(kind, "gcm") || strings.Contains(kind, "poly") || strings.HasPrefix(kind, "rsa")
		signs := strings.HasPrefix(kind, "rsa") || strings.HasPrefix(kind, "ec") || kind == "ed25519"
		for field, want := range map[string]any{
			"name": kind, "type": kind, "latest_version": 1.0, "min_decryption_version": 1.0, "min_encryption_version": 0.0, "min_available_version": 0.0,
			"deletion_allowed": false, "derived": false, "exportable": false, "allow_plaintext_backup": false, "imported_key": false, "auto_rotate_period": 0.0,
			"supports_encryption": crypts, "supports_decryption": crypts, "supports_signing": signs,
		} {
			if made[field] != want {
				t.Errorf("%s: %s is %v, want %v", kind, field, made[field], want)
			}
		}
		if one := made["keys"].(object)["1"]; !signs && one != float64(m.Now().Unix()) {
			t.Errorf("%s: version 1 is %v", kind, one)
		}
	}
	if got := m.ok(list, "keys/", nil)["keys"].([]any); len(got) != len(key.TypeNames()) {
		t.Errorf("%v", got)
	}
	for _, body := range []object{{"type": canary}, {"type": "aes256-gcm96", "key_size": 64}, {"type": "hmac", "key_size": 31}, {"type": "hmac", "key_size": 513},
		{"type": "ed25519", "derived": true, "convergent_encryption": true}, {"convergent_encryption": true}, {"auto_rotate_period": "59m"}, {"auto_rotate_period": -1}} {
		m.refused(update, "keys/x", body, "")
	}
	for _, name := range []string{"-a", "a-", ".", "a b", "ü", strings.Repeat("x", 257)} {
		m.refused(update, "keys/"+name, nil, "invalid key name")
	}
	if made := m.ok(update, "keys/mac64", object{"type": "hmac", "key_size": 64}); made["key_size"] != 64.0 {
		t.Errorf("%v", made)
	}
}

// Writing a key that is there changes nothing, and says so.
func TestCreateAgain(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	before := fmt.Sprint(m.Stored(t))
	res, err := m.Do(update, "keys/k", `{"type":"ed25519"}`)
	if err != nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "already existed") || m.data(res)["type"] != "aes256-gcm96" {
		t.Errorf("%+v, %v", res, err)
	}
	if fmt.Sprint(m.Stored(t)) != before {
		t.Error("the store changed")
	}
	if res, err := m.Do(read, "keys/none", ""); res != nil || err != nil {
		t.Errorf("a key that is not there: %v, %v", res, err)
	}
}

func TestDelete(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", object{"auto_rotate_period": "1h"})
	m.refused(del, "keys/k", nil, "deletion is not allowed for this key")
	m.refused(del, "keys/none", nil, "could not delete key; not found")
	m.ok(update, "keys/k/config", object{"deletion_allowed": true})
	m.ok(del, "keys/k", nil)
	if left := m.Stored(t); len(left) != 0 {
		t.Errorf("left behind: %v", slices.Collect(maps.Keys(left)))
	}
}

func TestConfig(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	m.ok(update, "keys/k/rotate", nil)
	m.ok(update, "keys/k/rotate", nil)
	m.ok(update, "keys/k/config", object{"exportable": true, "allow_plaintext_backup": true, "auto_rotate_period": "2h", "min_decryption_version": 2})
	// What may have got out has got out: it cannot be taken back.
	got := m.ok(update, "keys/k/config", object{"exportable": false, "allow_plaintext_backup": false})
	for field, want := range map[string]any{"exportable": true, "allow_plaintext_backup": true, "auto_rotate_period": 7200.0, "min_decryption_version": 2.0, "latest_version": 3.0} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	if versions := got["keys"].(object); len(versions) != 2 || versions["1"] != nil {
		t.Errorf("versions %v", versions)
	}
	for _, c := range []struct {
		body object
		want string
	}{
		{object{"min_decryption_version": -1}, "min decryption version cannot be negative"},
		{object{"min_decryption_version": 4}, "cannot set min decryption version of 4, latest key version is 3"},
		{object{"min_encryption_version": -1}, "min encryption version cannot be negative"},
		{object{"min_encryption_version": 4}, "cannot set min encryption version of 4, latest key version is 3"},
		{object{"min_encryption_version": 1}, "must be greater than or equal to min decryption version of 2"},
		{object{"auto_rotate_period": "30m"}, "auto rotate period must be 0 to disable or at least an hour"},
	} {
		m.refused(update, "keys/k/config", c.body, c.want)
	}
	m.refused(update, "keys/none/config", nil, "no existing key named none could be found")
	res, err := m.Do(update, "keys/k/config", `{"min_decryption_version":0}`)
	if err != nil || len(res.Warnings) != 1 || m.data(res)["min_decryption_version"] != 1.0 {
		t.Errorf("%+v, %v", res, err)
	}
}

func TestTrim(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", object{"exportable": true})
	old := m.str(update, "encrypt/k", object{"plaintext": ""}, "ciphertext")
	for range 3 {
		m.ok(update, "keys/k/rotate", nil)
	}
	kept := m.str(update, "encrypt/k", object{"plaintext": b64("p")}, "ciphertext")
	m.refused(update, "keys/k/trim", object{"min_available_version": 2}, "when minimum encryption version is not set")
	m.ok(update, "keys/k/config", object{"min_decryption_version": 2, "min_encryption_version": 3})
	for n, want := range map[any]string{
		nil: "missing min_available_version", 0: "at least 1", 5: "latest key version is 4",
		3: "higher than minimum decryption version", 4: "higher than minimum encryption version",
	} {
		m.refused(update, "keys/k/trim", object{"min_available_version": n}, want)
	}
	if got := m.ok(update, "keys/k/trim", object{"min_available_version": 2}); got["min_available_version"] != 2.0 || got["latest_version"] != 4.0 {
		t.Errorf("%v", got)
	}
	m.refused(update, "keys/k/trim", object{"min_available_version": 1}, "cannot be decremented")
	m.refused(update, "keys/k/config", object{"min_decryption_version": 1}, "older versions were trimmed")
	m.refused(update, "decrypt/k", object{"ciphertext": old}, "too old")
	if got := m.str(update, "decrypt/k", object{"ciphertext": kept}, "plaintext"); got != b64("p") {
		t.Errorf("%q", got)
	}
	if got := m.ok(update, "keys/k/rotate", nil); got["latest_version"] != 5.0 {
		t.Errorf("%v", got)
	}
	m.refused(read, "export/encryption-key/k/1", nil, "below minimum decryption version")
}

func TestExport(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", nil)
	for _, kind := range []string{"encryption-key", "hmac-key", "signing-key"} {
		m.refused(read, "export/"+kind+"/k", nil, "private key material is not exportable")
	}
	m.ok(update, "keys/k/config", object{"exportable": true})
	m.ok(update, "keys/k/rotate", nil)
	if got := m.ok(read, "export/encryption-key/k", nil); got["name"] != "k" || got["type"] != "aes256-gcm96" || len(got["keys"].(object)) != 2 {
		t.Errorf("%v", got)
	}
	if got := m.ok(read, "export/hmac-key/k/latest", nil)["keys"].(object); len(got) != 1 || len(decode64(t, got["2"].(string))) != 32 {
		t.Errorf("%v", got)
	}
	m.refused(read, "export/signing-key/k", nil, "signing not supported for the key")
	m.refused(read, "export/public-key/k", nil, "no public key")
	m.refused(read, "export/everything/k", nil, "invalid export type")
	m.refused(read, "export/encryption-key/k/x", nil, "must be a number, or latest")
	m.refused(read, "export/encryption-key/k/3", nil, "version does not exist")
	if res, err := m.Do(read, "export/encryption-key/none", ""); res != nil || err != nil {
		t.Errorf("%v, %v", res, err)
	}
	// Public keys need no permission to be exported.
	for kind, want := range map[string]string{"ed25519": "", "ecdsa-p384": "BEGIN PUBLIC KEY", "rsa-2048": "BEGIN PUBLIC KEY"} {
		m.ok(update, "keys/"+kind, object{"type": kind})
		text := m.ok(read, "export/public-key/"+kind, nil)["keys"].(object)["1"].(string)
		if !strings.Contains(text, want) || text != m.ok(read, "keys/"+kind, nil)["keys"].(object)["1"].(object)["public_key"] {
			t.Errorf("%s: %q", kind, text)
		}
	}
	// Private keys come in the forms that other programs read.
	for kind, parse := range map[string]func(string) crypto.Signer{
		"ed25519":    func(s string) crypto.Signer { return ed25519.PrivateKey(decode64(t, s)) },
		"ecdsa-p384": func(s string) crypto.Signer { return pemKey(t, s, x509.ParseECPrivateKey) },
		"rsa-2048":   func(s string) crypto.Signer { return pemKey(t, s, x509.ParsePKCS1PrivateKey) },
	} {
		m.ok(update, "keys/"+kind+"/config", object{"exportable": true})
		private := parse(m.ok(read, "export/signing-key/"+kind, nil)["keys"].(object)["1"].(string))
		public, err := key.PublicText(private.Public())
		if err != nil || public != m.ok(read, "keys/"+kind, nil)["keys"].(object)["1"].(object)["public_key"] {
			t.Errorf("%s: %q, %v", kind, public, err)
		}
	}
	m.refused(read, "export/encryption-key/ed25519", nil, "encryption not supported for the key")
}

func pemKey[K crypto.Signer](t *testing.T, text string, parse func([]byte) (K, error)) crypto.Signer {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatal("no PEM")
	}
	k, err := parse(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestBackup(t *testing.T) {
	m := newMount(t)
	for _, kind := range key.TypeNames() {
		if kind == "rsa-3072" || kind == "rsa-4096" {
			continue // as rsa-2048, only slower
		}
		m.ok(update, "keys/k-"+kind, object{"type": kind, "auto_rotate_period": "1h"})
		path := "k-" + kind
		mac := m.str(update, "hmac/"+path, object{"input": b64("i")}, "hmac")
		m.refused(read, "backup/"+path, nil, "exporting is disallowed")
		m.ok(update, "keys/"+path+"/config", object{"exportable": true})
		m.refused(read, "backup/"+path, nil, "plaintext backup is disallowed")
		m.ok(update, "keys/"+path+"/config", object{"allow_plaintext_backup": true, "deletion_allowed": true})
		saved := m.str(read, "backup/"+path, nil, "backup")
		was := m.ok(read, "keys/"+path, nil)
		m.refused(update, "restore", object{"backup": saved}, "already exists")
		m.ok(update, "keys/"+path+"/rotate", nil)
		m.ok(update, "restore", object{"backup": saved, "force": true})
		if now := m.ok(read, "keys/"+path, nil); fmt.Sprint(now) != fmt.Sprint(was) {
			t.Errorf("%s: %v became %v", kind, was, now)
		}
		m.ok(del, "keys/"+path, nil)
		m.ok(update, "restore", object{"backup": saved})
		m.ok(update, "restore/copy-"+kind, object{"backup": saved})
		for _, name := range []string{path, "copy-" + kind} {
			if got := m.ok(update, "verify/"+name, object{"input": b64("i"), "hmac": mac}); got["valid"] != true {
				t.Errorf("%s: %v", name, got)
			}
		}
		raw := decode64(t, saved)
		m.refused(update, "restore/x", object{"backup": base64.StdEncoding.EncodeToString(raw[:len(raw)-1])}, "the backup is damaged")
	}
	m.refused(update, "restore", nil, "'backup' must be supplied")
	m.refused(update, "restore", object{"backup": canary}, "the backup is damaged")
	m.refused(read, "backup/none", nil, "key not found")
	// The worker knows of restored keys.
	if m.Woken() == 0 {
		t.Error("nobody was told that keys will be due")
	}
}

func TestImport(t *testing.T) {
	m := newMount(t)
	m.refused(update, "keys/k/import", object{"ciphertext": b64("x")}, "read wrapping_key")
	public := m.str(read, "wrapping_key", nil, "public_key")
	if again := m.str(read, "wrapping_key", nil, "public_key"); again != public {
		t.Error("the wrapping key changes")
	}
	ec, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 3072)
	pkcs8 := func(k any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for kind, target := range map[string][]byte{
		"aes128-gcm96": []byte(strings.Repeat("a", 16)), "aes256-gcm96": []byte(strings.Repeat("b", 32)), "chacha20-poly1305": []byte(strings.Repeat("c", 32)),
		"hmac": []byte(strings.Repeat("d", 100)), "ed25519": pkcs8(ed), "ecdsa-p521": pkcs8(ec), "rsa-3072": pkcs8(rs),
	} {
		m.ok(update, "keys/"+kind+"/import", object{"type": kind, "ciphertext": wrapFor(t, public, target), "exportable": true})
		if got := m.ok(read, "keys/"+kind, nil); got["imported_key"] != true || got["imported_key_allow_rotation"] != false || got["type"] != kind {
			t.Errorf("%s: %v", kind, got)
		}
		m.refused(update, "keys/"+kind+"/rotate", nil, "does not allow rotation within Vault")
		m.refused(update, "keys/"+kind+"/config", object{"auto_rotate_period": "1h"}, "does not allow rotation")
		m.refused(update, "keys/"+kind+"/import", object{"type": kind, "ciphertext": wrapFor(t, public, target)}, "use import_version")
		m.refused(update, "keys/y/import", object{"type": "xchacha20-poly1305", "ciphertext": wrapFor(t, public, append([]byte("long"), target...))}, "invalid key size")
	}
	if got := m.ok(read, "export/encryption-key/aes256-gcm96", nil)["keys"].(object)["1"]; got != b64(strings.Repeat("b", 32)) {
		t.Errorf("imported something else: %v", got)
	}
	for hash, fn := range map[string]crypto.Hash{"SHA1": crypto.SHA1, "SHA224": crypto.SHA224, "SHA384": crypto.SHA384, "SHA512": crypto.SHA512} {
		wrapped := base64.StdEncoding.EncodeToString(wrapWith(t, public, []byte(strings.Repeat("b", 32)), fn))
		m.ok(update, "keys/k"+hash+"/import", object{"ciphertext": wrapped, "hash_function": hash, "allow_rotation": true, "auto_rotate_period": "1h"})
		m.ok(update, "keys/k"+hash+"/rotate", nil)
		m.refused(update, "keys/x/import", object{"ciphertext": wrapped}, "could not be unwrapped")
	}
	good := wrapFor(t, public, []byte(strings.Repeat("b", 32)))
	for _, c := range []struct {
		body object
		want string
	}{
		{nil, "one of the following fields must be set"},
		{object{"ciphertext": good, "public_key": "x"}, "only one of the following fields"},
		{object{"ciphertext": canary + "!"}, "failed to base64-decode ciphertext"},
		{object{"ciphertext": b64(canary)}, "could not be unwrapped"},
		{object{"ciphertext": good, "hash_function": canary}, "unsupported hash function"},
		{object{"ciphertext": good, "type": "rsa-2048"}, "PKCS #8"},
		{object{"ciphertext": wrapFor(t, public, pkcs8(rs)), "type": "rsa-2048"}, "the key is not of type rsa-2048"},
		{object{"ciphertext": wrapFor(t, public, pkcs8(ec)), "type": "ecdsa-p256"}, "the key is not of type ecdsa-p256"},
		{object{"ciphertext": good, "auto_rotate_period": "1h"}, "allow_rotation must be set to true"},
		{object{"public_key": canary, "type": "rsa-2048"}, "PEM"},
		{object{"public_key": canary}, "public keys cannot be imported for keys of type aes256-gcm96"},
	} {
		m.refused(update, "keys/x/import", c.body, c.want)
	}
}

func TestImportVersions(t *testing.T) {
	m := newMount(t)
	wrapper := m.str(read, "wrapping_key", nil, "public_key")
	one, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	two, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	public, _ := key.PublicText(one.Public())
	wrapped := func(k any) string {
		der, _ := x509.MarshalPKCS8PrivateKey(k)
		return wrapFor(t, wrapper, der)
	}
	m.ok(update, "keys/k/import", object{"type": "ecdsa-p256", "public_key": public})
	m.refused(update, "sign/k", object{"input": ""}, "only a public key")
	m.refused(update, "keys/k/import_version", object{"ciphertext": wrapped(two), "version": 1}, "does not belong to the public key")
	m.refused(update, "keys/k/import_version", object{"ciphertext": wrapped(one), "version": 2}, "no such version")
	m.ok(update, "keys/k/import_version", object{"ciphertext": wrapped(one), "version": 1})
	m.refused(update, "keys/k/import_version", object{"ciphertext": wrapped(one), "version": 1}, "just a public one")
	signed := m.str(update, "sign/k", object{"input": b64("i")}, "signature")
	m.ok(update, "keys/k/import_version", object{"ciphertext": wrapped(two)})
	if got := m.ok(read, "keys/k", nil); got["latest_version"] != 2.0 {
		t.Errorf("%v", got)
	}
	if got := m.ok(update, "verify/k", object{"input": b64("i"), "signature": signed}); got["valid"] != true {
		t.Errorf("%v", got)
	}
	m.refused(update, "keys/none/import_version", object{"ciphertext": wrapped(one)}, "no key found with name none")
	m.ok(update, "keys/own", nil)
	m.refused(update, "keys/own/import_version", object{"ciphertext": wrapped(one)}, "can only be used with an imported key")
	m.refused(update, "keys/d/import", object{"type": "ed25519", "derived": true, "public_key": public}, "needs its private half")
}

// What byok-export answers, the import of another mount takes.
func TestBYOK(t *testing.T) {
	from, to := newMount(t), newMount(t)
	from.ok(update, "keys/k", object{"exportable": true})
	from.ok(update, "keys/dest/import", object{"type": "rsa-4096", "public_key": to.str(read, "wrapping_key", nil, "public_key")})
	secret := from.str(update, "encrypt/k", object{"plaintext": b64("p")}, "ciphertext")
	moved := from.ok(read, "byok-export/dest/k", nil)["keys"].(object)["1"]
	to.ok(update, "keys/k/import", object{"ciphertext": moved})
	if got := to.str(update, "decrypt/k", object{"ciphertext": secret}, "plaintext"); got != b64("p") {
		t.Errorf("%q", got)
	}
	from.ok(update, "keys/shut", nil)
	from.refused(read, "byok-export/dest/shut", nil, "not exportable")
	from.refused(read, "byok-export/k/k", nil, "the destination must be a key of type rsa")
	from.refused(read, "byok-export/dest/dest", nil, "not exportable")
	if subtle.MinWrapSize > 16 {
		t.Error("AES-128 keys cannot be wrapped")
	}
}

func TestAutoRotation(t *testing.T) {
	m := newMount(t)
	latest := func(name string) float64 { return m.ok(read, "keys/"+name, nil)["latest_version"].(float64) }
	if next, err := m.Work(); err != nil || !next.IsZero() {
		t.Fatalf("nothing to do: %v, %v", next, err)
	}
	start := m.Now()
	m.ok(update, "keys/hourly", object{"auto_rotate_period": "1h"})
	m.ok(update, "keys/daily", object{"auto_rotate_period": "24h"})
	m.ok(update, "keys/never", nil)
	if m.Woken() != 2 {
		t.Error("nobody was told that keys will be due")
	}
	next, err := m.Work()
	if err != nil || next.After(start.Add(time.Hour)) || next.Before(start) || latest("hourly") != 1 {
		t.Errorf("next %v, %v", next, err)
	}
	// Work is done when it says that it wants to be called, never early.
	for range 100 {
		next, err = m.Work()
		if err != nil {
			t.Fatal(err)
		}
		if next.After(start.Add(25 * time.Hour)) {
			break
		}
		m.Advance(next.Sub(m.Now()))
	}
	if latest("hourly") != 26 || latest("daily") != 2 || latest("never") != 1 {
		t.Errorf("versions %v, %v, %v", latest("hourly"), latest("daily"), latest("never"))
	}
	index := 0
	for k := range m.Stored(t) {
		if strings.HasPrefix(k, "due/") {
			index++
		}
	}
	if index != 2 {
		t.Errorf("%d entries in the index, want 2", index)
	}
	// After a long sleep there is one rotation, not one for each period missed.
	m.Advance(100 * time.Hour)
	if _, err := m.Work(); err != nil || latest("hourly") != 27 {
		t.Errorf("%v, version %v", err, latest("hourly"))
	}
	m.ok(update, "keys/hourly/config", object{"auto_rotate_period": 0})
	m.ok(update, "keys/daily/config", object{"auto_rotate_period": 0})
	if next, err := m.Work(); err != nil || !next.IsZero() {
		t.Errorf("nothing to do: %v, %v", next, err)
	}
	events := 0
	for _, e := range m.Events() {
		if e.Type == "transit/key-auto-rotate" {
			events++
		}
	}
	if events != 25+1+1+1 {
		t.Errorf("%d events", events)
	}
}

func TestRandomAndHash(t *testing.T) {
	m := newMount(t)
	for path, size := range map[string]int{"random": 32, "random/16": 16, "random/platform": 32, "random/platform/64": 64, "random/all/1": 1, "random/seal": 32} {
		if got := decode64(t, m.str(update, path, nil, "random_bytes")); len(got) != size {
			t.Errorf("%s: %d bytes, want %d", path, len(got), size)
		}
	}
	if got := m.str(update, "random", object{"bytes": 131072, "format": "hex"}, "random_bytes"); len(got) != 262144 {
		t.Errorf("%d digits", len(got))
	}
	one, two := m.str(update, "random", nil, "random_bytes"), m.str(update, "random", nil, "random_bytes")
	if one == two {
		t.Error("not random")
	}
	for body, want := range map[string]string{`{"bytes":0}`: "less than 1", `{"bytes":131073}`: "at most 131072", `{"format":"` + canary + `"}`: "unsupported encoding format", `{"source":"` + canary + `"}`: "unsupported entropy source"} {
		if _, err := m.Do(update, "random", body); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", body, err)
		}
	}
	// FIPS 180-4 and 202, "abc".
	for hash, want := range map[string]string{
		"sha1":     "a9993e364706816aba3e25717850c26c9cd0d89d",
		"sha2-256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"sha3-256": "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
	} {
		if got := m.str(update, "hash/"+hash, object{"input": b64("abc")}, "sum"); got != want {
			t.Errorf("%s: %s", hash, got)
		}
		if got := m.str(update, "hash", object{"algorithm": hash, "input": b64("abc")}, "sum"); got != want {
			t.Errorf("%s: %s", hash, got)
		}
	}
	if got := m.str(update, "hash", object{"input": b64("abc"), "format": "base64"}, "sum"); len(decode64(t, got)) != 32 {
		t.Errorf("%s", got)
	}
	m.refused(update, "hash/md5", object{"input": ""}, "invalid hash algorithm")
	m.refused(update, "hash", nil, "missing input")
}

func TestCacheConfig(t *testing.T) {
	m := newMount(t)
	if got := m.ok(read, "cache-config", nil); got["size"] != 0.0 {
		t.Errorf("%v", got)
	}
	m.ok(update, "cache-config", object{"size": 300})
	if got := m.ok(read, "cache-config", nil); got["size"] != 300.0 {
		t.Errorf("%v", got)
	}
	m.refused(update, "cache-config", object{"size": 9}, "size must be 0 or a value greater or equal to 10")
}

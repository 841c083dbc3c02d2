package transit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
)

func publicKey(t *testing.T, text string) crypto.PublicKey {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return ed25519.PublicKey(decode64(t, text))
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// rawSignature cuts off what names the key's version.
func rawSignature(t *testing.T, text string, encoding *base64.Encoding) []byte {
	t.Helper()
	raw, err := encoding.DecodeString(strings.TrimPrefix(text, "vault:v1:"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// §2.9 sign: what is signed verifies elsewhere with the exported public key,
// and here; with other input or options it does not.
func TestSignInterop(t *testing.T) {
	input := []byte("what is signed")
	sum256, sum384, sum512 := sha256.Sum256(input), sha512.Sum384(input), sha512.Sum512(input)
	ecdsaASN1 := func(sum []byte) func(crypto.PublicKey, []byte) bool {
		return func(k crypto.PublicKey, s []byte) bool { return ecdsa.VerifyASN1(k.(*ecdsa.PublicKey), sum, s) }
	}
	ecdsaJWS := func(sum []byte, size int) func(crypto.PublicKey, []byte) bool {
		return func(k crypto.PublicKey, s []byte) bool {
			r, v := new(big.Int).SetBytes(s[:len(s)/2]), new(big.Int).SetBytes(s[len(s)/2:])
			return len(s) == 2*size && ecdsa.Verify(k.(*ecdsa.PublicKey), sum, r, v)
		}
	}
	pss := func(hash crypto.Hash, sum []byte, salt int) func(crypto.PublicKey, []byte) bool {
		return func(k crypto.PublicKey, s []byte) bool {
			return rsa.VerifyPSS(k.(*rsa.PublicKey), hash, sum, s, &rsa.PSSOptions{SaltLength: salt}) == nil
		}
	}
	pkcs1 := func(hash crypto.Hash, sum []byte) func(crypto.PublicKey, []byte) bool {
		return func(k crypto.PublicKey, s []byte) bool {
			return rsa.VerifyPKCS1v15(k.(*rsa.PublicKey), hash, sum, s) == nil
		}
	}
	edwards := func(o *ed25519.Options, message []byte) func(crypto.PublicKey, []byte) bool {
		return func(k crypto.PublicKey, s []byte) bool {
			return ed25519.VerifyWithOptions(k.(ed25519.PublicKey), message, s, o) == nil
		}
	}
	m := newMount(t)
	for _, c := range []struct {
		kind   string
		body   object
		verify func(crypto.PublicKey, []byte) bool
	}{
		{"ecdsa-p256", object{}, ecdsaASN1(sum256[:])},
		{"ecdsa-p384", object{"hash_algorithm": "sha2-384"}, ecdsaASN1(sum384[:])},
		{"ecdsa-p521", object{"algorithm": "sha2-512"}, ecdsaASN1(sum512[:])},
		{"ecdsa-p256", object{"marshaling_algorithm": "jws"}, ecdsaJWS(sum256[:], 32)},
		{"ecdsa-p384", object{"marshaling_algorithm": "jws", "hash_algorithm": "sha2-384"}, ecdsaJWS(sum384[:], 48)},
		{"ecdsa-p521", object{"marshaling_algorithm": "jws", "hash_algorithm": "sha2-512"}, ecdsaJWS(sum512[:], 66)},
		{"ecdsa-p256", object{"prehashed": true, "input": base64.StdEncoding.EncodeToString(sum256[:])}, ecdsaASN1(sum256[:])},
		{"rsa-2048", object{}, pss(crypto.SHA256, sum256[:], rsa.PSSSaltLengthAuto)},
		{"rsa-2048", object{"salt_length": "hash"}, pss(crypto.SHA256, sum256[:], 32)},
		{"rsa-2048", object{"salt_length": 20, "hash_algorithm": "sha2-384"}, pss(crypto.SHA384, sum384[:], 20)},
		{"rsa-2048", object{"signature_algorithm": "pkcs1v15"}, pkcs1(crypto.SHA256, sum256[:])},
		{"rsa-2048", object{"signature_algorithm": "pkcs1v15", "marshaling_algorithm": "jws"}, pkcs1(crypto.SHA256, sum256[:])},
		{"rsa-2048", object{"signature_algorithm": "pkcs1v15", "prehashed": true, "hash_algorithm": "none", "input": b64("raw")}, pkcs1(0, []byte("raw"))},
		{"ed25519", object{}, edwards(&ed25519.Options{}, input)},
		{"ed25519", object{"signature_context": b64("ctx")}, edwards(&ed25519.Options{Context: "ctx"}, input)},
		{"ed25519", object{"prehashed": true, "hash_algorithm": "sha2-512", "input": base64.StdEncoding.EncodeToString(sum512[:])}, edwards(&ed25519.Options{Hash: crypto.SHA512}, sum512[:])},
	} {
		m.ok(update, "keys/"+c.kind, object{"type": c.kind})
		if c.body["input"] == nil {
			c.body["input"] = base64.StdEncoding.EncodeToString(input)
		}
		encoding := base64.StdEncoding
		if c.body["marshaling_algorithm"] == "jws" {
			encoding = base64.RawURLEncoding
		}
		made := m.ok(update, "sign/"+c.kind, c.body)
		signed := made["signature"].(string)
		public := publicKey(t, m.ok(read, "export/public-key/"+c.kind, nil)["keys"].(object)["1"].(string))
		if made["key_version"] != 1.0 || !c.verify(public, rawSignature(t, signed, encoding)) {
			t.Errorf("%s %v: %v does not verify elsewhere", c.kind, c.body, made)
		}
		c.body["signature"] = signed
		if got := m.ok(update, "verify/"+c.kind, c.body); got["valid"] != true || len(got) != 1 {
			t.Errorf("%s %v: %v", c.kind, c.body, got)
		}
		other := decode64(t, c.body["input"].(string))
		other[0] ^= 1
		c.body["input"] = base64.StdEncoding.EncodeToString(other)
		if got := m.ok(update, "verify/"+c.kind, c.body); got["valid"] != false {
			t.Errorf("%s %v: %v for other input", c.kind, c.body, got)
		}
	}
}

// §2.9: a derived ed25519 key has a public key for each context.
func TestSignDerived(t *testing.T) {
	m := newMount(t)
	made := m.ok(update, "keys/k", object{"type": "ed25519", "derived": true})
	if got := made["keys"].(object)["1"].(object)["public_key"]; got != "" {
		t.Errorf("public key %q without a context", got)
	}
	signed := m.ok(update, "sign/k", object{"input": b64("i"), "context": b64("c")})
	public := signed["public_key"].(string)
	if !ed25519.Verify(decode64(t, public), []byte("i"), rawSignature(t, signed["signature"].(string), base64.StdEncoding)) {
		t.Error("does not verify elsewhere")
	}
	if got := m.ok(read, "keys/k", object{"context": b64("c")})["keys"].(object)["1"].(object)["public_key"]; got != public {
		t.Errorf("%v, want %s", got, public)
	}
	for derivation, want := range map[string]bool{"c": true, "d": false} {
		if got := m.ok(update, "verify/k", object{"input": b64("i"), "context": b64(derivation), "signature": signed["signature"]}); got["valid"] != want {
			t.Errorf("%s: %v", derivation, got)
		}
	}
	m.refused(update, "sign/k", object{"input": b64("i")}, "missing 'context' for key derivation")
	m.refused(update, "verify/k", object{"input": b64("i"), "signature": signed["signature"]}, "missing 'context' for key derivation")
	m.refused(read, "export/public-key/k", nil, "derived by context")
}

func TestHMACInterop(t *testing.T) {
	m := newMount(t)
	for _, kind := range []string{"hmac", "aes256-gcm96", "ecdsa-p256"} {
		m.ok(update, "keys/"+kind, object{"type": kind, "exportable": true})
		secret := decode64(t, m.ok(read, "export/hmac-key/"+kind, nil)["keys"].(object)["1"].(string))
		mac := hmac.New(sha512.New, secret)
		mac.Write([]byte("i"))
		want := "vault:v1:" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
		for path, body := range map[string]object{"hmac/" + kind + "/sha2-512": {"input": b64("i")}, "hmac/" + kind: {"input": b64("i"), "algorithm": "sha2-512"}} {
			if got := m.str(update, path, body, "hmac"); got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
		for body, valid := range map[string]bool{"i": true, "j": false} {
			if got := m.ok(update, "verify/"+kind+"/sha2-512", object{"input": b64(body), "hmac": want}); got["valid"] != valid {
				t.Errorf("%s %s: %v", kind, body, got)
			}
		}
	}
	m.ok(update, "keys/hmac/rotate", nil)
	if got := m.str(update, "hmac/hmac", object{"input": "", "key_version": 1}, "hmac"); !strings.HasPrefix(got, "vault:v1:") {
		t.Error(got)
	}
	m.refused(update, "hmac/hmac", object{"input": "", "key_version": 3}, "higher than the latest")
	m.refused(update, "hmac/hmac", nil, "missing input")
	m.refused(update, "hmac/none", object{"input": ""}, "encryption key not found")
	m.refused(update, "sign/hmac", object{"input": ""}, "key type hmac does not support signing")
	m.refused(update, "encrypt/hmac", object{"plaintext": ""}, "key type hmac does not support encryption")
	m.refused(update, "verify/hmac", object{"input": "", "hmac": "vault:v1:!"}, "invalid HMAC")
	m.refused(update, "verify/hmac", object{"input": "", "hmac": "vault:v9:AAAA"}, "invalid HMAC: version is too new")
}

func TestSignBatch(t *testing.T) {
	m := newMount(t)
	m.ok(update, "keys/k", object{"type": "ed25519", "derived": true})
	res, err := m.Do(update, "sign/k", `{"batch_input":[{"input":"aQ==","context":"Yw==","reference":"r"},{"input":"aQ=="},{"input":"!"}]}`)
	if err != nil || res.Status != 400 {
		t.Fatal(res, err)
	}
	results := m.data(res)["batch_results"].([]any)
	first := results[0].(object)
	if first["publickey"] == nil || first["reference"] != "r" || first["error"] != nil || results[1].(object)["error"] == nil || results[2].(object)["error"] == nil {
		t.Errorf("%v", results)
	}
	checked := encode(t, object{"batch_input": []object{
		{"input": "aQ==", "context": "Yw==", "signature": first["signature"]}, {"input": "ag==", "context": "Yw==", "signature": first["signature"]}, {"input": "aQ=="},
	}})
	if res, err = m.Do(update, "verify/k", checked); err != nil || res.Status != 400 {
		t.Fatal(res, err)
	}
	for i, want := range []bool{true, false, false} {
		got := m.data(res)["batch_results"].([]any)[i].(object)
		if got["valid"] != want || (got["error"] != nil) != (i == 2) {
			t.Errorf("item %d: %v", i, got)
		}
	}
}

func TestSignRefusals(t *testing.T) {
	m := newMount(t)
	for _, kind := range []string{"rsa-2048", "ecdsa-p256", "ed25519", "aes256-gcm96"} {
		m.ok(update, "keys/"+kind, object{"type": kind})
	}
	for _, c := range []struct {
		kind string
		body object
		want string
	}{
		{"none", object{"input": ""}, "signing key not found"},
		{"aes256-gcm96", object{"input": ""}, "key type aes256-gcm96 does not support signing"},
		{"rsa-2048", nil, "missing input"},
		{"rsa-2048", object{"input": canary + "!"}, "failed to base64-decode input"},
		{"rsa-2048", object{"input": "", "hash_algorithm": canary}, "invalid hash algorithm"},
		{"rsa-2048", object{"input": "", "hash_algorithm": "none"}, "requires both prehashed=true and signature_algorithm=pkcs1v15"},
		{"rsa-2048", object{"input": "", "hash_algorithm": "none", "prehashed": true, "signature_algorithm": "pkcs1v15"}, "missing input"},
		{"rsa-2048", object{"input": "", "signature_algorithm": canary}, "unsupported signature algorithm"},
		{"rsa-2048", object{"input": "", "marshaling_algorithm": canary}, "invalid marshaling type"},
		{"rsa-2048", object{"input": "", "salt_length": canary}, "invalid salt length"},
		{"rsa-2048", object{"input": "", "salt_length": 60000}, "signing with these options"},
		{"rsa-2048", object{"input": b64("short"), "prehashed": true}, "has 5 bytes, but a digest of the hash_algorithm has 32"},
		{"rsa-2048", object{"input": "", "key_version": 2}, "requested version for signing is higher than the latest key version"},
		{"ecdsa-p256", object{"input": "", "prehashed": true}, "has 0 bytes"},
		{"ed25519", object{"input": "", "prehashed": true}, "needs hash_algorithm=sha2-512"},
		{"ed25519", object{"input": "", "signature_context": b64(strings.Repeat("x", 256))}, "at most 255 bytes"},
	} {
		m.refused(update, "sign/"+c.kind, c.body, c.want)
	}
	for _, c := range []struct {
		kind string
		body object
		want string
	}{
		{"none", object{"input": "", "signature": "x"}, "signature verification key not found"},
		{"rsa-2048", object{"input": ""}, "neither a 'signature' nor an 'hmac'"},
		{"rsa-2048", object{"input": "", "signature": "x", "hmac": "y"}, "provide one of 'signature' or 'hmac'"},
		{"rsa-2048", object{"input": "", "signature": canary}, "invalid signature: no prefix"},
		{"rsa-2048", object{"input": "", "signature": "vault:v2:AAAA"}, "invalid signature: version is too new"},
		{"rsa-2048", object{"input": "", "signature": "vault:v1:!"}, "invalid base64 signature value"},
		{"rsa-2048", object{"signature": "vault:v1:AAAA"}, "missing input"},
		{"aes256-gcm96", object{"input": "", "signature": "vault:v1:AAAA"}, "does not support verification"},
	} {
		m.refused(update, "verify/"+c.kind, c.body, c.want)
	}
	// What is well encoded and nothing is invalid, and no error.
	for _, kind := range []string{"rsa-2048", "ecdsa-p256", "ed25519"} {
		for _, marshaling := range []string{"asn1", "jws"} {
			for _, raw := range []string{"", "AAAA", strings.Repeat("A", 128)} {
				if got := m.ok(update, "verify/"+kind, object{"input": "", "signature": "vault:v1:" + raw, "marshaling_algorithm": marshaling}); got["valid"] != false {
					t.Errorf("%s %q: %v", kind, raw, got)
				}
			}
		}
	}
	// Every hash function with every key.
	for _, kind := range []string{"rsa-2048", "ecdsa-p256"} {
		for _, hash := range []string{"sha1", "sha2-224", "sha2-256", "sha2-384", "sha2-512", "sha3-224", "sha3-256", "sha3-384", "sha3-512"} {
			for _, algorithm := range []string{"pss", "pkcs1v15"} {
				body := object{"input": b64("i"), "signature_algorithm": algorithm}
				body["signature"] = m.str(update, "sign/"+kind+"/"+hash, body, "signature")
				if got := m.ok(update, "verify/"+kind+"/"+hash, body); got["valid"] != true {
					t.Errorf("%s %s %s: %v", kind, hash, algorithm, got)
				}
			}
		}
	}
}

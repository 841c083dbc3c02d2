package transit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/wrapping"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func keys(t testing.TB) map[string]string {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p8, err := x509.MarshalPKCS8PrivateKey(e)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(e)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"PKCS #8": block("PRIVATE KEY", p8), "PKCS #1": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(r)),
		"SEC 1":             block("EC PARAMETERS", []byte{6, 1, 1}) + block("EC PRIVATE KEY", sec1),
		"base64 of PKCS #8": base64.StdEncoding.EncodeToString(p8) + "\n",
	}
}

func TestKeysOfAllFormsBecomePKCS8(t *testing.T) {
	for form, text := range keys(t) {
		m, err := parseKey(text)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		if _, err := x509.ParsePKCS8PrivateKey(m.private); err != nil || m.public != "" {
			t.Errorf("%s: not PKCS #8: %v", form, err)
		}
	}
	symmetric, err := parseKey("AAEC\nAwQF\n")
	if err != nil || string(symmetric.private) != "\x00\x01\x02\x03\x04\x05" {
		t.Errorf("a symmetric key: %q, %v", symmetric.private, err)
	}
}

func TestWhatIsNoKey(t *testing.T) {
	for _, text := range []string{
		"", "canary!", block("CERTIFICATE", []byte("canary")), block("PRIVATE KEY", []byte("canary")),
		block("RSA PRIVATE KEY", []byte("canary")), block("EC PRIVATE KEY", []byte("canary")),
		block("ENCRYPTED PRIVATE KEY", []byte("canary")), "-----BEGIN canary",
	} {
		_, err := parseKey(text)
		if errs.KindOf(err) != errs.Invalid || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is wrapped here is what the engine unwraps.
func TestWrappedKeysAreUnwrapped(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := parseWrapper(block("PUBLIC KEY", der))
	if err != nil {
		t.Fatal(err)
	}
	for form, text := range keys(t) {
		m, err := parseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		blob, err := wrapping.Wrap(public, m.private, crypto.SHA256, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		got, err := wrapping.Unwrap(private, blob, crypto.SHA256)
		if err != nil || string(got) != string(m.private) {
			t.Errorf("%s: came out otherwise: %v", form, err)
		}
	}
	for _, text := range []string{"", "x", block("PUBLIC KEY", []byte("x"))} {
		if _, err := parseWrapper(text); errs.KindOf(err) != errs.Invalid {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPlaces(t *testing.T) {
	for arg, want := range map[string]place{
		"transit/keys/a": {"transit", "a"}, "/transit/keys/a": {"transit", "a"}, "transit/a": {"transit", "a"}, "a": {"m", "a"},
		"team/x/keys/a": {"team/x", "a"}, "team/x/a": {"team/x", "a"},
	} {
		if got, err := parsePlace(arg, "m"); err != nil || got != want {
			t.Errorf("%s: %v, %v", arg, got, err)
		}
	}
	for _, arg := range []string{"", "/", "transit/", "transit/keys/"} {
		if got, err := parsePlace(arg, "m"); err == nil {
			t.Errorf("%q: %v", arg, got)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, text := range keys(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := parseKey(text)
		if (err == nil) == (len(m.private) == 0 && m.public == "") {
			t.Errorf("neither a key nor an error, or both")
		}
	})
}

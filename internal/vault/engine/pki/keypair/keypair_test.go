package keypair

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestGenerateAndEncode(t *testing.T) {
	for _, c := range []struct {
		kind string
		bits int
	}{{EC, 0}, {EC, 224}, {EC, 384}, {EC, 521}, {Ed25519, 0}, {RSA, 2048}} {
		key, err := Generate(rand.Reader, c.kind, c.bits)
		if err != nil {
			t.Fatal(err)
		}
		if err := CheckPublic(key.Public(), Any, 0); err != nil {
			t.Error(err)
		}
		for _, pkcs8 := range []bool{false, true} {
			text, err := Encode(key, false, pkcs8)
			if err != nil {
				t.Fatal(err)
			}
			b, err := ParseBundle(text)
			if err != nil || len(b.Keys) != 1 || !Same(b.Keys[0].Public(), key.Public()) {
				t.Errorf("%s %d, PKCS #8 %v: %v", c.kind, c.bits, pkcs8, err)
			}
		}
	}
	for _, c := range []struct {
		kind string
		bits int
	}{{EC, 255}, {RSA, 1024}, {"dsa", 0}, {Any, 0}} {
		if _, err := Generate(rand.Reader, c.kind, c.bits); !errs.Is(err, errs.Invalid) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// Two signatures of one text are the same: a handler that runs twice does the same.
func TestSignaturesAreDeterministic(t *testing.T) {
	key, err := Generate(rand.Reader, EC, 256)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("x"))
	one, err1 := Signer(key).Sign(rand.Reader, digest[:], crypto.SHA256)
	two, err2 := Signer(key).Sign(rand.Reader, digest[:], crypto.SHA256)
	if err1 != nil || err2 != nil || string(one) != string(two) {
		t.Errorf("%v %v", err1, err2)
	}
}

func TestWeakPublicKeys(t *testing.T) {
	modulus := new(big.Int).SetBit(big.NewInt(1), 2047, 1)
	for name, key := range map[string]*rsa.PublicKey{
		"exponent 3":    {N: modulus, E: 3},
		"even exponent": {N: modulus, E: 65538},
		"1024 bits":     {N: new(big.Int).SetBit(big.NewInt(1), 1023, 1), E: 65537},
		"20000 bits":    {N: new(big.Int).SetBit(big.NewInt(1), 19999, 1), E: 65537},
	} {
		if err := CheckPublic(key, Any, 0); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckPublic(&rsa.PublicKey{N: modulus, E: 65537}, EC, 256); err == nil || !strings.Contains(err.Error(), "role requires keys of type ec") {
		t.Errorf("%v", err)
	}
	if err := CheckPublic("no key", Any, 0); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
}

func FuzzBundle(f *testing.F) {
	f.Add("")
	f.Add("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")
	f.Add("-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBundle(text)
		if err != nil && !errs.Is(err, errs.Invalid) {
			t.Error(err)
		}
		if err == nil && len(b.Certificates)+len(b.Keys) == 0 {
			t.Error("an empty bundle was taken")
		}
	})
}

// A private key is measured before its numbers are reckoned with, and never quoted.
func TestHugePrivateKey(t *testing.T) {
	text := PEM("RSA PRIVATE KEY", []byte(strings.Repeat("canary", 4000)))
	if _, err := ParseBundle(text); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "bytes") || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func TestParseOptions(t *testing.T) {
	for _, c := range []struct {
		texts Texts
		want  Options
	}{
		{Texts{}, Options{Hash: crypto.SHA256}},
		{Texts{Hash: "sha3-512", Algorithm: "pss", Marshaling: "asn1", Salt: "auto"}, Options{Hash: crypto.SHA3_512}},
		{Texts{Algorithm: "pkcs1v15", Marshaling: "jws", Salt: "hash"}, Options{Hash: crypto.SHA256, PKCS1: true, JWS: true, Salt: rsa.PSSSaltLengthEqualsHash}},
		{Texts{Salt: "20", Prehashed: true}, Options{Hash: crypto.SHA256, Salt: 20, Prehashed: true}},
		{Texts{Salt: "-1"}, Options{Hash: crypto.SHA256, Salt: rsa.PSSSaltLengthEqualsHash}}, {Texts{Salt: "0"}, Options{Hash: crypto.SHA256}},
		{Texts{Hash: None, Prehashed: true, Algorithm: "pkcs1v15"}, Options{Prehashed: true, PKCS1: true}},
	} {
		got, err := c.texts.Parse()
		if err != nil || got.Hash != c.want.Hash || got.PKCS1 != c.want.PKCS1 || got.JWS != c.want.JWS || got.Salt != c.want.Salt || got.Prehashed != c.want.Prehashed {
			t.Errorf("%+v: %+v, %v", c.texts, got, err)
		}
	}
	for _, bad := range []Texts{{Hash: "SHA256"}, {Hash: None}, {Hash: None, Prehashed: true}, {Algorithm: "oaep"}, {Marshaling: "der"}, {Salt: "-2"}, {Salt: "1e3"}, {Context: make([]byte, 256)}} {
		if _, err := bad.Parse(); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// RFC 4231, test case 2.
func TestMACVector(t *testing.T) {
	got := hex.EncodeToString(MAC(crypto.SHA256, []byte("Jefe"), []byte("what do ya want for nothing?")))
	if got != "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" {
		t.Error(got)
	}
}

// RFC 8032 §7.1, test 2.
func TestEd25519Vector(t *testing.T) {
	seed, _ := hex.DecodeString("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
	o := Options{Hash: crypto.SHA256, JWS: true}
	raw, err := o.sign(ed25519.NewKeyFromSeed(seed), []byte{0x72})
	if want := "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"; err != nil || hex.EncodeToString(raw) != want {
		t.Errorf("%x, %v", raw, err)
	}
}

// Numbers with leading zeros keep their place side by side.
func TestSideBySide(t *testing.T) {
	for curve, times := range map[elliptic.Curve]int{elliptic.P256(): 600, elliptic.P384(): 50, elliptic.P521(): 50} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Hash: crypto.SHA256, JWS: true}
		for range times { // one in 256 has a leading zero byte
			raw, err := o.sign(k, []byte("x"))
			if err != nil || len(raw) != 2*size(&k.PublicKey) {
				t.Fatalf("%d bytes, %v", len(raw), err)
			}
			if ok, err := o.verifyECDSA(&k.PublicKey, Sum(crypto.SHA256, []byte("x")), raw); !ok || err != nil {
				t.Fatalf("%x does not verify: %v", raw, err)
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	o := Options{Hash: crypto.SHA256}
	for _, k := range []crypto.Signer{ec, ed, rs} {
		s, err := o.Sign(k, []byte("input"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s, []byte("other"), false, true)
	}
	f.Add("", []byte{}, true, false)
	f.Add("MAYCAQECAQE", []byte{}, true, true)
	f.Fuzz(func(t *testing.T, signature string, input []byte, jws, pkcs1 bool) {
		o := Options{Hash: crypto.SHA256, JWS: jws, PKCS1: pkcs1}
		for _, k := range []crypto.Signer{ec, ed, rs} {
			ok, err := o.Verify(k.Public(), input, signature)
			if ok && string(input) != "input" {
				t.Errorf("%T: a forged signature", k)
			}
			if err != nil && !errs.Is(err, errs.Invalid) {
				t.Errorf("%T: %v", k, err)
			}
		}
	})
}

package key

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)

func source() Source { return Source{Random: rand.Reader, Now: now} }

func make1(t testing.TB, r Rules) *Key {
	t.Helper()
	k, err := New(r, source())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// quick are the types that take no time to make.
func quick() []Type {
	return []Type{AES256GCM96, AES128GCM96, ChaCha20Poly1305, XChaCha20Poly1305, Ed25519, ECDSAP256, ECDSAP384, ECDSAP521, RSA2048, HMAC}
}

// The numbers and names are stored and spoken: this list may only grow.
func TestTypesStay(t *testing.T) {
	want := []string{"", "aes256-gcm96", "aes128-gcm96", "chacha20-poly1305", "xchacha20-poly1305", "ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "rsa-3072", "rsa-4096", "hmac"}
	for n, name := range want {
		if got := Type(n).String(); got != name {
			t.Errorf("type %d is %q, was %q", n, got, name)
		}
		if parsed, err := ParseType(name); n > 0 && (err != nil || parsed != Type(n)) {
			t.Errorf("%q is read as %d, %v", name, parsed, err)
		}
	}
	if Type(200).String() != "" || Type(200).valid() {
		t.Error("there is a type 200")
	}
}

func TestRules(t *testing.T) {
	for _, r := range []Rules{
		{Type: AES256GCM96}, {Type: XChaCha20Poly1305, Derived: true, Convergent: true}, {Type: Ed25519, Derived: true},
		{Type: HMAC}, {Type: HMAC, Size: 512}, {Type: ECDSAP256, AutoRotate: time.Hour},
	} {
		if _, err := New(r, source()); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, r := range []Rules{
		{}, {Type: typeCount}, {Type: RSA2048, Derived: true}, {Type: RSA4096, Derived: true, Convergent: true}, {Type: ECDSAP384, Derived: true}, {Type: HMAC, Derived: true},
		{Type: Ed25519, Derived: true, Convergent: true}, {Type: AES128GCM96, Convergent: true}, {Type: AES256GCM96, Size: 32}, {Type: HMAC, Size: 31}, {Type: HMAC, Size: 513},
		{Type: AES256GCM96, AutoRotate: time.Hour - 1}, {Type: AES256GCM96, AutoRotate: -time.Hour},
		{Type: AES256GCM96, Imported: true, AutoRotate: time.Hour},
	} {
		if _, err := New(r, source()); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v, want Invalid", r, err)
		}
	}
}

func TestStoredForm(t *testing.T) {
	for _, kind := range quick() {
		k := make1(t, Rules{Type: kind, Exportable: true, DeletionAllowed: true})
		for range 4 {
			var err error
			if k, err = k.Rotate(source()); err != nil {
				t.Fatal(err)
			}
		}
		if err := k.SetMinDecryption(2); err != nil {
			t.Fatal(err)
		}
		if err := k.SetMinEncryption(4); err != nil {
			t.Fatal(err)
		}
		if err := k.Trim(2); err != nil {
			t.Fatal(err)
		}
		stored, err := k.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(stored)
		if err != nil {
			t.Fatal(kind, err)
		}
		if got.Rules != k.Rules || got.First() != 2 || got.Latest() != 5 || got.Version(1) != nil || got.Version(6) != nil {
			t.Errorf("%s: %+v, first %d, latest %d", kind, got.Rules, got.First(), got.Latest())
		}
		for n := 2; n <= 5; n++ {
			a, b := k.Version(n), got.Version(n)
			if a.Number != n || b.Number != n || !a.Created.Equal(b.Created) || !bytes.Equal(a.material, b.material) || !bytes.Equal(a.MAC(), b.MAC()) {
				t.Errorf("%s: version %d is not what was stored", kind, n)
			}
			if _, err := b.use(); err != nil {
				t.Errorf("%s: version %d: %v", kind, n, err)
			}
		}
		again, err := got.Encode()
		if err != nil || !bytes.Equal(again, stored) {
			t.Errorf("%s: encoding is not the same twice: %v", kind, err)
		}
		for n := range stored {
			if _, err := Decode(stored[:n]); n < len(stored) && err == nil && n <= 26 {
				t.Errorf("%s: %d bytes of %d are a key", kind, n, len(stored))
			} else if err != nil && !errs.Is(err, errs.Internal) {
				t.Errorf("%s: %v", kind, err)
			}
		}
	}
}

// A change must not show in what others share.
func TestCloneIsApart(t *testing.T) {
	k := make1(t, Rules{Type: AES256GCM96})
	before := fmt.Sprintf("%+v %d", k.Rules, len(k.Versions))
	c := k.Clone()
	c.Exportable, c.AutoRotate = true, time.Hour
	if _, err := c.Rotate(source()); err != nil {
		t.Fatal(err)
	}
	rotated, err := k.Rotate(source())
	if err != nil {
		t.Fatal(err)
	}
	if err := rotated.SetMinDecryption(2); err != nil {
		t.Fatal(err)
	}
	if err := rotated.SetMinEncryption(2); err != nil {
		t.Fatal(err)
	}
	if err := rotated.Trim(2); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprintf("%+v %d", k.Rules, len(k.Versions)); after != before {
		t.Errorf("%s became %s", before, after)
	}
}

func TestDue(t *testing.T) {
	k := make1(t, Rules{Type: AES256GCM96})
	if !k.Due().IsZero() {
		t.Error("a key without a period is due")
	}
	k.AutoRotate = 2 * time.Hour
	if want := now.Add(2 * time.Hour); !k.Due().Equal(want) {
		t.Errorf("due %v, want %v", k.Due(), want)
	}
	k.Imported = true
	if k.Rotates() {
		t.Error("an imported key rotates although it was not allowed")
	}
}

// A key of more versions than one entry holds says what to do.
func TestTooManyVersions(t *testing.T) {
	k := make1(t, Rules{Type: HMAC, Size: 512})
	v := k.Versions[0]
	k.Versions = slices.Repeat([]*Version{v}, 2100)
	if _, err := k.Encode(); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "trim it") {
		t.Errorf("%v", err)
	}
	k.Versions = slices.Repeat([]*Version{v}, 1900)
	if _, err := k.Encode(); err != nil {
		t.Errorf("%v", err)
	}
}

func TestRestoreTrustsNothing(t *testing.T) {
	k := make1(t, Rules{Type: Ed25519})
	whole, err := k.Backup("name")
	if err != nil {
		t.Fatal(err)
	}
	name, back, err := Restore(whole)
	if err != nil || name != "name" || back.Type != Ed25519 {
		t.Errorf("%q, %+v, %v", name, back, err)
	}
	raw, _ := base64.StdEncoding.DecodeString(whole)
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 0x81
		_, k, err := Restore(base64.StdEncoding.EncodeToString(changed))
		switch {
		case err != nil && !errs.Is(err, errs.Invalid):
			t.Errorf("byte %d: %v", i, err)
		case err == nil:
			if _, err := k.Newest().use(); err != nil {
				t.Errorf("byte %d: restored what cannot be used: %v", i, err)
			}
		}
	}
}

// The printed form of a key holds no material.
func TestErrorsHoldNoMaterial(t *testing.T) {
	secret := []byte("canary-key-material")
	for kind := Type(1); kind < typeCount; kind++ {
		if _, err := parse(kind, secret, false); err == nil || strings.Contains(err.Error(), string(secret)) {
			t.Errorf("%s: %v", kind, err)
		}
		v := &Version{kind: kind, material: secret}
		if _, err := v.use(); !errs.Is(err, errs.Internal) || strings.Contains(err.Error(), string(secret)) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, kind := range quick() {
		k := make1(f, Rules{Type: kind, AutoRotate: time.Hour})
		stored, err := k.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(stored)
	}
	f.Add([]byte{format})
	f.Fuzz(func(t *testing.T, stored []byte) {
		k, err := Decode(stored)
		if err != nil {
			if !errs.Is(err, errs.Internal) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := k.Encode()
		if err != nil || !bytes.Equal(again, stored) {
			t.Errorf("%x is read as something else: %x, %v", stored, again, err)
		}
		for _, v := range k.Versions {
			_, _ = v.use()
			_, _ = v.SecretText()
			_, _ = k.Verifier(v, []byte("context"))
		}
	})
}

func FuzzRestore(f *testing.F) {
	k := make1(f, Rules{Type: ECDSAP256})
	whole, err := k.Backup("a")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add("")
	f.Fuzz(func(t *testing.T, backup string) {
		_, k, err := Restore(backup)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		if _, err := k.Newest().use(); err != nil {
			t.Errorf("restored what cannot be used: %v", err)
		}
	})
}

func FuzzImport(f *testing.F) {
	for kind := Type(1); kind < typeCount; kind++ {
		f.Add(uint8(kind), []byte(strings.Repeat("k", 32)), false)
		f.Add(uint8(kind), []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"), true)
	}
	k := make1(f, Rules{Type: ECDSAP256})
	f.Add(uint8(ECDSAP256), k.Newest().material, false)
	f.Fuzz(func(t *testing.T, kind uint8, material []byte, public bool) {
		m := Material{Private: material}
		if public {
			m = Material{Public: material}
		}
		k, err := Import(Rules{Type: Type(kind)}, m, source())
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		stored, err := k.Encode()
		if err != nil {
			return
		}
		if back, err := Decode(stored); err != nil {
			t.Errorf("imported what cannot be stored: %v", err)
		} else if _, err := back.Newest().use(); err != nil {
			t.Errorf("imported what cannot be used: %v", err)
		}
	})
}

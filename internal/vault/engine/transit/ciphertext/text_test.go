package ciphertext

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]int{"vault:v1:": 1, "vault:v12:AAAA": 12, "vault:v2147483647:x": 2147483647, "vault:v1:a:b": 1} {
		if n, _, err := Parse([]byte(text), "ciphertext"); err != nil || n != want {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "vault:", "vault:v", "vault:v:", "vault:v1", "Vault:v1:", " vault:v1:", "vault:v0:", "vault:v+1:", "vault:v 1:", "vault:v2147483648:", "vault:v1_0:"} {
		if _, _, err := Parse([]byte(text), "ciphertext"); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// All that Append writes Parse reads, into room for TextSize.
func TestAppend(t *testing.T) {
	for _, version := range []int{1, 9, 10, 1 << 30} {
		for n := range 40 {
			text := Append(nil, version, make([]byte, n))
			got, rest, err := Parse(text, "x")
			if err != nil || got != version || len(text) > TextSize(n) || strings.Contains(string(rest), ":") {
				t.Errorf("%q: %d, %v", text, got, err)
			}
		}
	}
}

func params(t testing.TB, r key.Rules) Params {
	t.Helper()
	k, err := key.New(r, key.Source{Random: rand.Reader, Now: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return Params{Key: k, Version: k.Newest(), Random: rand.Reader, Context: []byte("c")}
}

// Any change of any bit is found.
func TestOpenFindsChanges(t *testing.T) {
	for _, kind := range []key.Type{key.AES256GCM96, key.AES128GCM96, key.ChaCha20Poly1305, key.XChaCha20Poly1305} {
		p := params(t, key.Rules{Type: kind})
		p.AssociatedData = []byte("a")
		sealed, err := p.Seal([]byte("plaintext"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 * len(sealed) {
			changed := bytes.Clone(sealed)
			changed[i/8] ^= 1 << (i % 8)
			if _, err := p.Open(changed); !errs.Is(err, errs.Invalid) {
				t.Fatalf("%s: bit %d: %v", kind, i, err)
			}
		}
		for n := range sealed {
			if _, err := p.Open(bytes.Clone(sealed[:n])); !errs.Is(err, errs.Invalid) {
				t.Fatalf("%s: %d bytes: %v", kind, n, err)
			}
		}
		if plain, err := p.Open(sealed); err != nil || string(plain) != "plaintext" {
			t.Errorf("%s: %q, %v", kind, plain, err)
		}
	}
}

// Nonces of keys that are not convergent do not come twice.
func TestNoncesAreNew(t *testing.T) {
	p := params(t, key.Rules{Type: key.AES256GCM96})
	seen := map[string]bool{}
	for range 5000 {
		sealed, err := p.Seal(nil)
		if err != nil {
			t.Fatal(err)
		}
		if nonce := string(sealed[:12]); seen[nonce] {
			t.Fatal("a nonce came twice")
		} else {
			seen[nonce] = true
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"vault:v1:AAAA", "vault:v", "vault:v1", "vault:v01:", "vault:v99999999999:x", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		n, rest, err := Parse(text, "ciphertext")
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Error(err)
			}
			return
		}
		if again := append(AppendPrefix(nil, n), rest...); !bytes.Equal(again, text) {
			t.Errorf("%q is read as %q", text, again)
		}
	})
}

func FuzzOpen(f *testing.F) {
	var all []Params
	for _, r := range []key.Rules{{Type: key.AES256GCM96}, {Type: key.XChaCha20Poly1305}, {Type: key.RSA2048}, {Type: key.ChaCha20Poly1305, Derived: true, Convergent: true}} {
		all = append(all, params(f, r))
	}
	f.Add([]byte{}, []byte("associated"))
	f.Add(make([]byte, 28), []byte{})
	f.Add(make([]byte, 256), []byte{})
	f.Fuzz(func(t *testing.T, blob, associated []byte) {
		for _, p := range all {
			p.AssociatedData = associated
			if _, err := p.Open(bytes.Clone(blob)); !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: %v", p.Key.Type, err)
			}
		}
	})
}

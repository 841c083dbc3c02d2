package wrapping

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
)

func private(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRoundTrip(t *testing.T) {
	k, other := private(t), private(t)
	for _, name := range []string{"", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"} {
		hash, err := ParseHash(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{16, 17, 32, 2400} {
			target := bytes.Repeat([]byte{7}, size)
			blob, err := Wrap(&k.PublicKey, target, hash, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Unwrap(k, blob, hash); err != nil || !bytes.Equal(got, target) {
				t.Errorf("%s, %d bytes: %v", name, size, err)
			}
			if _, err := Unwrap(other, blob, hash); !errs.Is(err, errs.Invalid) {
				t.Errorf("another key unwraps: %v", err)
			}
			for _, i := range []int{0, 255, 256, len(blob) - 1} {
				changed := bytes.Clone(blob)
				changed[i] ^= 1
				if _, err := Unwrap(k, changed, hash); !errs.Is(err, errs.Invalid) {
					t.Errorf("byte %d changed: %v", i, err)
				}
			}
		}
	}
	for _, name := range []string{"sha256", "MD5", "SHA-256"} {
		if _, err := ParseHash(name); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, size := range []int{0, 15, 8193} {
		if _, err := Wrap(&k.PublicKey, make([]byte, size), crypto.SHA256, rand.Reader); !errs.Is(err, errs.Invalid) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// At whatever step it fails, all failures look alike: the text must not help to
// decrypt the front by trial.
func TestOneError(t *testing.T) {
	k := private(t)
	blob, err := Wrap(&k.PublicKey, make([]byte, 32), crypto.SHA256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, _ := rsa.EncryptOAEP(crypto.SHA256.New(), rand.Reader, &k.PublicKey, make([]byte, 16), nil)
	texts := map[string]bool{}
	for _, bad := range [][]byte{nil, blob[:256], blob[1:], append([]byte{blob[0] ^ 1}, blob[1:]...), append(short, blob[256:]...), append(bytes.Clone(blob), 0)} {
		_, err := Unwrap(k, bad, crypto.SHA256)
		if err == nil {
			t.Fatal("unwrapped what is not right")
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 || strings.Contains(strings.Join(keysOf(texts), ""), "crypto/") {
		t.Errorf("%v", texts)
	}
}

func keysOf(m map[string]bool) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

func FuzzUnwrap(f *testing.F) {
	k := private(f)
	blob, err := Wrap(&k.PublicKey, make([]byte, 32), crypto.SHA256, rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(blob)
	f.Add(blob[:256])
	f.Add([]byte{})
	f.Add(append(bytes.Clone(blob), make([]byte, 9000)...))
	f.Fuzz(func(t *testing.T, blob []byte) {
		if _, err := Unwrap(k, blob, crypto.SHA256); err != nil && !errs.Is(err, errs.Invalid) {
			t.Error(err)
		}
	})
}

package box_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

func newBox(t testing.TB, fill byte) box.Box {
	t.Helper()
	b, err := box.New(bytes.Repeat([]byte{fill}, box.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	b := newBox(t, 1)
	for _, size := range []int{0, 1, 15, 16, 17, 4096} {
		plain := bytes.Repeat([]byte{'p'}, size)
		sealed := b.Append([]byte("head"), []byte("aad"), plain)
		if len(sealed) != 4+size+box.Overhead || string(sealed[:4]) != "head" {
			t.Errorf("%d bytes became %d", size, len(sealed))
		}
		got, err := b.Open([]byte("aad"), sealed[4:])
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: got %q, %v", size, got, err)
		}
	}
}

func TestNoncesDiffer(t *testing.T) {
	b := newBox(t, 1)
	seen := map[string]bool{}
	for range 1000 {
		seen[string(b.Append(nil, nil, nil)[1:13])] = true
	}
	if len(seen) != 1000 {
		t.Errorf("1000 boxes have %d different nonces", len(seen))
	}
}

func TestEveryChangedByteIsNoticed(t *testing.T) {
	b := newBox(t, 1)
	good := b.Append(nil, []byte("aad"), []byte("plaintext"))
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x40
		if _, err := b.Open([]byte("aad"), bad); err == nil {
			t.Errorf("byte %d was changed and nobody noticed", i)
		}
		if _, err := b.Open([]byte("aad"), good[:i]); !errs.Is(err, errs.Internal) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	b := newBox(t, 1)
	good := b.Append(nil, []byte("aad"), []byte("plaintext"))
	newer := slices.Clone(good)
	newer[0] = 2
	for name, c := range map[string]struct {
		box    box.Box
		aad    string
		sealed []byte
		kind   errs.Kind
		say    string
	}{
		"other key":   {newBox(t, 2), "aad", good, errs.Internal, "another key"},
		"other aad":   {b, "aae", good, errs.Internal, "moved"},
		"no aad":      {b, "", good, errs.Internal, "moved"},
		"nothing":     {b, "aad", nil, errs.Internal, "cut short"},
		"newer":       {b, "aad", newer, errs.Unsupported, "upgrade"},
		"longer":      {b, "aad", append(slices.Clone(good), 0), errs.Internal, "authenticate"},
		"only header": {b, "aad", good[:1], errs.Internal, "cut short"},
	} {
		_, err := c.box.Open([]byte(c.aad), c.sealed)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v (%v), want kind %v saying %q", name, err, errs.KindOf(err), c.kind, c.say)
		}
	}
}

func TestKeyLength(t *testing.T) {
	for _, n := range []int{0, 16, 24, 31, 33, 64} {
		if _, err := box.New(make([]byte, n)); !errs.Is(err, errs.Internal) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
}

// Guards the function around the cipher: without it %s of a struct that holds
// a Box prints AES round keys, the first of which are the key.
func TestKeyIsNeverPrinted(t *testing.T) {
	key := []byte("canary-canary-canary-canary-1234")
	b, err := box.New(key)
	if err != nil {
		t.Fatal(err)
	}
	holder := struct {
		B  box.Box
		p  *box.Box
		bs []box.Box
	}{b, &b, []box.Box{b}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, holder)
		fmt.Fprintf(&out, verb, &holder)
		fmt.Fprintf(&out, verb, b)
	}
	// Round keys are words; the first word of the key in either byte order.
	for _, leak := range []string{"canary", hex.EncodeToString(key), fmt.Sprint(0x63616e61), fmt.Sprint(0x616e6163), "63616e61", "616e6163"} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("the key was printed as %q", leak)
		}
	}
}

func FuzzOpen(f *testing.F) {
	b := newBox(f, 7)
	f.Add([]byte("a"), b.Append(nil, []byte("a"), []byte("x")))
	f.Add([]byte(nil), make([]byte, box.Overhead))
	f.Add([]byte(nil), []byte{})
	f.Fuzz(func(t *testing.T, aad, sealed []byte) {
		plain, err := b.Open(aad, sealed)
		if err == nil && len(plain) != len(sealed)-box.Overhead {
			t.Errorf("opened %d bytes from %d", len(plain), len(sealed))
		}
		got, err := b.Open(aad, b.Append(nil, aad, sealed))
		if err != nil || !bytes.Equal(got, sealed) {
			t.Errorf("round trip: %v", err)
		}
	})
}

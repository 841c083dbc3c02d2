package seal

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

// sealer is what store/sealed wants of a keyring.
type sealer interface {
	Seal(aad, plaintext []byte) ([]byte, error)
	Open(aad, sealed []byte) ([]byte, error)
	NameKey() (redact.Secret, error)
}

var _ sealer = (*Keyring)(nil)

// fixed returns keys that are the same in every run: term n has bytes n.
func fixed(terms ...uint32) material {
	m := material{seed: bytes.Repeat([]byte{0x5e}, seedSize)}
	for _, n := range terms {
		m.terms = append(m.terms, termKey{n, time.Unix(1_700_000_000+int64(n), 0), bytes.Repeat([]byte{byte(n)}, box.KeySize)})
	}
	return m
}

func fixedRing(t testing.TB, terms ...uint32) *ring {
	t.Helper()
	r, err := newRing(fixed(terms...), RotateOperations)
	if err != nil {
		t.Fatal(err)
	}
	r.use.grant(1<<30, 1<<30) // so that no test runs out of it
	return r
}

func unsealedKeyring(t testing.TB, terms ...uint32) *Keyring {
	t.Helper()
	k := newKeyring()
	k.install(fixedRing(t, terms...), fixed(terms...).seed)
	return k
}

func TestKeyringRoundTrip(t *testing.T) {
	k := unsealedKeyring(t, 1, 2, 3)
	for _, size := range []int{0, 1, 100, 1 << 16} {
		plain := bytes.Repeat([]byte{'s'}, size)
		sealed, err := k.Seal([]byte("path"), plain)
		if err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint32(sealed); got != 3 || sealed[4] != box.Version || len(sealed) != 4+29+size {
			t.Errorf("%d bytes sealed under term %d, format %d, to %d bytes", size, got, sealed[4], len(sealed))
		}
		got, err := k.Open([]byte("path"), sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if _, err := k.Open([]byte("other"), sealed); !errs.Is(err, errs.Internal) {
			t.Errorf("a value opens at another path: %v", err)
		}
	}
}

func TestOldTermsOpen(t *testing.T) {
	old, err := unsealedKeyring(t, 1).Seal([]byte("p"), []byte("v"))
	if err != nil {
		t.Fatal(err)
	}
	for _, terms := range [][]uint32{{1}, {1, 2}, {1, 2, 3, 4}} {
		got, err := unsealedKeyring(t, terms...).Open([]byte("p"), old)
		if err != nil || string(got) != "v" {
			t.Errorf("terms %v: %v", terms, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	k := unsealedKeyring(t, 2, 3)
	good, err := k.Seal([]byte("p"), []byte("value"))
	if err != nil {
		t.Fatal(err)
	}
	term := func(n uint32) []byte {
		b := slices.Clone(good)
		binary.BigEndian.PutUint32(b, n)
		return b
	}
	newer := slices.Clone(good)
	newer[4] = 9
	for name, c := range map[string]struct {
		sealed []byte
		kind   errs.Kind
		say    string
	}{
		"a term of tomorrow":   {term(4), errs.Unavailable, "try again"},
		"an absurd term":       {term(1 << 31), errs.Unavailable, "damaged"},
		"a dropped term":       {term(1), errs.Internal, "not in the keyring"},
		"term 0":               {term(0), errs.Internal, "not in the keyring"},
		"another term's":       {term(2), errs.Internal, "authenticate"},
		"a format of tomorrow": {newer, errs.Unsupported, "upgrade"},
		"nothing":              {nil, errs.Internal, "cut short"},
		"a header":             {good[:5], errs.Internal, "cut short"},
	} {
		_, err := k.Open([]byte("p"), c.sealed)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v, want kind %v saying %q", name, err, c.kind, c.say)
		}
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if _, err := k.Open([]byte("p"), bad); err == nil {
			t.Errorf("byte %d was changed and nobody noticed", i)
		}
	}
}

func TestSealedKeyringDoesNothing(t *testing.T) {
	k := unsealedKeyring(t, 1)
	value, err := k.Seal(nil, []byte("v"))
	if err != nil {
		t.Fatal(err)
	}
	never := newKeyring()
	k.wipe()
	k.wipe() // again is fine
	for name, k := range map[string]*Keyring{"wiped": k, "never unsealed": never} {
		k.adopt(fixedRing(t, 1, 2)) // a late rotation must not unseal
		_, e1 := k.Seal(nil, nil)
		_, e2 := k.Open(nil, value)
		_, e3 := k.NameKey()
		_, e4 := k.Derive("x")
		_, e5 := k.info()
		for i, err := range []error{e1, e2, e3, e4, e5} {
			if !errs.Is(err, errs.Sealed) || err.Error() != "Vault is sealed" {
				t.Errorf("%s: call %d: %v", name, i+1, err)
			}
		}
		if !k.Sealed() {
			t.Errorf("%s: says it is unsealed", name)
		}
	}
}

// TestGoldenDerivations holds what is derived from a seed. Names in storage
// and hashes of tokens depend on it for the life of a vault: never change it.
func TestGoldenDerivations(t *testing.T) {
	for _, terms := range [][]uint32{{1}, {1, 2}, {7, 8, 9}} {
		k := unsealedKeyring(t, terms...)
		name, err := k.NameKey()
		if err != nil {
			t.Fatal(err)
		}
		hash, err := k.Derive("token hash")
		if err != nil {
			t.Fatal(err)
		}
		if got, want := hex.EncodeToString(name.Reveal()), "529f2447212e2f6bb24f8ed9ba229ca37860f2b6105fc1602392eed78ec9a32f00b419ef91a8545cc8c3dc97a5742f7df9155272ec359eba2021d1b9289c69d3"; got != want {
			t.Errorf("terms %v: name key %s", terms, got)
		}
		if got, want := hex.EncodeToString(hash.Reveal()), "ea2810dd79f54101eeb08bee2d0562b13e3cff7470e1a90d8e70183c4e24aa99"; got != want {
			t.Errorf("terms %v: derived key %s", terms, got)
		}
	}
}

func TestDerivedKeysAreApartAndTheCallers(t *testing.T) {
	k := unsealedKeyring(t, 1)
	seen := map[string]string{}
	for _, label := range []string{"", "a", "b", "a ", "storage names v1", nameKeyInfo} {
		d, err := k.Derive(label)
		if err != nil || d.Len() != DerivedSize {
			t.Fatalf("label %q: %d bytes, %v", label, d.Len(), err)
		}
		seen[d.RevealString()] = label
	}
	name, _ := k.NameKey()
	if name.Len() != NameKeySize {
		t.Errorf("a name key of %d bytes", name.Len())
	}
	seen[name.RevealString()[:DerivedSize]] = "name key"
	if len(seen) != 7 {
		t.Errorf("7 derivations gave %d keys", len(seen))
	}
	before := name.RevealString()
	name.Wipe()
	if again, _ := k.NameKey(); again.RevealString() != before {
		t.Error("wiping a copy wiped the keyring's")
	}
	again, _ := k.NameKey()
	k.wipe()
	if again.RevealString() != before {
		t.Error("sealing changed a key under its user's hands")
	}
}

func TestExhaustedKeyRefusesToEncrypt(t *testing.T) {
	r, err := newRing(fixed(1), RotateOperations)
	if err != nil {
		t.Fatal(err)
	}
	k := newKeyring()
	k.install(r, fixed(1).seed)
	r.use.grant(1, MaxOperations-1) // before = MaxOperations-2
	for i := range 2 {
		if _, err := k.Seal(nil, nil); err != nil {
			t.Fatalf("encryption %d of the last two: %v", i, err)
		}
	}
	if len(k.wake) != 1 {
		t.Error("the upkeep was not told")
	}
	if _, err := k.Seal(nil, nil); !errs.Is(err, errs.Exhausted) || !strings.Contains(err.Error(), "rotate") {
		t.Errorf("encryption 2^32+1: %v", err)
	}
	k.adopt(fixedRing(t, 1, 2))
	if _, err := k.Seal(nil, nil); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
}

func TestRotateOperations(t *testing.T) {
	if want := MaxOperations * 9 / 10; RotateOperations != want {
		t.Errorf("a rotation is due at %d, want a tenth less than 2^32: %d", RotateOperations, want)
	}
}

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		limit, granted, total, used uint64
		before, refill              uint64
		short, due                  bool
	}{
		"fresh":                     {1e9, block, block, 0, 0, block / 2, false, false},
		"half a block used":         {1e9, block, block, block / 2, 0, block / 2, true, false},
		"used up":                   {1e9, block, block, block, 0, block / 2, true, false},
		"after an earlier life":     {1e9, block, 5 * block, 0, 4 * block, block / 2, false, false},
		"nothing granted":           {1e9, 0, 0, 0, 0, 0, false, false},
		"limit below half a block":  {10, block, block, 9, 0, 10, false, false},
		"limit reached":             {10, block, block, 10, 0, 10, false, true},
		"limit reached before":      {10, block, block + 10, 0, 10, 0, false, true},
		"others used more than all": {10, block, block + 99, 0, 99, 0, false, true},
	} {
		u := newUsage(c.limit)
		u.used.Store(c.used)
		if c.granted > 0 {
			u.grant(c.granted, c.total)
		}
		short := c.short || c.granted == 0 // without a grant it is always short
		if u.before.Load() != c.before || u.refill.Load() != c.refill || u.short() != short || u.due() != c.due {
			t.Errorf("%s: before %d refill %d short %v due %v, want %+v", name, u.before.Load(), u.refill.Load(), u.short(), u.due(), c)
		}
	}
}

func TestGrantsInAnyOrder(t *testing.T) {
	u := newUsage(RotateOperations)
	u.grant(block, 5*block) // three of them are others'
	u.grant(block, 2*block)
	if u.before.Load() != 3*block || u.granted.Load() != 2*block {
		t.Errorf("before %d, granted %d", u.before.Load(), u.granted.Load())
	}
}

func TestWipeOverwritesTheSeed(t *testing.T) {
	k := unsealedKeyring(t, 1)
	seed := k.seed.Reveal()
	k.wipe()
	if !bytes.Equal(seed, make([]byte, seedSize)) {
		t.Error("the seed is still in memory")
	}
}

// Guards the lock-free path: values sealed at any moment open at any later one,
// whatever rotates, and sealing in the middle gives Sealed and nothing else.
func TestConcurrentSealRotateWipe(t *testing.T) {
	k := unsealedKeyring(t, 1)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				plain := []byte(fmt.Sprint(i))
				sealed, err := k.Seal([]byte("p"), plain)
				if err == nil {
					plain, err = k.Open([]byte("p"), sealed)
				}
				if err == nil && string(plain) != fmt.Sprint(i) {
					t.Errorf("got %q", plain)
				}
				if _, derr := k.NameKey(); err == nil {
					err = derr
				}
				if err != nil && !errors.Is(err, errSealed) {
					t.Error(err)
					return
				}
			}
		})
	}
	terms := []uint32{1}
	for n := uint32(2); n < 40; n++ {
		terms = append(terms, n)
		k.adopt(fixedRing(t, terms...))
		if n%10 == 0 {
			k.wipe()
			k.install(fixedRing(t, terms...), fixed(1).seed)
		}
	}
	close(stop)
	wg.Wait()
	if info, err := k.info(); err != nil || info.Term != 39 {
		t.Errorf("ended at %+v, %v", info, err)
	}
}

func TestAdoptGoesForwardOnly(t *testing.T) {
	k := unsealedKeyring(t, 1, 2, 3)
	k.adopt(fixedRing(t, 1, 2)) // stale: read before another rotation, or rolled back
	if info, _ := k.info(); info.Term != 3 {
		t.Errorf("an older keyring was adopted: term %d", info.Term)
	}
}

func TestSealAllocatesOnce(t *testing.T) {
	k := unsealedKeyring(t, 1, 2)
	aad, plain := []byte("secret/data/app"), make([]byte, 512)
	sealed, err := k.Seal(aad, plain)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = k.Seal(aad, plain) }); n > 1 {
		t.Errorf("Seal allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = k.Open(aad, sealed) }); n > 1 {
		t.Errorf("Open allocates %v times", n)
	}
}

func FuzzKeyringOpen(f *testing.F) {
	k := unsealedKeyring(f, 1, 2)
	good, err := k.Seal([]byte("p"), []byte("v"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("p"), good)
	f.Add([]byte("p"), good[:7])
	f.Add([]byte(nil), []byte{0, 0, 0, 9})
	f.Add([]byte(nil), []byte{})
	f.Fuzz(func(t *testing.T, aad, sealed []byte) {
		plain, err := k.Open(aad, sealed)
		if err == nil && len(plain)+4+box.Overhead != len(sealed) {
			t.Errorf("%d bytes from %d", len(plain), len(sealed))
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			k, plain, aad := unsealedKeyring(b, 1, 2, 3), make([]byte, size), []byte("mounts/0b2f/data/app/config")
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Seal(aad, plain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{64, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			k, aad := unsealedKeyring(b, 1, 2, 3), []byte("mounts/0b2f/data/app/config")
			sealed, err := k.Seal(aad, make([]byte, size))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Open(aad, sealed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSealParallel(b *testing.B) {
	k, plain, aad := unsealedKeyring(b, 1), make([]byte, 256), []byte("p")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := k.Seal(aad, plain); err != nil {
				b.Error(err)
			}
		}
	})
}

// A value under a term that another node has just made opens once the keyring was read again, which is
// done once for all who ask at the same time.
func TestRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, other := unsealedKeyring(t, 1), unsealedKeyring(t, 1, 2)
		value, err := other.Seal([]byte("path"), []byte("v"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Open([]byte("path"), value); !errs.Is(err, errs.Unavailable) {
			t.Fatal(err)
		}
		if err := k.Refresh(t.Context()); !errs.Is(err, errs.Sealed) {
			t.Error("nobody can read it:", err)
		}
		reads, hold := 0, make(chan struct{})
		k.reloadBy(func(context.Context) error {
			reads++
			<-hold
			k.adopt(fixedRing(t, 1, 2))
			return nil
		})
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() {
				if err := k.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(hold)
		asking.Wait()
		if got, err := k.Open([]byte("path"), value); err != nil || string(got) != "v" || reads != 1 {
			t.Errorf("%q, %v, read %d times", got, err, reads)
		}
	})
}

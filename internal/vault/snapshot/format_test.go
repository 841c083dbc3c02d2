package snapshot_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

func TestWhole(t *testing.T) {
	s := sample(t, 2000)
	file := save(t, s, keys(1))
	info, err := snapshot.Check(t.Context(), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if info.Entries != 2001 || info.Bytes != int64(len(file)) || info.VaultID != vaultID || info.Version != "1.2.3" || !info.Time.Equal(now) ||
		info.Revision == 0 || info.Folders["data/"] != 2000 || info.Folders["core/"] != 1 || !info.Signed() {
		t.Errorf("%+v", info)
	}
	if err := info.Authenticate(keys(1)); err != nil {
		t.Error(err)
	}
	wantKind(t, info.Authenticate(keys(2)), errs.Invalid, "not signed by this vault")
	wantKind(t, snapshot.CheckMAC(keys(1), info.SHA256(), ""), errs.Invalid, "not signed")
	wantKind(t, snapshot.CheckMAC(keys(1), "zz", info.MAC()), errs.Invalid, "64 hexadecimal")
	wantKind(t, snapshot.CheckMAC(keys(1), info.SHA256(), "00"), errs.Invalid, "64 hexadecimal")
	if err := snapshot.CheckMAC(keys(1), info.SHA256(), info.MAC()); err != nil {
		t.Error(err)
	}
	plain, err := snapshot.Check(t.Context(), bytes.NewReader(save(t, s, nil)))
	if err != nil || plain.Signed() || plain.Digest == info.Digest && plain.MAC() != "" {
		t.Errorf("%+v, %v", plain, err)
	}
	wantKind(t, plain.Authenticate(keys(1)), errs.Invalid, "not signed")
}

// Of each snapshot that was torn, and each in which one byte is another, it is said
// that it is damaged, and where.
func TestDamaged(t *testing.T) {
	file := save(t, sample(t, 20), keys(1))
	for n := range len(file) {
		if _, err := snapshot.Check(t.Context(), bytes.NewReader(file[:n])); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "cut short") {
			t.Fatalf("of %d bytes %d: %v", len(file), n, err)
		}
	}
	for n := range file {
		for _, bit := range []byte{1, 0x80, 0xff} {
			broken := bytes.Clone(file)
			broken[n] ^= bit
			if _, err := snapshot.Check(t.Context(), bytes.NewReader(broken)); !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unsupported) {
				t.Fatalf("byte %d changed by %x: %v", n, bit, err)
			}
		}
	}
	_, err := snapshot.Check(t.Context(), bytes.NewReader(append(bytes.Clone(file), 0)))
	wantKind(t, err, errs.Invalid, "something follows")
	broken := bytes.Clone(file)
	broken[len(broken)/2] ^= 4
	_, err = snapshot.Check(t.Context(), bytes.NewReader(broken))
	wantKind(t, err, errs.Invalid, "at byte", "behind", "entries")
	_, err = snapshot.Check(t.Context(), strings.NewReader("PK\x03\x04 an archive of another kind"))
	wantKind(t, err, errs.Invalid, "no snapshot of Strongkeep")
}

// Formats that are not known are refused as that, older and newer.
func TestOtherFormat(t *testing.T) {
	file := save(t, sample(t, 3), nil)
	for _, format := range []uint32{0, 2, 1 << 31} {
		binary.BigEndian.PutUint32(file[8:], format)
		_, err := snapshot.Check(t.Context(), bytes.NewReader(file))
		wantKind(t, err, errs.Unsupported, "format", "knows only 1")
	}
}

// A header of one vault in front of the entries of another is refused, checksums right or not.
func TestOtherVault(t *testing.T) {
	file := bytes.Replace(save(t, sample(t, 3), nil), []byte(vaultID), []byte(otherID), 1)
	size := int(binary.BigEndian.Uint32(file[12:]))
	binary.BigEndian.PutUint32(file[16+size:], crc32.Checksum(file[:16+size], crc32.MakeTable(crc32.Castagnoli)))
	_, err := snapshot.Check(t.Context(), bytes.NewReader(file))
	wantKind(t, err, errs.Invalid, "of another vault")
}

func TestNoVault(t *testing.T) {
	s := mem.New(mem.Config{})
	_, err := snapshot.Write(t.Context(), new(bytes.Buffer), snapshot.Source{Store: s, Now: now})
	wantKind(t, err, errs.Invalid, "not initialized")
	apply(t, s, store.Put(seal.ConfigKey, []byte(`{}`)))
	_, err = snapshot.Write(t.Context(), new(bytes.Buffer), snapshot.Source{Store: s, Now: now})
	wantKind(t, err, errs.Internal, "vault_id")
}

// full is a disk that takes so many bytes.
type full struct{ left int }

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errors.New("no space left on device")
	}
	return len(b), nil
}

func TestDiskFull(t *testing.T) {
	s := sample(t, 3000)
	for _, room := range []int{0, 300 << 10} {
		_, err := snapshot.Write(t.Context(), &full{room}, snapshot.Source{Store: s, Now: now})
		wantKind(t, err, errs.Unavailable, "writing the snapshot", "no space left")
	}
}

// A snapshot under writers is of one revision: each of two entries that are always
// written together is the same.
func TestUnderWriters(t *testing.T) {
	s := sample(t, 500)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				value := []byte(strings.Repeat("x", i%50+1))
				_, _ = s.Apply(ctx, store.Put("a/"+string(rune('a'+w)), value), store.Put("z/"+string(rune('a'+w)), value))
			}
		})
	}
	for range 30 {
		file := save(t, s, nil)
		f, err := snapshot.Open(t.Context(), bytes.NewReader(file), int64(len(file)))
		if err != nil {
			t.Fatal(err)
		}
		for w := range 4 {
			name := string(rune('a' + w))
			a, _ := f.Get(t.Context(), "a/"+name)
			z, _ := f.Get(t.Context(), "z/"+name)
			if !bytes.Equal(a.Value, z.Value) {
				t.Fatal("half a transaction is in a snapshot")
			}
		}
	}
	cancel()
	writers.Wait()
}

// FuzzCheck: no file makes the reader panic or take much memory, and what it takes for
// whole is written again as the same entries.
func FuzzCheck(f *testing.F) {
	whole := save(f, sample(f, 30), keys(1))
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(save(f, sample(f, 0), nil))
	f.Add([]byte("SKSNAPSH\x00\x00\x00\x01\x00\x00\x00\x02{}"))
	f.Fuzz(func(t *testing.T, file []byte) {
		info, err := snapshot.Check(t.Context(), bytes.NewReader(file))
		if err != nil {
			if !errs.Is(err, errs.Invalid) && !errs.Is(err, errs.Unsupported) {
				t.Fatal(err)
			}
			return
		}
		to := mem.New(mem.Config{})
		if _, err := snapshot.Restore(t.Context(), bytes.NewReader(file), snapshot.Target{Store: to, Now: now, Unsigned: true}); err != nil {
			t.Fatal(err)
		}
		if n := len(all(t, to)); uint64(n) != info.Entries {
			t.Fatalf("%d entries of %d", n, info.Entries)
		}
	})
}

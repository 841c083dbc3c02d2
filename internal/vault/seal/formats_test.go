package seal

import (
	"bytes"
	"encoding/binary"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"
)

var newGolden = flag.Bool("new-golden", false, "write testdata of formats that have none yet")

// golden compares got with a file that must never change: there are vaults
// on disk in this format. A new format gets a new file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && *newGolden {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the format has changed: got\n%q\nwant\n%q", name, got, want)
	}
}

func TestMaterialFormat(t *testing.T) {
	m := fixed(1, 2)
	encoded := m.encode()
	golden(t, "keyring-v1.bin", encoded)
	back, err := decodeMaterial(slices.Clone(encoded))
	if err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("read back %+v, %v", back, err)
	}
	back.wipe()
	if !bytes.Equal(back.seed, make([]byte, seedSize)) || !bytes.Equal(back.terms[1].key, make([]byte, 32)) {
		t.Error("wiping left keys")
	}
}

func TestMaterialRefuses(t *testing.T) {
	good := fixed(1, 2).encode()
	change := func(at int, to ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], to)
		return b
	}
	for name, c := range map[string]struct {
		b    []byte
		kind errs.Kind
		say  string
	}{
		"nothing":        {nil, errs.Internal, "empty"},
		"version 0":      {change(0, 0), errs.Unsupported, "format 0"},
		"version 2":      {change(0, 2), errs.Unsupported, "upgrade"},
		"a header":       {good[:materialHead-1], errs.Internal, "cut short"},
		"no terms":       {fixed().encode(), errs.Internal, "0 terms"},
		"fewer terms":    {change(materialHead-2, 0, 1), errs.Internal, "1 terms"},
		"too many terms": {change(materialHead-2, 0xff, 0xff), errs.Internal, "65535 terms"},
		"cut":            {good[:len(good)-1], errs.Internal, "cannot be"},
		"longer":         {append(slices.Clone(good), 0), errs.Internal, "cannot be"},
		"term 0":         {change(materialHead, 0, 0, 0, 0), errs.Internal, "term 0"},
		"a gap":          {fixed(1, 3).encode(), errs.Internal, "term 3 where term 2"},
		"twice":          {fixed(2, 2).encode(), errs.Internal, "term 2 where term 3"},
		"backwards":      {fixed(2, 1).encode(), errs.Internal, "term 1 where term 3"},
		"term overflow":  {fixed(1<<32-1, 0).encode(), errs.Internal, "term 0"},
	} {
		_, err := decodeMaterial(c.b)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: got %v, want kind %v saying %q", name, err, c.kind, c.say)
		}
	}
}

func TestMaterialRotates(t *testing.T) {
	now := time.Unix(1_800_000_000, 999)
	m := newMaterial(now)
	seed := slices.Clone(m.seed)
	if err := m.rotate(now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if len(m.terms) != 2 || m.newest() != 2 || bytes.Equal(m.terms[0].key, m.terms[1].key) || !bytes.Equal(seed, m.seed) {
		t.Error("a rotation must add one term with a fresh key and leave the seed")
	}
	if got := m.terms[1].installed; !got.Equal(time.Unix(1_800_003_600, 0)) {
		t.Errorf("installed at %v", got)
	}
	full := material{terms: make([]termKey, maxTerms)}
	if err := full.rotate(now); !errs.Is(err, errs.Exhausted) {
		t.Errorf("a full keyring: %v", err)
	}
	if size := materialHead + maxTerms*termKeySize; size > 1<<20-64 {
		t.Errorf("a full keyring of %d bytes does not fit the store", size)
	}
}

func TestTallyFormat(t *testing.T) {
	want := tally{term: 3, total: 0x0102030405060708}
	encoded := want.encode()
	golden(t, "keyring-usage-v1.bin", encoded)
	if got, err := decodeTally(encoded); err != nil || got != want {
		t.Errorf("read back %+v, %v", got, err)
	}
	for name, b := range map[string][]byte{"nothing": nil, "version 2": append([]byte{2}, encoded[1:]...), "cut": encoded[:12], "longer": append(slices.Clone(encoded), 0)} {
		if _, err := decodeTally(b); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
}

// Guards against a count that is lost: then the key must be taken as used up.
func TestTallyOfAssumesTheWorst(t *testing.T) {
	r, aad := fixedRing(t, 1, 2), []byte("aad")
	stored := func(term uint32, total uint64) []byte { return r.seal(aad, tally{term, total}.encode()) }
	future := stored(2, 77)
	future[3] = 3
	worst := tally{2, RotateOperations}
	for name, c := range map[string]struct {
		stored []byte
		want   tally
		newer  bool
	}{
		"right":          {stored(2, 77), tally{2, 77}, false},
		"of the future":  {future, worst, true},
		"of the past":    {fixedRing(t, 1).seal(aad, tally{1, 77}.encode()), worst, false},
		"of two terms":   {stored(3, 77), worst, false},
		"missing":        {nil, worst, false},
		"damaged":        {append(stored(2, 77), 0), worst, false},
		"from elsewhere": {r.seal([]byte("other"), tally{2, 77}.encode()), worst, false},
		"other format":   {r.seal(aad, []byte{9}), worst, false},
	} {
		if got, newer := tallyOf(r, aad, c.stored); got != c.want || newer != c.newer {
			t.Errorf("%s: %+v %v, want %+v %v", name, got, newer, c.want, c.newer)
		}
	}
}

func FuzzMaterial(f *testing.F) {
	f.Add(fixed(1, 2).encode())
	f.Add(fixed().encode())
	f.Add([]byte{1})
	f.Add(binary.BigEndian.AppendUint16(append([]byte{1}, make([]byte, 32)...), 65535))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMaterial(slices.Clone(b))
		if err == nil && !bytes.Equal(m.encode(), b) {
			t.Error("what was read is not what was written")
		}
		if err == nil {
			if _, err := newRing(m, 1); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzTally(f *testing.F) {
	f.Add(tally{1, 2}.encode())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := decodeTally(b); err == nil && !bytes.Equal(got.encode(), b) {
			t.Error("what was read is not what was written")
		}
	})
}

// What the root key encrypts, what wraps it, and what is under the keyring have each an aad of their own.
func TestAADsAreApart(t *testing.T) {
	vault := uuid.MustParse("0b2f7c1e-9d3a-4f7a-8a52-1c2d3e4f5a6b")
	w := rootkey.Wrapping{Kind: "shamir", KeyID: "id", Shares: 5, Threshold: 3}
	all := map[string]bool{string(w.AAD(vault)): true, string(keyringAAD(vault)): true, string(usageAAD(vault)): true}
	if len(all) != 3 {
		t.Error("two of them are the same")
	}
}

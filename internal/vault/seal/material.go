package seal

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

// material is the keys themselves, in the clear. It lives only while a keyring
// is made, loaded or rotated, and is wiped after.
//
// Encoded, before the root key encrypts it into a box with keyringAAD:
//
//	+---------+------+--------+   +---------+-----------+-----+
//	| version | seed | number |   | term    | installed | key |   one per
//	|  1 = 1  |  32  | of     | + | 4       | 8, Unix   | 32  |   term,
//	|         |      | terms 2|   |         | seconds   |     |   ascending
//	+---------+------+--------+   +---------+-----------+-----+
//
// Integers are big-endian. Terms follow each other without a gap; the last is
// the newest, which encrypts. The first need not be 1: a term whose values
// have all been re-encrypted can be dropped one day.
type material struct {
	seed  []byte // root of what Derive and NameKey give; never changes
	terms []termKey
}

type termKey struct {
	number    uint32
	installed time.Time // whole seconds
	key       []byte
}

const (
	materialVersion = 1
	seedSize        = 32
	materialHead    = 1 + seedSize + 2
	termKeySize     = 4 + 8 + box.KeySize
	// maxTerms keeps the keyring under store.MaxValue. At one rotation a day
	// it lasts 44 years.
	maxTerms = 16384
)

// newMaterial makes the keys of a new vault.
func newMaterial(now time.Time) material {
	m := material{seed: randomBytes(seedSize)}
	m.terms = []termKey{{number: 1, installed: now.Truncate(time.Second), key: randomBytes(box.KeySize)}}
	return m
}

// randomBytes never fails: crypto/rand ends the program first.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

func (m material) newest() uint32 { return m.terms[len(m.terms)-1].number }

// rotate adds a term with a fresh key. Kind: Exhausted.
func (m *material) rotate(now time.Time) error {
	if len(m.terms) >= maxTerms {
		return errs.Newf(errs.Exhausted, "the keyring holds %d terms, as many as it can: rotate less often", len(m.terms))
	}
	m.terms = append(m.terms, termKey{number: m.newest() + 1, installed: now.Truncate(time.Second), key: randomBytes(box.KeySize)})
	return nil
}

// wipe overwrites every key.
func (m material) wipe() {
	clear(m.seed)
	for _, t := range m.terms {
		clear(t.key)
	}
}

// encode returns the plaintext drawn above; the caller wipes it.
func (m material) encode() []byte {
	b := make([]byte, 0, materialHead+len(m.terms)*termKeySize)
	b = append(b, materialVersion)
	b = append(b, m.seed...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.terms)))
	for _, t := range m.terms {
		b = binary.BigEndian.AppendUint32(b, t.number)
		b = binary.BigEndian.AppendUint64(b, uint64(t.installed.Unix()))
		b = append(b, t.key...)
	}
	return b
}

// decodeMaterial reads what encode wrote. The result shares b, so wiping it
// wipes b. Kinds: Unsupported (a newer format), Internal (damaged).
func decodeMaterial(b []byte) (material, error) {
	if len(b) == 0 {
		return material{}, errs.New(errs.Internal, "the keyring is empty")
	}
	if b[0] != materialVersion {
		return material{}, errs.Newf(errs.Unsupported, "the keyring has format %d and this version of Strongkeep knows only %d: upgrade it", b[0], materialVersion)
	}
	if len(b) < materialHead {
		return material{}, errs.Newf(errs.Internal, "the keyring has %d bytes: it was cut short", len(b))
	}
	n := int(binary.BigEndian.Uint16(b[1+seedSize:]))
	if n == 0 || n > maxTerms || len(b) != materialHead+n*termKeySize {
		return material{}, errs.Newf(errs.Internal, "the keyring says it has %d terms and is %d bytes long, which cannot be", n, len(b))
	}
	m := material{seed: b[1 : 1+seedSize : 1+seedSize], terms: make([]termKey, n)}
	for i := range m.terms {
		t := b[materialHead+i*termKeySize:]
		m.terms[i] = termKey{
			number:    binary.BigEndian.Uint32(t),
			installed: time.Unix(int64(binary.BigEndian.Uint64(t[4:])), 0),
			key:       t[12:termKeySize:termKeySize],
		}
		if got, want := m.terms[i].number, m.terms[0].number+uint32(i); got != want || got == 0 {
			return material{}, errs.Newf(errs.Internal, "the keyring has term %d where term %d is due", got, want)
		}
	}
	return m, nil
}

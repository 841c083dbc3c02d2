package seal

import (
	"encoding/binary"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

const (
	// MaxOperations is how often one key may encrypt: NIST SP 800-38D, 8.3
	// allows 2^32 invocations with random 96-bit nonces, after which the
	// chance that two were equal reaches 2^-33. Beyond it Seal refuses.
	MaxOperations uint64 = 1 << 32

	// RotateOperations is when a new term is due: MaxOperations less a tenth,
	// which leaves 429 million encryptions for a rotation to succeed in.
	RotateOperations uint64 = 3_865_470_566

	// block is how many encryptions are noted in storage at a time, ahead of
	// their being made. A crash wastes what is left of one, and RotateOperations
	// has room for 3,686 crashes.
	block = 1 << 20

	termSize = 4
)

// ring is one state of a keyring: what encrypts and decrypts, and nothing that
// gives a key away. It is immutable, except for the count.
type ring struct {
	first uint32 // number of terms[0]; the others follow without a gap
	terms []term
	use   *usage // of the newest term
}

type term struct {
	box       box.Box
	installed time.Time
}

// newRing prepares the ciphers of m, which may be wiped afterwards.
func newRing(m material, rotateAfter uint64) (*ring, error) {
	r := &ring{first: m.terms[0].number, terms: make([]term, len(m.terms)), use: newUsage(rotateAfter)}
	for i, t := range m.terms {
		b, err := box.New(t.key)
		if err != nil {
			return nil, err
		}
		r.terms[i] = term{box: b, installed: t.installed}
	}
	return r, nil
}

func (r *ring) newest() uint32 { return r.first + uint32(len(r.terms)) - 1 }

// seal encrypts under the newest term, in the form drawn at Keyring.
func (r *ring) seal(aad, plaintext []byte) []byte {
	out := make([]byte, termSize, termSize+box.Overhead+len(plaintext))
	binary.BigEndian.PutUint32(out, r.newest())
	return r.terms[len(r.terms)-1].box.Append(out, aad, plaintext)
}

func (r *ring) open(aad, sealed []byte) ([]byte, error) {
	if len(sealed) < termSize+box.Overhead {
		return nil, errs.Newf(errs.Internal, "%d bytes are too few for a sealed value: it was cut short", len(sealed))
	}
	number := binary.BigEndian.Uint32(sealed)
	if number > r.newest() {
		return nil, errs.Newf(errs.Unavailable, "a value is sealed under key term %d and this node knows terms up to %d: it was rotated a moment ago, try again; if this stays, the value is damaged", number, r.newest())
	}
	if number < r.first {
		return nil, errs.Newf(errs.Internal, "a value is sealed under key term %d, which is not in the keyring: the value is damaged", number)
	}
	return r.terms[number-r.first].box.Open(aad, sealed[termSize:])
}

// usage counts the encryptions under one term. Storage knows of them in
// blocks, ahead of time, so that a crash makes the count too high and never
// too low. Only while storage refuses the next block can the count run ahead
// of what storage knows.
type usage struct {
	used    atomic.Uint64 // by this process
	granted atomic.Uint64 // how many of those storage has noted already
	before  atomic.Uint64 // by others and by earlier lives of this node, at most
	refill  atomic.Uint64 // from here on, each use tells the upkeep
	limit   uint64        // a new term is due at so many

	mu     sync.Mutex // makes grant one step
	stored uint64     // the highest total that storage is known to have
}

func newUsage(limit uint64) *usage { return &usage{limit: limit} }

// grant notes that storage counts n more of this process's encryptions, and
// total of everyone's. Grants may come in another order than storage made them.
func (u *usage) grant(n, total uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.stored = max(u.stored, total)
	granted := u.granted.Add(n)
	before := u.stored - min(granted, u.stored)
	u.before.Store(before)
	refill := granted - min(block/2, granted)
	if due := u.limit - min(before, u.limit); due < refill {
		refill = due
	}
	u.refill.Store(refill)
}

// total is how many encryptions there were under the term, at most.
func (u *usage) total() uint64 {
	total := u.before.Load() + u.used.Load()
	if total < u.before.Load() {
		return math.MaxUint64
	}
	return total
}

func (u *usage) due() bool { return u.total() >= u.limit }

// short reports whether the next block should be noted in storage.
func (u *usage) short() bool { return u.used.Load()+block/2 >= u.granted.Load() }

package hashing

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// KeySize is the length of a device's hashing key in bytes.
const KeySize = 32

// Prefix precedes the 64 hexadecimal digits of an HMAC-SHA256 (RFC 2104,
// FIPS 198-1) over the value's UTF-8 bytes, as in Vault's audit log.
const Prefix = "hmac-sha256:"

// keepScratch is the largest working buffer that is kept for the next line, in bytes.
const keepScratch = 64 << 10

// Hasher makes keyed hashes. Its methods are safe for concurrent use.
type Hasher struct{ pool sync.Pool }

// State is what encoding one line needs and no two goroutines share.
//
// The HMAC is keyed once: from the second Reset on, crypto/hmac restores the
// compressed states of the padded key (FIPS 198-1, section 6), so that a short
// string costs two blocks instead of four and allocates nothing.
type State struct {
	mac     hash.Hash
	sum     [sha256.Size]byte
	scratch []byte // clear text on its way into mac; wiped before the state is pooled
	Line    []byte // the line being made; the caller's
	in      bytes.Buffer
	dec     *jsontext.Decoder
}

// New returns the Hasher of a key of KeySize bytes, which it copies.
func New(key redact.Secret) *Hasher {
	k := bytes.Clone(key.Reveal())
	h := &Hasher{}
	h.pool.New = func() any {
		mac := hmac.New(sha256.New, k)
		mac.Reset()
		return &State{mac: mac, scratch: make([]byte, 0, 512), Line: make([]byte, 0, 2048), dec: jsontext.NewDecoder(&bytes.Buffer{})}
	}
	return h
}

// Get returns a State, to be given back by Put.
func (h *Hasher) Get() *State { return h.pool.Get().(*State) }

// Put wipes and pools s.
func (h *Hasher) Put(s *State) {
	clear(s.scratch[:cap(s.scratch)])
	s.in = bytes.Buffer{} // let go of the request's bytes
	s.dec.Reset(&s.in)
	if cap(s.scratch) > keepScratch {
		s.scratch = make([]byte, 0, 512)
	}
	if cap(s.Line) > keepScratch {
		s.Line = make([]byte, 0, 2048)
	}
	h.pool.Put(s)
}

// AppendHash appends the quoted hash of clear.
func (s *State) AppendHash(dst, clear []byte) []byte {
	s.mac.Reset()
	_, _ = s.mac.Write(clear) // a hash.Hash never fails
	dst = append(dst, '"')
	dst = append(dst, Prefix...)
	dst = hex.AppendEncode(dst, s.mac.Sum(s.sum[:0]))
	return append(dst, '"')
}

// AppendHashString appends the quoted hash of clear.
func (s *State) AppendHashString(dst []byte, clear string) []byte {
	s.scratch = append(s.scratch[:0], clear...)
	return s.AppendHash(dst, s.scratch)
}

// Hash returns what stands in the log for value.
func (h *Hasher) Hash(value string) string {
	s := h.Get()
	defer h.Put(s)
	quoted := s.AppendHashString(nil, value)
	return string(quoted[1 : len(quoted)-1])
}

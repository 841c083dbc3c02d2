package audit

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

// hashPrefix precedes the 64 hexadecimal digits of an HMAC-SHA256 (RFC 2104,
// FIPS 198-1) over the value's UTF-8 bytes, as in Vault's audit log.
const hashPrefix = "hmac-sha256:"

// keepScratch is the largest working buffer that is kept for the next line, in bytes.
const keepScratch = 64 << 10

// hasher makes keyed hashes. It is used concurrently.
type hasher struct{ pool sync.Pool }

// state is what encoding one line needs and no two goroutines share.
//
// The HMAC is keyed once: from the second Reset on, crypto/hmac restores the
// compressed states of the padded key (FIPS 198-1, section 6), so that a short
// string costs two blocks instead of four and allocates nothing.
type state struct {
	mac     hash.Hash
	sum     [sha256.Size]byte
	scratch []byte // clear text on its way into mac; wiped before the state is pooled
	line    []byte // the line being made; the broker's
	in      bytes.Buffer
	dec     *jsontext.Decoder
}

// newHasher copies key.
func newHasher(key redact.Secret) *hasher {
	k := bytes.Clone(key.Reveal())
	h := &hasher{}
	h.pool.New = func() any {
		mac := hmac.New(sha256.New, k)
		mac.Reset()
		return &state{mac: mac, scratch: make([]byte, 0, 512), line: make([]byte, 0, 2048), dec: jsontext.NewDecoder(&bytes.Buffer{})}
	}
	return h
}

func (h *hasher) get() *state { return h.pool.Get().(*state) }

// put wipes and pools s.
func (h *hasher) put(s *state) {
	clear(s.scratch[:cap(s.scratch)])
	s.in = bytes.Buffer{} // let go of the request's bytes
	s.dec.Reset(&s.in)
	if cap(s.scratch) > keepScratch {
		s.scratch = make([]byte, 0, 512)
	}
	if cap(s.line) > keepScratch {
		s.line = make([]byte, 0, 2048)
	}
	h.pool.Put(s)
}

// appendHash appends the quoted hash of clear.
func (s *state) appendHash(dst, clear []byte) []byte {
	s.mac.Reset()
	_, _ = s.mac.Write(clear) // a hash.Hash never fails
	dst = append(dst, '"')
	dst = append(dst, hashPrefix...)
	dst = hex.AppendEncode(dst, s.mac.Sum(s.sum[:0]))
	return append(dst, '"')
}

// appendHashString appends the quoted hash of clear.
func (s *state) appendHashString(dst []byte, clear string) []byte {
	s.scratch = append(s.scratch[:0], clear...)
	return s.appendHash(dst, s.scratch)
}

// hash returns what stands in the log for value.
func (h *hasher) hash(value string) string {
	s := h.get()
	defer h.put(s)
	quoted := s.appendHashString(nil, value)
	return string(quoted[1 : len(quoted)-1])
}

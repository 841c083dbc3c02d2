package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// A batch token is "hvb." and, in unpadded base64url, behind which one of a
// namespace has "." and the namespace's ID,
//
//	version byte 1 | salt 12 | nonce 12 | AES-256-GCM(entry as string, zeros to pad) | tag 16
//
// under the key HMAC-SHA256(batch key, version | salt), with the version as
// additional data. A key of its own for each salt makes the nonce 192 bits
// long, as XAES-256-GCM does: tokens may be made without counting them, where
// one key with random nonces is good for 2^32 (NIST SP 800-38D, 8.3).
const (
	batchVersion = 1
	saltLen      = 12
	nonceLen     = 12 // of cipher.NewGCMWithRandomNonce, which puts it in front
	batchHead    = 1 + saltLen
	// batchMin makes the shortest token as long as secret scanners expect one to be.
	batchMin = 64
)

func (m *Manager) sealBatch(e *Entry) (redact.Secret, error) {
	head := make([]byte, batchHead, 512)
	head[0] = batchVersion
	if _, err := io.ReadFull(m.random, head[1:]); err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	aead, err := m.batchCipher(head)
	if err != nil {
		return redact.Secret{}, err
	}
	plain := appendString(nil, string(encodeEntry(e)))
	for len(plain) < batchMin {
		plain = append(plain, 0)
	}
	blob := aead.Seal(head, nil, plain, []byte{batchVersion}) //nolint:gosec // G407: the cipher makes a random nonce itself
	token := e.suffixed(base64.RawURLEncoding.AppendEncode([]byte(batchPrefix), blob))
	if len(token) > MaxLen {
		return redact.Secret{}, errs.Newf(errs.TooLarge,
			"a batch token of %d bytes is over the limit of %d: use fewer policies and metadata, or a service token", len(token), MaxLen)
	}
	return redact.New(token), nil
}

// openBatch is the inverse of sealBatch; blob is what follows the prefix.
func (m *Manager) openBatch(blob string) (*Entry, error) {
	blob, namespace, suffixed := strings.Cut(blob, ".")
	b, err := base64.RawURLEncoding.Strict().DecodeString(blob)
	// The decoder skips line breaks: with them one token would have many keys.
	if err != nil || strings.ContainsAny(blob, "\r\n") || len(b) < batchHead+nonceLen || b[0] != batchVersion {
		return nil, unauthenticated()
	}
	aead, err := m.batchCipher(b[:batchHead])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, b[batchHead:], []byte{batchVersion})
	if err != nil {
		return nil, unauthenticated()
	}
	r := reader{b: plain}
	entry := r.string()
	if r.bad {
		return nil, unauthenticated()
	}
	e, err := decodeEntry([]byte(entry))
	if err != nil || e.Type != Batch || e.Namespace != namespace || suffixed != (namespace != "") {
		return nil, unauthenticated()
	}
	return e, nil
}

func (m *Manager) batchCipher(head []byte) (cipher.AEAD, error) {
	mac := hmac.New(sha256.New, m.batchKey)
	mac.Write(head)
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		return nil, errs.Newf(errs.Internal, "keying a batch token: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "keying a batch token: %w", err)
	}
	return aead, nil
}

// openedBatches remembers entries of batch tokens by Key, which only the whole
// token gives: what was opened once need not be opened with every request. Times
// and parents are checked all the same. It forgets everything when it is full.
type openedBatches struct {
	entries atomic.Pointer[sync.Map] // Key to *Entry
	count   atomic.Int64
}

const maxOpened = 4096 // a few MiB

func (o *openedBatches) get(key string) *Entry {
	entries := o.entries.Load()
	if entries == nil {
		return nil
	}
	if v, ok := entries.Load(key); ok {
		return v.(*Entry)
	}
	return nil
}

func (o *openedBatches) put(e *Entry) {
	entries := o.entries.Load()
	if entries == nil || o.count.Add(1) > maxOpened {
		entries = new(sync.Map)
		o.count.Store(1)
		o.entries.Store(entries)
	}
	entries.Store(e.Key, e)
}

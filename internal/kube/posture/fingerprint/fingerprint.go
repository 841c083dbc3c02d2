package fingerprint

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Size is the length of a Print in bytes.
const Size = 16

// Print stands for a value. Prints of different keys are not compared.
type Print [Size]byte

// String is p in hexadecimal.
func (p Print) String() string { return hex.EncodeToString(p[:]) }

// MarshalText is String, as JSON has it.
func (p Print) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Print) UnmarshalText(text []byte) error {
	raw, err := hex.DecodeString(string(text))
	if err != nil || len(raw) != Size {
		return errs.New(errs.Invalid, fmt.Sprintf("a fingerprint has %d hexadecimal digits, and this is another text of %d characters", 2*Size, len(text)))
	}
	*p = Print(raw)
	return nil
}

// KeySize is the length of a key in bytes.
const KeySize = 32

// Key makes Prints. It may be used by any number of goroutines.
type Key struct {
	id   string
	macs sync.Pool // of hash.Hash, keyed
}

// NewKey makes a Key of KeySize random bytes.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) != KeySize {
		return nil, errs.New(errs.Invalid, fmt.Sprintf("a key of fingerprints has %d bytes, and this has %d", KeySize, len(secret)))
	}
	secret = append([]byte(nil), secret...)
	k := &Key{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
	// The name of the key must not be a print of any value: it has a byte in front
	// that no domain of values has.
	p := k.mac(domainName, nil)
	k.id = hex.EncodeToString(p[:8])
	return k, nil
}

// ID names the key, so that prints of two keys are not taken for comparable. It
// says nothing of the key.
func (k *Key) ID() string { return k.id }

// What a MAC is of; the first byte of its input.
const (
	domainName  = 0
	domainValue = 1
)

// Of is the Print of a value.
func (k *Key) Of(value []byte) Print { return k.mac(domainValue, value) }

func (k *Key) mac(domain byte, value []byte) Print {
	h := k.macs.Get().(hash.Hash)
	h.Reset()
	h.Write([]byte{domain})
	h.Write(value)
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	k.macs.Put(h)
	return Print(sum[:Size])
}

// Part is a Print of something in a value.
type Part struct {
	Print Print `json:"print"`
	// Where says what it is of the value: "" for all of it, else a path such as
	// "password", "/db/url#password", "base64".
	Where string `json:"where,omitempty"`
	// Secret says that it looks like a secret by itself, whatever the rest of the
	// value does: copies are found by such parts.
	Secret bool `json:"secret,omitempty"`
}

// Prints returns the Print of a value and those of its parts, each once. Weak
// ones, which many unrelated things have in common, are left out, and so the
// result may be empty.
func (k *Key) Prints(value []byte) []Part { return k.Read("", value, nil) }

// Read is Prints of a value that is known by the name key. look, unless it is nil, is
// called with all that Walk tells, so that a value is walked through once; it returns
// whether that looks like a secret.
func (k *Key) Read(key string, value []byte, look func(where, key string, part []byte) bool) []Part {
	var out []Part
	Walk(key, value, func(where, key string, part []byte) {
		secret := look != nil && look(where, key, part)
		if Weak(part) {
			return
		}
		p := k.Of(part)
		if !slices.ContainsFunc(out, func(o Part) bool { return o.Print == p }) {
			out = append(out, Part{p, where, secret})
		}
	})
	return out
}

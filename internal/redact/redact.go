package redact

import (
	"crypto/subtle"
	"fmt"
	"log/slog"
)

// Placeholder is what every secret prints as.
const Placeholder = "[redacted]"

// Secret is a value that must not be shown: a token, a key, a password. The
// zero value is empty. It is immutable by convention; copying it copies the
// reference, not the bytes.
//
// The bytes lie behind a function because fmt prints unexported fields of a
// struct by reflection, without calling any method, and even follows pointers
// for a verb that does not fit; of a function it can show only the address.
type Secret struct{ bytes func() []byte }

// New takes ownership of b: the caller must not change it afterwards.
func New(b []byte) Secret { return Secret{func() []byte { return b }} }

// FromString copies s.
func FromString(s string) Secret { return New([]byte(s)) }

// Reveal returns the bytes themselves. The caller must neither change nor log them.
func (s Secret) Reveal() []byte {
	if s.bytes == nil {
		return nil
	}
	return s.bytes()
}

// RevealString returns the bytes as a string.
func (s Secret) RevealString() string { return string(s.Reveal()) }

// Empty reports whether there is no value.
func (s Secret) Empty() bool { return len(s.Reveal()) == 0 }

// Len returns the length in bytes.
func (s Secret) Len() int { return len(s.Reveal()) }

// Equal compares in time that depends only on the lengths.
func (s Secret) Equal(o Secret) bool { return subtle.ConstantTimeCompare(s.Reveal(), o.Reveal()) == 1 }

// Wipe overwrites the bytes with zeros. Go's collector may have left copies
// elsewhere; this shortens the time a key lies in memory and promises no more.
func (s Secret) Wipe() { clear(s.Reveal()) }

// String returns Placeholder.
func (Secret) String() string { return Placeholder }

// GoString returns Placeholder.
func (Secret) GoString() string { return Placeholder }

// Format writes Placeholder for every verb, %x and %v of a struct included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Placeholder)) }

// MarshalText returns Placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(Placeholder), nil }

// MarshalJSON returns Placeholder as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Placeholder + `"`), nil }

// LogValue returns Placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(Placeholder) }

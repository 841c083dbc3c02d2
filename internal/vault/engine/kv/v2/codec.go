package v2

import (
	"encoding/binary"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Stored entries are a format byte followed by fields in a fixed order, made of
// uvarints and varints (encoding/binary), strings (uvarint length, bytes) and
// instants (varint Unix seconds, uvarint nanoseconds; 0, 0 is no instant).

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendInstant(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0, 0)
	}
	b = binary.AppendVarint(b, t.Unix())
	return binary.AppendUvarint(b, uint64(t.Nanosecond()))
}

// reader takes fields off an entry. The first that is not whole spoils all that
// follow, which are zero; done tells.
type reader struct {
	rest []byte
	size int
	bad  bool
}

func newReader(entry []byte) *reader { return &reader{rest: entry, size: len(entry)} }

func (r *reader) spoil() { r.bad, r.rest = true, nil }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.spoil()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.spoil()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) varint() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.spoil()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count reads how many items follow, each of which has at least size bytes: a
// damaged entry must not make us reserve memory for items that cannot be there.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/size) {
		r.spoil()
		return 0
	}
	return int(n)
}

func (r *reader) string() string {
	n := r.count(1)
	if r.bad {
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) instant() time.Time {
	sec, nsec := r.varint(), r.uvarint()
	if nsec >= 1e9 || sec < minInstant || sec > maxInstant {
		r.spoil()
	}
	if r.bad || sec == 0 && nsec == 0 {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// Instants lie in the years that RFC 3339 can write.
const (
	minInstant = -62135596800 // 0001-01-01
	maxInstant = 253402300799 // 9999-12-31
)

// done returns an error unless the entry was whole, of a format we know, and
// has nothing left over.
func (r *reader) done(what string) error {
	if r.bad || len(r.rest) != 0 {
		return errs.Newf(errs.Internal, "decoding %s: the stored entry of %d bytes is damaged or of a newer format", what, r.size)
	}
	return nil
}

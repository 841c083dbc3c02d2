package expiry

import (
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Prefix is the folder of the index. Its names must be stored so that List
// gives them in byte order: the sealed decorator leaves them as they are. They
// hold kinds, times and keyed hashes, nothing secret.
//
//	lease/due/<kind>/<seconds since 1970, 12 digits>-<id>   ->  version byte 1, attempts (uvarint)
const Prefix = "lease/due/"

const secondDigits = 12

// Ref is one thing that is due at some time.
type Ref struct {
	Kind string // of the handler: lower-case letters and "-"
	ID   string // unique within its kind; no slash; at most 400 bytes
	Due  time.Time
}

// Writer is the part of a transaction that Add and Remove need.
type Writer interface {
	Put(key string, value []byte)
	Delete(key string)
}

// Add makes ref due. Adding what is there already resets its attempts.
func Add(tx Writer, ref Ref) { tx.Put(ref.Key(), []byte{version, 0}) }

// Remove takes ref out of the index; ref must be as it was added. If it is
// being retried under a later time it stays there, and its handler, finding
// nothing to do, ends it.
func Remove(tx Writer, ref Ref) { tx.Delete(ref.Key()) }

// Key returns where ref stands in the store. The due time is rounded up to a
// second, so that nothing is handled early.
func (r Ref) Key() string { return Folder(r.Kind) + r.name() }

func (r Ref) name() string {
	seconds := strconv.FormatInt(max(ceilSecond(r.Due), 0), 10)
	pad := max(secondDigits-len(seconds), 0)
	return "000000000000"[:pad] + seconds + "-" + r.ID
}

func ceilSecond(t time.Time) int64 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return s
}

// Folder is where the index of one kind stands; its names are for Parse.
func Folder(kind string) string { return Prefix + kind + "/" }

// Parse reads a name in the folder of a kind. Kind Internal: it is none that Key made.
func Parse(kind, name string) (Ref, error) {
	seconds, id, ok := strings.Cut(name, "-")
	if !ok || len(seconds) != secondDigits || id == "" {
		return Ref{}, errs.Newf(errs.Internal, "the due index of kind %q holds a name that is not a time and an id", kind)
	}
	s, err := strconv.ParseUint(seconds, 10, 63)
	if err != nil {
		return Ref{}, errs.Newf(errs.Internal, "the due index of kind %q holds a name without a time", kind)
	}
	return Ref{Kind: kind, ID: id, Due: time.Unix(int64(s), 0).UTC()}, nil
}

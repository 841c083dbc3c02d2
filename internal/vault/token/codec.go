package token

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// An entry as stored, and within a batch token:
//
//	version byte 1
//	type byte, flags byte
//	strings: key accessor parent parentAccessor path mountID displayName role entityID
//	varints: created lastRenewal expires   (nanoseconds since 1970 UTC; 0 = zero time)
//	varints: ttl period maxTTL explicitMaxTTL   (nanoseconds)  numUses depth
//	lists:   policies, meta as name and value by turns (sorted by name), CIDRs as text
//	string:  namespace, only with its flag
//
// A string is its length as uvarint and its bytes; a list is its number of
// strings as uvarint and these. A later version may only be read by later code:
// decoding anything but version 1 is an error.
const entryVersion = 1

const (
	flagRenewable = 1 << iota
	flagOrphan
	flagHasChildren
	flagSevered
	flagNamespace
	flagAll = 1<<iota - 1
)

func encodeEntry(e *Entry) []byte {
	b := make([]byte, 0, 256)
	b = append(b, entryVersion, byte(e.Type), e.flags())
	for _, s := range []string{e.Key, e.Accessor, e.Parent, e.parentAccessor, e.Path, e.MountID, e.DisplayName, e.Role, e.EntityID} {
		b = appendString(b, s)
	}
	for _, t := range []time.Time{e.Created, e.LastRenewal, e.Expires} {
		b = binary.AppendVarint(b, nanos(t))
	}
	for _, d := range []time.Duration{e.TTL, e.Period, e.MaxTTL, e.ExplicitMaxTTL} {
		b = binary.AppendVarint(b, int64(d))
	}
	b = binary.AppendVarint(b, int64(e.NumUses))
	b = binary.AppendVarint(b, int64(e.depth))
	b = appendList(b, e.Policies)
	meta := make([]string, 0, 2*len(e.Meta))
	for _, name := range slices.Sorted(maps.Keys(e.Meta)) {
		meta = append(meta, name, e.Meta[name])
	}
	b = appendList(b, meta)
	cidrs := make([]string, len(e.BoundCIDRs))
	for i, p := range e.BoundCIDRs {
		cidrs[i] = p.String()
	}
	b = appendList(b, cidrs)
	if e.Namespace != "" {
		b = appendString(b, e.Namespace)
	}
	return b
}

func (e *Entry) flags() (f byte) {
	for i, set := range []bool{e.Renewable, e.Orphan, e.hasChildren, e.severed, e.Namespace != ""} {
		if set {
			f |= 1 << i
		}
	}
	return f
}

// decodeEntry is the inverse of encodeEntry. Its errors never quote the input.
func decodeEntry(b []byte) (*Entry, error) { //nolint:cyclop // a flat list of conditions
	if len(b) < 3 || b[0] != entryVersion {
		return nil, errs.New(errs.Internal, "a token entry is of a version this program does not know: was it written by a newer one?")
	}
	e := &Entry{Type: Type(b[1])}
	flags := b[2]
	r := reader{b: b[3:]}
	if flags&^flagAll != 0 || (e.Type != Service && e.Type != Batch) {
		r.bad = true
	}
	e.Renewable, e.Orphan = flags&flagRenewable != 0, flags&flagOrphan != 0
	e.hasChildren, e.severed = flags&flagHasChildren != 0, flags&flagSevered != 0
	for _, s := range []*string{&e.Key, &e.Accessor, &e.Parent, &e.parentAccessor, &e.Path, &e.MountID, &e.DisplayName, &e.Role, &e.EntityID} {
		*s = r.string()
	}
	for _, t := range []*time.Time{&e.Created, &e.LastRenewal, &e.Expires} {
		*t = fromNanos(r.varint())
	}
	for _, d := range []*time.Duration{&e.TTL, &e.Period, &e.MaxTTL, &e.ExplicitMaxTTL} {
		*d = time.Duration(r.varint())
	}
	e.NumUses = int(r.varint())
	e.depth = uint16(r.varint())
	e.Policies = r.list()
	e.Meta = r.pairs()
	e.BoundCIDRs = r.prefixes()
	if flags&flagNamespace != 0 {
		e.Namespace = r.string()
		r.bad = r.bad || e.Namespace == ""
	}
	if r.bad || len(r.b) != 0 {
		return nil, errs.New(errs.Internal, "a token entry is damaged")
	}
	return e, nil
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendList(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// reader takes values off the front of b; after the first bad one it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 || r.bad {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// length reads a uvarint that cannot be more than the bytes left.
func (r *reader) length() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || r.bad || v > uint64(len(r.b)-n) {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *reader) string() string {
	n := r.length()
	if r.bad {
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) list() []string {
	n := r.length()
	if n == 0 || r.bad {
		return nil
	}
	list := make([]string, 0, min(n, 64))
	for range n {
		s := r.string()
		if r.bad {
			return nil
		}
		list = append(list, s)
	}
	return list
}

// pairs reads a list of names and values by turns.
func (r *reader) pairs() map[string]string {
	list := r.list()
	if len(list)%2 != 0 {
		r.bad = true
	}
	if len(list) == 0 || r.bad {
		return nil
	}
	m := make(map[string]string, len(list)/2)
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

func (r *reader) prefixes() (out []netip.Prefix) {
	for _, text := range r.list() {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			r.bad = true
		}
		out = append(out, p)
	}
	return out
}

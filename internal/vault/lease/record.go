package lease

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Where leases lie. <short> is a hash of the lease's ID, so that names below
// "lease/", which are stored as they are, say nothing. Names below "leases/" are
// sealed like any other.
//
//	lease/id/<short>                          ->  Record
//	lease/due/lease-<mount ID>/<due>-<short>  ->  see expiry.Ref: one kind for each mount
//	lease/token/<token key>/<short>           ->  mark, while the lease lives
//	lease/holder/<token key>                  ->  mark, once the token asked for a lease, until it ends
//	lease/stuck/<mount ID>/<short>            ->  mark, while it is irrevocable
//	leases/<namespace ID>/<path>/<random>     ->  mark: finds leases by prefix
const (
	// RecordPrefix is the folder of the leases themselves.
	RecordPrefix = "lease/id/"

	idPrefix     = RecordPrefix
	tokenPrefix  = "lease/token/"
	holderPrefix = "lease/holder/"
	stuckPrefix  = "lease/stuck/"
	pathPrefix   = "leases/"
	kindPrefix   = "lease-"
)

const version = 1 // of what lies there

// Record is one lease as it is stored. Those that came out of a Manager are
// shared: never change one.
type Record struct {
	ID        string // "database/creds/readonly/<24 random>[.<namespace ID>]"
	MountID   string
	Namespace string         // ID
	Path      string         // below the mount, of the request that made it
	Role      string         // as the engine named it
	Internal  jsontext.Value // of the engine; may be secret

	Issued      time.Time
	Expires     time.Time
	LastRenewal time.Time     // zero: never renewed
	MaxTTL      time.Duration // from Issued; 0 = the mount's
	Until       time.Time     // end of the batch token that asked; zero = no such bound
	Renewable   bool

	// Who asked. Holder is the key of the token whose end ends the lease: the
	// one that asked, or the parent of a batch token; "" = none.
	Holder, Accessor, EntityID, DisplayName string

	Due         time.Time // when it is looked at next: at its end, or to try again
	Ending      bool      // revoked or expired, and not yet ended by its engine
	Irrevocable bool      // Config.Attempts times in vain
	Attempts    int       // to end it, that failed
	LastError   string    // of the latest; "" if there was none
}

// Live reports whether clients still have it.
func (r *Record) Live(now time.Time) bool { return !r.Ending && now.Before(r.Expires) }

func (r *Record) short() string { return short(r.ID) }

// short is 128 bits of SHA-256: an ID has 142 random ones, which nobody finds
// by trying. Who looks by it compares the ID that the record holds.
func short(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

func (r *Record) ref() expiry.Ref {
	return expiry.Ref{Kind: kindPrefix + r.MountID, ID: r.short(), Due: r.Due}
}

func (r *Record) pathKey() string { return folderKey(r.Namespace, r.ID) }

// folderKey is where the leases below path, which may be one, are listed.
func folderKey(namespace, path string) string {
	if namespace == "" {
		namespace = engine.RootNamespaceID
	}
	return pathPrefix + namespace + "/" + path
}

// leased is what the engine sees.
func (r *Record) leased(increment time.Duration) *engine.Leased {
	return &engine.Leased{
		ID: r.ID, Path: r.Path, Role: r.Role, Internal: bytes.Clone(r.Internal),
		Issued: r.Issued, Expires: r.Expires, Increment: increment,
	}
}

// put writes r and all that leads to it; add is for one that was not there.
func (r *Record) put(tx expiry.Writer) { tx.Put(idPrefix+r.short(), encodeRecord(r)) }

func (r *Record) add(tx expiry.Writer) {
	r.put(tx)
	expiry.Add(tx, r.ref())
	tx.Put(r.pathKey(), []byte{version})
	if r.Holder != "" {
		tx.Put(tokenPrefix+r.Holder+"/"+r.short(), []byte{version})
	}
}

// remove takes r and all that leads to it out of the store.
func (r *Record) remove(tx expiry.Writer) {
	tx.Delete(idPrefix + r.short())
	expiry.Remove(tx, r.ref())
	tx.Delete(r.pathKey())
	if r.Holder != "" {
		tx.Delete(tokenPrefix + r.Holder + "/" + r.short())
	}
	if r.Irrevocable {
		tx.Delete(stuckPrefix + r.MountID + "/" + r.short())
	}
}

// replace writes next where r was.
func (r *Record) replace(tx expiry.Writer, next *Record) {
	if r.ref().Key() != next.ref().Key() {
		expiry.Remove(tx, r.ref())
		expiry.Add(tx, next.ref())
	}
	if next.Irrevocable && !r.Irrevocable {
		tx.Put(stuckPrefix+r.MountID+"/"+r.short(), []byte{version})
	}
	next.put(tx)
}

// Reader is what looking up needs.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Tx is a transaction over the whole store.
type Tx interface {
	Reader
	expiry.Writer
}

// load returns the record with this short ID, nil if there is none.
func load(ctx context.Context, r Reader, short string) (*Record, error) {
	stored, err := r.Get(ctx, idPrefix+short)
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return store.Decode(stored, decodeRecord)
}

// A record as stored:
//
//	version byte 1, flags byte
//	strings: id mountID namespace path role internal holder accessor entityID displayName lastError
//	varints: issued expires lastRenewal until due (nanoseconds since 1970 UTC; 0 = zero time)  maxTTL attempts
//
// A string is its length as uvarint and its bytes.
const (
	flagRenewable = 1 << iota
	flagEnding
	flagIrrevocable
	flagAll = 1<<iota - 1
)

func (r *Record) strings(internal *string) []*string {
	return []*string{
		&r.ID, &r.MountID, &r.Namespace, &r.Path, &r.Role, internal,
		&r.Holder, &r.Accessor, &r.EntityID, &r.DisplayName, &r.LastError,
	}
}

func (r *Record) times() []*time.Time {
	return []*time.Time{&r.Issued, &r.Expires, &r.LastRenewal, &r.Until, &r.Due}
}

func encodeRecord(r *Record) []byte {
	internal := string(r.Internal)
	b := make([]byte, 0, 256+len(internal)+len(r.ID))
	b = append(b, version, 0)
	for i, set := range []bool{r.Renewable, r.Ending, r.Irrevocable} {
		if set {
			b[1] |= 1 << i
		}
	}
	for _, s := range r.strings(&internal) {
		b = append(binary.AppendUvarint(b, uint64(len(*s))), *s...)
	}
	for _, t := range r.times() {
		n := int64(0)
		if !t.IsZero() {
			n = t.UnixNano()
		}
		b = binary.AppendVarint(b, n)
	}
	return binary.AppendVarint(binary.AppendVarint(b, int64(r.MaxTTL)), int64(r.Attempts))
}

// decodeRecord is the inverse of encodeRecord. Its errors never quote the input.
func decodeRecord(b []byte) (*Record, error) { //nolint:cyclop // a flat list of conditions
	if len(b) < 2 || b[0] != version {
		return nil, errs.New(errs.Internal, "a lease is of a version this program does not know: was it written by a newer one?")
	}
	r, in, internal := new(Record), bytes.NewReader(b[2:]), ""
	r.Renewable, r.Ending, r.Irrevocable = b[1]&flagRenewable != 0, b[1]&flagEnding != 0, b[1]&flagIrrevocable != 0
	ok := b[1]&^flagAll == 0
	for _, s := range r.strings(&internal) {
		n, err := binary.ReadUvarint(in)
		if err != nil || n > uint64(in.Len()) {
			return nil, errDamaged()
		}
		text := make([]byte, n)
		_, _ = in.Read(text) // there are n bytes left
		*s = string(text)
	}
	if internal != "" {
		r.Internal = jsontext.Value(internal)
	}
	var numbers [7]int64
	for i := range numbers {
		n, err := binary.ReadVarint(in)
		ok = ok && err == nil
		numbers[i] = n
	}
	if !ok || in.Len() != 0 || numbers[6] < 0 {
		return nil, errDamaged()
	}
	for i, t := range r.times() {
		if numbers[i] != 0 {
			*t = time.Unix(0, numbers[i]).UTC()
		}
	}
	r.MaxTTL, r.Attempts = time.Duration(numbers[5]), int(numbers[6])
	return r, nil
}

func errDamaged() error { return errs.New(errs.Internal, "the record of a lease is damaged") }

// MountOf returns the ID of the mount whose lease is written or ended where key, of the index of what
// is due, changes; false: key is none of a lease.
func MountOf(key string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(key, expiry.Prefix+kindPrefix)
	if !ok {
		return "", false
	}
	id, _, ok = strings.Cut(rest, "/")
	return id, ok
}

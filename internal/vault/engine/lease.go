package engine

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Lease of a secret. Without Tracked it only informs the client of a TTL. With
// it the core gives it an ID, stores it in the request's own transaction and
// has the engine, which must be a Leaser, end it when it is due.
type Lease struct {
	TTL       time.Duration // 0 = the mount's default; capped by MaxTTL and the mount's maximum
	MaxTTL    time.Duration // counted from the first issue; 0 = the mount's
	Renewable bool
	Tracked   bool
	// Internal is what RevokeLease and RenewLease need: a JSON object, sealed in
	// the store and shown to nobody. It may hold secrets, yet better holds none.
	Internal jsontext.Value
	// Role is the role it was made with, for "who made all these"; may be empty.
	Role string

	ID string // filled by the core; "" = not tracked
}

// Leased is a tracked lease as its engine sees it again.
type Leased struct {
	ID        string
	Path      string // below the mount, of the request that made it: "creds/readonly"
	Role      string
	Internal  jsontext.Value
	Issued    time.Time
	Expires   time.Time
	Increment time.Duration // RenewLease only: what the client asked for; 0 = nothing
}

// Leaser is an engine that gives tracked leases.
type Leaser interface {
	// RenewLease returns how long the lease goes on from now, by the role as it
	// is today; the core caps it as at issue. It must be safe to run twice. An
	// error refuses the renewal and changes nothing.
	RenewLease(ctx context.Context, tx Tx, l *Leased) (*Lease, error)
	// RevokeLease ends what the lease stands for. It is called after expiry,
	// revocation, the end of the token that asked, or a failed After; perhaps
	// several times for one lease and perhaps although what it stands for was
	// never made: what is not there is success. After an error it is called
	// again, with growing pauses.
	RevokeLease(ctx context.Context, tx Tx, l *Leased) error
}

// Unmade marks an error of Response.After: what the lease stands for was surely not
// made, in no part. The core then forgets the lease, and RevokeLease is not
// called: it could fail for ever, or end what is somebody else's. Unmade(nil) is nil.
func Unmade(err error) error {
	if err == nil {
		return nil
	}
	return &unmade{err}
}

// IsUnmade reports whether err, or what it wraps, is marked by Unmade.
func IsUnmade(err error) bool {
	var u *unmade
	return errors.As(err, &u)
}

type unmade struct{ err error }

func (u *unmade) Error() string { return u.err.Error() }
func (u *unmade) Unwrap() error { return u.err }

// Worker is an engine with work of its own to do: rotating, tidying.
type Worker interface {
	// Work does what is due now and returns when to be called next; the zero
	// time: not before Config.Wake. It is called soon after the mount is
	// running, never twice at once for one mount, and only on the node that
	// leads; it reads and writes by Config.Duty. After an error it is called
	// again, with growing pauses. It must find what is due without reading all
	// there is.
	Work(ctx context.Context) (next time.Time, err error)
}

// Namespace is where in the tree of tenants a request or mount is.
type Namespace struct {
	ID   string // "root", or five characters of base62
	Path string // "" for the root, otherwise "team-a/" or "team-a/dev/"
}

// RootNamespaceID is the ID of the namespace that holds all others.
const RootNamespaceID = "root"

// Folder is where the engines that serve every namespace keep what belongs to n,
// below which they have the same layout as the root namespace, whose folder is
// "". It is deleted with the namespace.
func (n Namespace) Folder() string {
	if n.Root() {
		return ""
	}
	return NamespaceFolder + n.ID + "/"
}

// NamespaceFolder holds the folders of all namespaces but the root.
const NamespaceFolder = "ns/"

// Root reports whether this is the root namespace. The zero value is, too.
func (n Namespace) Root() bool { return n.Path == "" }

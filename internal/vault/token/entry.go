package token

import (
	"net/netip"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
)

// Type says how a token is kept.
type Type uint8

// The types. A service token lies in the store; a batch token is its own record.
const (
	Service Type = iota + 1
	Batch
)

// String returns "service" or "batch".
func (t Type) String() string {
	switch t {
	case Service:
		return "service"
	case Batch:
		return "batch"
	}
	return "unknown"
}

// spent is NumUses of a token whose last use is under way. 0 is unlimited.
const spent = -1

// Entry is what the vault knows of a token. It is shared between requests:
// never change one that came out of a Manager.
type Entry struct {
	Key         string // keyed hash of the token: stable for its life, safe within a storage key
	Accessor    string // "" for batch tokens
	Parent      string // Key of the parent; "" = none
	Namespace   string // ID of the one it belongs to, and with which its token and accessor end; "" = the root
	Type        Type
	Policies    []string // sorted, lower case
	Path        string   // of the request that made it, e.g. "auth/kubernetes/login"
	MountID     string   // of the auth method; "" for tokens the vault made itself
	DisplayName string
	Meta        map[string]string
	Role        string // token role it was made with
	EntityID    string

	Created        time.Time
	LastRenewal    time.Time     // zero: never renewed
	Expires        time.Time     // zero: never
	TTL            time.Duration // as created; 0 with a zero Expires
	Period         time.Duration // > 0: each renewal sets this TTL, without end
	MaxTTL         time.Duration // of the role, counted from Created; 0 = the mount's
	ExplicitMaxTTL time.Duration // counted from Created; 0 = none

	NumUses    int // left; 0 = unlimited, -1 = the last use is under way
	Renewable  bool
	Orphan     bool // has no parent, or outlived it
	BoundCIDRs []netip.Prefix

	// parentAccessor tells the parent from a later token with the same id.
	parentAccessor string
	depth          uint16 // tokens above it, when it was made
	hasChildren    bool   // some token was made below it
	severed        bool   // revoked, but its children live on as orphans
}

// Root reports whether the token may do everything.
func (e *Entry) Root() bool { return e.Namespace == "" && slices.Contains(e.Policies, grant.Root) }

// Wrapping reports whether the token was made to hold a wrapped answer.
func (e *Entry) Wrapping() bool { return len(e.Policies) == 1 && e.Policies[0] == grant.Wrapping }

// Spent reports whether the last of its uses is under way.
func (e *Entry) Spent() bool { return e.NumUses == spent }

// Remaining returns how long the token has to live at now; 0 if it never ends
// or has ended.
func (e *Entry) Remaining(now time.Time) time.Duration {
	if e.Expires.IsZero() {
		return 0
	}
	return max(e.Expires.Sub(now), 0)
}

// AllowsAddr reports whether the token may be used from addr. Without bound
// CIDRs every address will do; with them the zero Addr will not.
func (e *Entry) AllowsAddr(addr netip.Addr) bool {
	if len(e.BoundCIDRs) == 0 {
		return true
	}
	addr = addr.Unmap()
	return slices.ContainsFunc(e.BoundCIDRs, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func (e *Entry) expired(now time.Time) bool {
	return !e.Expires.IsZero() && !now.Before(e.Expires)
}

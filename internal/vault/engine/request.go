package engine

import (
	"context"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Request is what a handler gets. It is not changed after the gate made it,
// except that the gate decides between Create and Update.
type Request struct {
	ID        string // UUID, the same in the answer and both audit lines
	Operation Operation
	Namespace Namespace
	Mount     string            // "secret/": where the engine is mounted, within Namespace
	Path      string            // below the mount, as the client sent it; no leading slash; LIST paths keep their trailing one
	Params    map[string]string // what {name} stood for in the route's pattern
	Body      Body
	Caller    Caller
	Remote    netip.Addr          // the client's address; the zero Addr inside the process
	Headers   map[string][]string // only those the mount passes through
	// Certificates is the chain that the client presented in TLS, leaf first. The
	// client has proved that it holds the leaf's key, and nothing else is checked.
	Certificates []*x509.Certificate
	Time         time.Time     // when the request came, UTC; the same in every run of the handler
	Token        redact.Secret // the caller's own token: set for the token method, whose answers hold it, and for routes that say Wrapping
	WrapTTL      time.Duration // how long the answer is to be wrapped for; 0 = not at all. Wrapping it is the gate's work
}

// Caller is who asks. It never holds the token itself.
type Caller struct {
	TokenKey    string // keyed hash of the token: stable for its life, safe as part of a storage key; "" if unauthenticated
	Accessor    string
	DisplayName string
	EntityID    string
	Namespace   Namespace // of the token, which may be above that of the request
	Policies    []string
	Metadata    map[string]string
	Root        bool // holds the root policy
	Sudo        bool // policy grants sudo on this path
}

// Response is what a handler gives back. Handlers fill what applies.
type Response struct {
	Data  jsontext.Value // a JSON object; nil = none
	Auth  *Auth          // a login succeeded: the gate makes the token in the same transaction
	Lease *Lease         // the data is leased; KV v1 uses only its TTL
	// After, if not nil, is called once, when the transaction is committed and
	// before the answer is given: it does what no rollback can undo, such as
	// making a user in a database. If it fails, its error is the answer, and the
	// lease of the response is revoked, at once if that works and otherwise as
	// soon as it does; it is forgotten if the error is Unmade. What After must never lose the transaction has stored. It
	// must not change the response, which may be wrapped by then; a wrapped
	// response is given to nobody if it fails.
	After    func(ctx context.Context) error `json:"-"`
	Warnings []string
	Status   int      // 0 = by the rules of the wire; otherwise sent with the full envelope
	Raw      *Raw     // sent as it is, without an envelope
	TopLevel bool     // repeat every key of Data beside it (some sys/ routes)
	Wrapped  *Wrapped // the answer is kept for whoever holds this token; nothing else is set then
}

// Wrapped stands in the place of a wrapped answer (facts §2.10).
type Wrapped struct {
	Token           redact.Secret // of one use
	Accessor        string
	TTL             time.Duration
	Created         time.Time
	CreationPath    string // of the request whose answer is wrapped
	WrappedAccessor string // of the token within a wrapped login; "" = it is none
}

// Raw is an answer without an envelope.
type Raw struct {
	Status      int
	ContentType string
	Body        []byte
}

// TokenType is service, batch or the mount's default.
type TokenType uint8

// Token types as they appear in token_type.
const (
	TokenDefault TokenType = iota
	TokenService
	TokenBatch
)

// String returns "default", "service" or "batch".
func (t TokenType) String() string {
	switch t {
	case TokenService:
		return "service"
	case TokenBatch:
		return "batch"
	}
	return "default"
}

// TokenParams are the token_* fields that roles of every auth method share.
type TokenParams struct {
	TTL             time.Duration // 0 = the mount's default
	MaxTTL          time.Duration // 0 = the mount's maximum
	ExplicitMaxTTL  time.Duration // 0 = none
	Period          time.Duration // 0 = not periodic
	NumUses         int           // 0 = unlimited
	Type            TokenType
	Policies        []string
	NoDefaultPolicy bool
	BoundCIDRs      []netip.Prefix
}

// Auth is who logged in and what token they are to get; after the gate has
// made the token, Issued holds it.
type Auth struct {
	DisplayName string            // without the mount's prefix
	Metadata    map[string]string // shown in lookups and audit
	Alias       string            // the name this identity has in the auth method, for entities; "" = it has none
	AliasMeta   map[string]string // kept with the alias, for templated policies
	Groups      []string          // names of external groups it is in, as the auth method knows them; from Renew, nil = as before
	// Ephemeral: the name in Alias never comes back once its bearer is gone, as the
	// UID of a ServiceAccount. The entity is collected when it is of no use any more.
	Ephemeral bool
	// Origin is what an ephemeral identity is the present incarnation of, for
	// example namespace and name of a ServiceAccount; "" = nothing. A login by one
	// incarnation ends the one before.
	Origin string
	// KnownOnly: no entity is made, and none is changed, by this login.
	KnownOnly bool
	Params    TokenParams
	Renewable bool
	Orphan    bool   // true for all logins
	Parent    string // TokenKey of the parent; only auth/token sets it
	Role      string // token role it was made with, "" if none
	// Certificates is set for a Renewer alone: what the client showed that asks for
	// the renewal; see Request.Certificates.
	Certificates []*x509.Certificate `json:"-"`
	Issued       *Issued
}

// Issued is the token the gate made.
type Issued struct {
	ClientToken   string // the secret; the wire and the audit log's HMAC are its only readers
	Accessor      string
	Policies      []string // what the token may use, sorted
	TokenPolicies []string
	// IdentityPolicies are those the entity and its groups add; they are part of Policies.
	IdentityPolicies []string
	EntityID         string
	TTL              time.Duration
	Renewable        bool
	Type             TokenType
	Orphan           bool
	NumUses          int
}

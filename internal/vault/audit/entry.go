package audit

import (
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Type says which half of an exchange an Entry tells of.
type Type uint8

// The types of entries.
const (
	TypeRequest  Type = iota + 1 // before the engine is asked
	TypeResponse                 // before the answer leaves
)

// String returns "request" or "response", as in the line.
func (t Type) String() string {
	if t == TypeResponse {
		return "response"
	}
	return "request"
}

// Entry is what one line says. Append reads it before it returns and keeps
// nothing of it; it may be reused then. Fields that are zero are left out of
// the line. Secret holds what only the line's hashes may show; everything
// called Data is hashed too.
type Entry struct {
	Type     Type
	Time     time.Time // written in UTC, RFC 3339 with nanoseconds
	Auth     *Auth     // who asks
	Request  *Request
	Response *Response // nil in request lines
	Error    string    // the error's text, which by the rules of package errs holds no secret; written as it is
	// Shared, if not nil, spares making Auth and Request again for the second
	// line of an exchange.
	Shared *Shared
}

// Shared keeps what both lines of an exchange say alike, as the first line has
// it. Both entries are given the same one, zero at first, and their Auth and
// Request must be equal: the second line repeats the first one's. It serves one
// device; lines for others are made in full. It is not for concurrent use.
type Shared struct {
	of   *encoder // whose form text has; nil = nothing is kept yet
	text []byte   // hashed like the line it is from
	// token and access stand in text there.
	token, access seen
}

// keepText is the largest buffer kept for the next exchange, in bytes.
const keepText = 64 << 10

// Reset makes s as good as new, for another exchange, and keeps its memory
// unless that is much.
func (s *Shared) Reset() {
	s.of, s.token, s.access = nil, seen{}, seen{}
	if cap(s.text) > keepText {
		s.text = nil
	}
}

// Secret is a token in the clear. It prints as redact.Placeholder.
type Secret string

// Format writes redact.Placeholder for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redact.Placeholder)) }

// MarshalText returns redact.Placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(redact.Placeholder), nil }

// Auth is a token: the one that asks (Entry.Auth) or the one that was given
// (Response.Auth).
type Auth struct {
	ClientToken      Secret // hashed
	Accessor         string // hashed unless the device has hmac_accessor=false
	DisplayName      string
	Policies         []string
	TokenPolicies    []string
	IdentityPolicies []string
	NoDefaultPolicy  bool
	PolicyResults    *PolicyResults // only in Entry.Auth
	Metadata         map[string]string
	NumUses          int
	RemainingUses    int
	EntityID         string
	EntityCreated    bool
	TokenType        string        // "service" or "batch"
	TokenTTL         time.Duration // written in whole seconds
	TokenIssueTime   time.Time
}

// PolicyResults says whether policy allowed the request and by which policies.
type PolicyResults struct {
	Allowed          bool
	GrantingPolicies []Policy
}

// Policy is one policy that granted the request.
type Policy struct {
	Name          string
	NamespaceID   string
	NamespacePath string
	Type          string // "acl", "rgp", "egp"; "" for root
}

// Namespace is where the request happened; the root has ID "root" and no path.
type Namespace struct {
	ID   string
	Path string
}

// Mount is what the request was routed to.
type Mount struct {
	Point    string // "secret/"
	Type     string // "kv"
	Accessor string // of the mount, not of a token: never hashed
	Class    string // "secret", "auth" or "system"
	Version  string // running version of the engine
}

// Request is what was asked.
type Request struct {
	ID                  string
	ClientID            string
	Operation           string // "read", "create", ...
	Mount               Mount
	ClientToken         Secret // hashed
	ClientTokenAccessor string // hashed unless the device has hmac_accessor=false
	Namespace           Namespace
	Path                string         // with the mount: "secret/data/my-app"
	Data                jsontext.Value // every string in it is hashed; object names are not
	RemoteAddress       string
	RemotePort          int
	WrapTTL             time.Duration // written in whole seconds
	Headers             []Header      // those the operator asked for; no others
	CertificateSerial   string        // of the client's certificate
	// NonHMACKeys names object members of Data, at any depth, whose strings
	// (and strings in lists directly below) are written as they are: the
	// mount's audit_non_hmac_request_keys.
	NonHMACKeys []string
}

// Header is one header of the request or the answer.
type Header struct {
	Name   string
	Values []string
	HMAC   bool // hash the values
}

// Response is what was answered.
type Response struct {
	Auth        *Auth // a token was given
	Mount       Mount
	LeaseID     string
	Data        jsontext.Value // every string in it is hashed; object names are not
	Raw         *Raw           // an answer without an envelope; Data is not written then
	Warnings    []string
	Redirect    string
	WrapInfo    *WrapInfo
	Headers     []Header
	NonHMACKeys []string // as in Request, of the mount's audit_non_hmac_response_keys
}

// Raw is an answer that is not JSON data of ours. Its body is only ever hashed,
// also by a device with log_raw=true.
type Raw struct {
	Status      int
	ContentType string
	Body        []byte
}

// WrapInfo tells of a wrapping token in the answer.
type WrapInfo struct {
	TTL             time.Duration // written in whole seconds
	Token           Secret        // hashed
	Accessor        string        // hashed unless the device has hmac_accessor=false
	WrappedAccessor string        // likewise
	CreationTime    time.Time
	CreationPath    string
}

// Format writes which entry it is and nothing of what it holds.
func (e Entry) Format(f fmt.State, _ rune) {
	id := ""
	if e.Request != nil {
		id = e.Request.ID
	}
	_, _ = fmt.Fprintf(f, "audit entry (%s %s)", e.Type, id)
}

// Format writes which request it is and nothing of what it holds.
func (r Request) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "audited request (%s)", r.ID)
}

// Format writes nothing of what the response holds.
func (Response) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("audited response")) }

// Format writes nothing of what the body holds.
func (r Raw) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "raw body (%d bytes)", len(r.Body)) }

package gate

import (
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
)

// Request is one call as the wire decoded it. The caller is part of it; the
// context carries only cancellation.
type Request struct {
	ID        string           // UUID; appears in the answer and in both audit lines
	Operation engine.Operation // a POST or PUT arrives as Update; the gate tells Create from it
	Path      string           // without "v1/"; a List's path ends in "/"
	Namespace string           // as sent, without slashes at its ends; "" or "root" = root
	Token     redact.Secret    // empty = none
	Body      engine.Body
	Remote    netip.AddrPort
	// Certificates is the chain the client showed in TLS, leaf first; see engine.Request.
	Certificates []*x509.Certificate
	Headers      map[string][]string // canonical names; only what a mount passes through reaches an engine
	WrapTTL      time.Duration       // 0 = no response wrapping asked for
	Time         time.Time           // when it came, UTC
	Rate         quota.Verdict       // set by Handle: what the rate limits said
	// Known is called when the token was found, with the entity behind it, "" if it has none; nil = not.
	Known func(entityID string)

	// Indexes are what the client has been shown by any node: the answer is made of a state at
	// least as new, waited for unless Impatient. Index is set by Handle: what it has been shown
	// with the answer; "" where one node is all there is.
	Indexes   []string
	Impatient bool
	Index     string
}

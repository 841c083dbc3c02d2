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
}

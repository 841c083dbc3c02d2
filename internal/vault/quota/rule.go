package quota

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Kind is what a rule bounds; it is part of its path below sys/quotas/.
type Kind string

// The kinds.
const (
	RateLimit  Kind = "rate-limit"
	LeaseCount Kind = "lease-count"
)

// Rule is one quota as it is stored.
type Rule struct {
	Kind Kind   `json:"-"`
	Name string `json:"-"`
	// Path is full, from the root namespace: "" for all, "team/" for a namespace,
	// "team/database/" for a mount, "database/creds/app" or "database/creds/*"
	// for what is below one.
	Path string `json:"path,omitempty"`
	// Role narrows a rule of an auth mount to logins with this role, and one of
	// leases to those of this role. "" = any.
	Role        string `json:"role,omitempty"`
	Inheritable bool   `json:"inheritable,omitempty"` // a rule of a namespace holds below it too

	Rate     float64       `json:"rate,omitempty"`           // requests in each Interval
	Interval time.Duration `json:"interval,omitempty"`       // of rate limits; a second or more
	Block    time.Duration `json:"block_interval,omitempty"` // who exceeded is refused for so long

	MaxLeases int64 `json:"max_leases,omitempty"`
}

// Bounds of a rule.
const (
	maxName     = 128
	maxPath     = 1024
	maxInterval = 24 * time.Hour
)

// Check returns Invalid unless the rule makes sense by itself.
func (r *Rule) Check() error { //nolint:cyclop // a flat list of conditions
	switch {
	case r.Name == "" || len(r.Name) > maxName || strings.ContainsFunc(r.Name, func(c rune) bool { return c <= ' ' || c == '/' || c == 0x7f }):
		return errs.Newf(errs.Invalid, "the name of a quota is 1 to %d printable characters without blanks and slashes", maxName)
	case len(r.Path) > maxPath || strings.HasPrefix(r.Path, "/"):
		return errs.New(errs.Invalid, `field "path" must be a namespace, a mount or a path below one, without a slash in front`)
	case strings.Contains(strings.TrimSuffix(r.Path, "*"), "*"):
		return errs.New(errs.Invalid, `field "path" may hold "*" only at its end`)
	case r.Role != "" && r.Path == "":
		return errs.New(errs.Invalid, `field "role" needs "path" to name the mount of the role`)
	case r.Kind == LeaseCount && r.MaxLeases <= 0:
		return errs.New(errs.Invalid, `field "max_leases" must be greater than 0`)
	case r.Kind == LeaseCount:
		return nil
	case !(r.Rate > 0) || math.IsInf(r.Rate, 0) || r.Rate > 1e9:
		return errs.New(errs.Invalid, `field "rate" must be greater than 0 and at most a billion`)
	case r.Interval < time.Second || r.Interval > maxInterval:
		return errs.New(errs.Invalid, `field "interval" must be from 1s to 24h`)
	case r.Block < 0 || r.Block > maxInterval:
		return errs.New(errs.Invalid, `field "block_interval" must be from 0 to 24h`)
	}
	return nil
}

// Target is a request, or a lease, as rules see it.
type Target struct {
	Namespace string // path: "" or "team/"
	Mount     string // within the namespace: "database/"; "" = the request is below none
	Path      string // within the namespace: "database/creds/app"
	Role      string
}

// How special a rule is.
const (
	fitsNot = iota
	fitsAll
	fitsNamespace
	fitsMount
	fitsGlob
	fitsPath
	fitsRole
)

// fits says how special the rule is for t. Without a mount only rules for all
// hold, and those of its namespace.
func (r *Rule) fits(t *Target) int { //nolint:cyclop // a flat list of conditions
	full := t.Namespace + t.Path
	fit := fitsNot
	switch {
	case r.Path == "":
		fit = fitsAll
	case r.Path == t.Namespace, r.Inheritable && strings.HasSuffix(r.Path, "/") && strings.HasPrefix(t.Namespace, r.Path):
		fit = fitsNamespace
	case t.Mount == "":
	case r.Path == t.Namespace+t.Mount:
		fit = fitsMount
	case strings.HasSuffix(r.Path, "*") && strings.HasPrefix(full, r.Path[:len(r.Path)-1]):
		fit = fitsGlob
	case r.Path == full:
		fit = fitsPath
	}
	if fit == fitsNot || r.Role == "" {
		return fit
	}
	if r.Role != t.Role {
		return fitsNot
	}
	return fitsRole
}

// covers reports whether the rule fits anything of a mount.
func (r *Rule) covers(ns, mount string) bool {
	full := ns + mount
	switch {
	case r.Path == "", r.Path == ns, strings.HasPrefix(r.Path, full):
		return true
	case strings.HasSuffix(r.Path, "*"):
		return strings.HasPrefix(full, r.Path[:len(r.Path)-1])
	}
	return r.Inheritable && strings.HasSuffix(r.Path, "/") && strings.HasPrefix(ns, r.Path)
}

func (r *Rule) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // a checked rule always encodes
	}
	return b
}

func decodeRule(kind Kind, name string, b []byte) (*Rule, error) {
	r := &Rule{Kind: kind, Name: name}
	if err := json.Unmarshal(b, r); err != nil {
		return nil, errs.Newf(errs.Internal, "the stored %s quota %q is damaged", kind, name)
	}
	if err := r.Check(); err != nil {
		return nil, errs.Newf(errs.Internal, "the stored %s quota %q: %w", kind, name, err)
	}
	return r, nil
}

// Settings are sys/quotas/config.
type Settings struct {
	// AuditRefused has requests over a rate limit audited.
	AuditRefused bool `json:"enable_rate_limit_audit_logging"`
	// Headers has every answer say what is left.
	Headers bool `json:"enable_rate_limit_response_headers"`
	// Exempt are path prefixes that no rate limit holds for, from the root namespace.
	Exempt []string `json:"rate_limit_exempt_paths"`
}

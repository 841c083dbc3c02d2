package token

import (
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Lifetime is the question how long a token lives from now. In every duration 0
// means "not set", except Default and Max, which are the mount's and always are.
type Lifetime struct {
	Now, Created time.Time // equal when the token is made

	Increment      time.Duration // asked for by the client
	TTL            time.Duration // of the role or as first given
	Period         time.Duration // each renewal gives this, without end
	MaxTTL         time.Duration // of the role, from Created
	ExplicitMaxTTL time.Duration // from Created; binds periodic tokens too
	Default, Max   time.Duration // the mount's
}

// maxLife keeps every time within what the entry's encoding can hold.
const maxLife = 100 * 365 * 24 * time.Hour

// Resolve returns the time to live from Now and what the client should know of
// it. Kind Invalid: the longest life is over. All durations are cut to seconds,
// which is what clients see.
func (l Lifetime) Resolve() (ttl time.Duration, warnings []string, err error) {
	limit := l.limit()
	switch {
	case l.Period > 0:
		ttl = l.Period
		if l.Max > 0 && ttl > l.Max {
			warnings = append(warnings, fmt.Sprintf(
				"period of %q exceeded the effective max_ttl of %q; period value is capped accordingly", ttl, l.Max))
			ttl = l.Max
		}
	case l.Increment > 0:
		ttl = l.Increment
	case l.TTL > 0:
		ttl = l.TTL
	default:
		ttl = l.Default
	}
	ttl = ttl.Truncate(time.Second)
	if limit > 0 {
		left := l.Created.Add(limit).Sub(l.Now).Truncate(time.Second)
		if left <= 0 {
			return 0, nil, errs.New(errs.Invalid, "past the max TTL, cannot renew: log in again")
		}
		if ttl > left {
			warnings = append(warnings, fmt.Sprintf(
				"TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", ttl, limit))
			ttl = left
		}
	}
	if ttl > maxLife {
		return 0, nil, errs.New(errs.Invalid, "the TTL is more than a hundred years")
	}
	if ttl <= 0 {
		return 0, nil, errs.New(errs.Invalid, "the TTL is less than a second")
	}
	return ttl, warnings, nil
}

// limit returns the longest life from Created, 0 for none.
func (l Lifetime) limit() time.Duration {
	if l.Period > 0 {
		return l.ExplicitMaxTTL
	}
	limit := l.Max
	for _, d := range []time.Duration{l.MaxTTL, l.ExplicitMaxTTL} {
		if d > 0 && (limit <= 0 || d < limit) {
			limit = d
		}
	}
	return limit
}

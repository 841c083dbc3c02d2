package token

import (
	"net/netip"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	core "github.com/strongkeep/strongkeep/internal/vault/token"
)

// bound is where a token may be used from: where its role says, and a child
// nowhere else than its parent, so that nobody gets rid of a binding by having
// another token made. An orphan stands alone: who may make one decides. Kind
// Invalid: there is no address left.
func (r *role) bound(creator *core.Entry, orphan bool) ([]netip.Prefix, error) {
	p, err := r.Engine()
	if err != nil || orphan || len(creator.BoundCIDRs) == 0 {
		return p.BoundCIDRs, err
	}
	if len(p.BoundCIDRs) == 0 {
		return slices.Clone(creator.BoundCIDRs), nil
	}
	both := overlap(creator.BoundCIDRs, p.BoundCIDRs)
	if len(both) == 0 {
		return nil, errs.Newf(errs.Invalid, "the token_bound_cidrs of role %q lie outside of those that the creating token is bound to, and a child can be used from nowhere else: "+
			"create the token by one that is not bound, or as an orphan", r.Name)
	}
	return both, nil
}

// overlap returns the networks that lie both in one of a and in one of b, sorted.
func overlap(a, b []netip.Prefix) []netip.Prefix {
	var both []netip.Prefix
	for _, one := range a {
		for _, other := range b {
			switch {
			case !one.Overlaps(other):
			case one.Bits() >= other.Bits():
				both = append(both, one)
			default:
				both = append(both, other)
			}
		}
	}
	slices.SortFunc(both, netip.Prefix.Compare)
	return slices.Compact(both)
}

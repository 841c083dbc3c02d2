package check

import (
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/history"
	"github.com/strongkeep/strongkeep/test/chaos/target"
)

// slewed is by how much two seconds of the wall clock may be shorter than two of the harness.
const slewed = 5 * time.Millisecond

// leases finds what is wrong with one lease: an account that is left behind, that ended too early, or that
// was acknowledged and is not there.
func leases(ops []history.Op, cfg Config) []Violation {
	var found []Violation
	first := func(kind history.Kind) int {
		return slices.IndexFunc(ops, func(o history.Op) bool { return done(o, kind) })
	}
	until := func(kind history.Kind, when time.Duration) bool {
		i := first(kind)
		return i >= 0 && ops[i].Return <= when
	}
	if !cfg.Cut && left(ops) {
		found = append(found, Violation{LeaseOver, ops, "the account is still there at the end"})
	}
	for _, o := range ops {
		switch {
		case done(o, history.Lease) && !until(history.Made, o.Return):
			found = append(found, Violation{LeaseHeld, ops, "the lease was acknowledged before there was an account"})
		case done(o, history.Lease) && until(history.Ended, o.Call+target.TTL-slewed) && !askedBefore(ops, ops[first(history.Ended)]):
			found = append(found, Violation{LeaseHeld, ops, "the account ended before its time, and nobody had asked for that"})
		case done(o, history.End) && !until(history.Ended, o.Return):
			found = append(found, Violation{LeaseOver, ops, "the end was acknowledged while the account was there"})
		}
	}
	return found
}

// left reports whether an account was made, and not ended since.
func left(ops []history.Op) bool {
	live := false
	for _, o := range ops {
		if done(o, history.Made) || done(o, history.Ended) {
			live = o.Kind == history.Made
		}
	}
	return live
}

// askedBefore reports whether a client had asked for the end, and was not refused.
func askedBefore(ops []history.Op, ended history.Op) bool {
	return slices.ContainsFunc(ops, func(o history.Op) bool {
		return o.Kind == history.End && o.Outcome != history.Failed && o.Call <= ended.Call
	})
}

package check

import (
	"fmt"

	"github.com/strongkeep/strongkeep/test/chaos/history"
)

// life of a token; nil = that did not happen.
type life struct {
	created  *history.Op
	revoking *history.Op // the first that asked for its end, whatever became of it
	revoked  *history.Op // the first that was told of its end
}

func lifeOf(ops []history.Op) life {
	var l life
	for i := range ops {
		o := &ops[i]
		if done(*o, history.Create) {
			l.created = o
		}
		if o.Kind == history.Revoke && (l.revoking == nil || o.Call < l.revoking.Call) {
			l.revoking = o
		}
		if done(*o, history.Revoke) && (l.revoked == nil || o.Return < l.revoked.Return) {
			l.revoked = o
		}
	}
	return l
}

// late reports whether a use has to be refused: a second after the revocation, or at once
// behind an index that stands for it.
func (l life) late(u history.Op, cfg Config) bool {
	if l.revoked == nil || u.Call <= l.revoked.Return {
		return false
	}
	return u.Indexed || u.Call > l.revoked.Return+Grace+cfg.Stall(l.revoked.Return, u.Call)
}

// early reports whether a use must not be refused.
func (l life) early(u history.Op) bool {
	if l.created == nil || u.Call <= l.created.Return || l.revoking != nil && u.Return >= l.revoking.Call {
		return false
	}
	return u.Indexed || u.Node == l.created.Node
}

// tokens finds uses of one token that were let through too late, or refused too early.
func tokens(ops []history.Op, cfg Config) []Violation {
	var found []Violation
	l := lifeOf(ops)
	for _, u := range ops {
		switch {
		case done(u, history.Use) && l.late(u, cfg):
			found = append(found, Violation{Revoked, []history.Op{*l.revoked, u}, fmt.Sprintf("%v after the revocation was acknowledged", u.Call-l.revoked.Return)})
		case u.Kind == history.Use && u.Outcome == history.Denied && l.early(u):
			found = append(found, Violation{Alive, []history.Op{*l.created, u}, "nobody had asked for its revocation"})
		}
	}
	return found
}

package generate

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/generator/state"
)

// Due is when credentials that a Secret holds must be made anew. Zero times mean
// never.
type Due struct {
	End      time.Time // the first of them is near its end, or gone
	Interval time.Time // the first of them has had its interval
}

// soonest is the least time between two credentials, however short they live.
const soonest = time.Second

// Due returns when the credentials of a record must be made anew, from the cache.
// interval is 0 for not on a timer.
func (g *Generators) Due(ctx context.Context, namespace string, r record.Record, interval time.Duration) (Due, error) {
	var due Due
	if g == nil {
		return due, nil
	}
	for _, e := range r {
		one, err := g.dueOf(ctx, namespace, e, interval)
		if err != nil {
			return due, err
		}
		due.End, due.Interval = earlier(due.End, one.End), earlier(due.Interval, one.Interval)
	}
	return due, nil
}

func (g *Generators) dueOf(ctx context.Context, namespace string, e record.Entry, interval time.Duration) (Due, error) {
	var due Due
	term := record.Term{Since: time.Unix(e.Made, 0)}
	if e.Expires > 0 {
		term.Expires = time.Unix(e.Expires, 0)
	}
	term = g.believed(term)
	made := term.Since
	if interval > 0 {
		due.Interval = made.Add(interval)
	}
	if e.State != "" {
		known, good, err := g.cfg.States.Term(ctx, types.NamespacedName{Namespace: namespace, Name: e.State})
		switch {
		case err != nil:
			return due, err
		case good:
			term = g.believed(known)
		case g.cfg.Clock.Now().Sub(made) > state.Settle:
			due.End = made.Add(state.Settle)
			return due, nil
		}
	}
	if at := term.Due(); !at.IsZero() {
		due.End = at
		if least := made.Add(soonest); at.Before(least) {
			due.End = least
		}
	}
	return due, nil
}

// believed returns t, and where a clock that was ahead wrote it, as if it had begun when
// the operator did: so a next credential comes after one more life or interval at most. Not
// at once: it may be our clock that is behind, and that must not replace every credential.
func (g *Generators) believed(t record.Term) record.Term {
	if !t.Ahead(g.cfg.Clock.Now()) {
		return t
	}
	return t.From(g.began)
}

func earlier(a, b time.Time) time.Time {
	switch {
	case a.IsZero():
		return b
	case b.IsZero(), a.Before(b):
		return a
	}
	return b
}

// Reached reports whether t is a time and not in the future.
func Reached(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

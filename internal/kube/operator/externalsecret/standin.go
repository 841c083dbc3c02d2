package externalsecret

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// LastValues keeps what was last read, for targets that are made while a store is
// away. keepsake.Keeper is one.
type LastValues interface {
	Keep(store v1.Store, req provider.Request, v provider.Value)
	// Gone forgets what the store itself says is not there.
	Gone(store v1.Store, req provider.Request)
	// Last returns what was last read, and when. NotExist: nothing is kept.
	Last(store v1.Store, req provider.Request) (provider.Value, time.Time, error)
}

// keeping reads through Stores, and has last keep what was read.
type keeping struct {
	Stores
	last LastValues
}

// Read implements Stores.
func (k keeping) Read(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, error) {
	v, err := k.Stores.Read(ctx, store, req)
	switch {
	case err == nil:
		k.last.Keep(store, req, v)
	case errs.Is(err, errs.NotExist):
		k.last.Gone(store, req)
	}
	return v, err
}

// kept reads through Stores, and from last where a store is away.
type kept struct {
	Stores
	last LastValues

	mu     sync.Mutex
	oldest time.Time // of what came from last; zero: nothing did
}

// Read implements Stores.
func (k *kept) Read(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, error) {
	v, err := k.Stores.Read(ctx, store, req)
	if !away(err) {
		return v, err
	}
	last, at, none := k.last.Last(store, req)
	if none != nil {
		return v, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.oldest.IsZero() || at.Before(k.oldest) {
		k.oldest = at
	}
	return last, nil
}

// away reports whether err says nothing of what the store has, nor of who may read it.
func away(err error) bool {
	return errs.Is(err, errs.Unavailable) || errs.Is(err, errs.Sealed) || errs.Is(err, errs.Exhausted)
}

// standIn makes a target that is not there from last values, because of cause. The
// target that is there keeps what it has. Either way cause is the outcome: the store
// is asked again, and nobody takes old values for present ones.
func (r *Reconciler) standIn(ctx context.Context, o observed, turn *generate.Turn, cause error) outcome {
	if r.LastValues == nil || o.live != nil || !keepsTarget(o.es) || !away(cause) {
		return outcome{err: cause}
	}
	k := &kept{Stores: r.Stores, last: r.LastValues}
	source := r.sourceFrom(k, o.es)
	source.Generate = turn.Values
	got, err := gather.Values(ctx, o.es, source)
	if err != nil || k.oldest.IsZero() {
		return outcome{err: cause}
	}
	out := r.act(ctx, o, turn, got)
	if out.err == nil {
		at := k.oldest.UTC().Format(time.RFC3339)
		out.err = errs.Newf(errs.KindOf(cause), "%w; until it is back there are the values that were read at %s", cause, at)
		r.Event(o.es, corev1.EventTypeWarning, "LastValues", "made of the values that were read at "+at+", since the store is away")
	}
	return out
}

package externalsecret

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/keepsake"
)

// standIn makes a target that is not there from last values, because of cause. The
// target that is there keeps what it has. Either way cause is the outcome: the store
// is asked again, and nobody takes old values for present ones.
func (r *Reconciler) standIn(ctx context.Context, o observed, turn *generate.Turn, cause error) outcome {
	if r.LastValues == nil || o.live != nil || !keepsTarget(o.es) || !keepsake.Away(cause) {
		return outcome{err: cause}
	}
	last := &keepsake.StandIn{Backend: r.Stores, Keeper: r.LastValues}
	source := r.sourceFrom(last, o.es)
	source.Generate = turn.Values
	got, err := gather.Values(ctx, o.es, source)
	if err != nil || last.Oldest().IsZero() {
		return outcome{err: cause}
	}
	out := r.act(ctx, o, turn, got)
	if out.err == nil {
		at := last.Oldest().UTC().Format(time.RFC3339)
		out.err = errs.Newf(errs.KindOf(cause), "%w; until it is back there are the values that were read at %s", cause, at)
		r.Event(o.es, corev1.EventTypeWarning, "LastValues", "made of the values that were read at "+at+", since the store is away")
	}
	return out
}

package controller

import (
	"context"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/ledger"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// offerEvery is how often a pending statement is offered to the vault again.
const offerEvery = 10 * time.Minute

func (r *Reconciler) ledger() ledger.Ledger { return ledger.Ledger{Mount: r.EvidenceMount} }

// record stores the signed statement of a turn that ends. A vault that is away
// is an error; one that has no evidence engine there, or does not let us in, leaves
// the statement pending.
func (r *Reconciler) record(ctx context.Context, l *look, out *result) error {
	raw, err := r.told(l).Statement().Encode()
	if err != nil {
		return err
	}
	if len(l.rot.Status.Pending) > 0 { // they are taken in the order of turns
		out.why, l.mem.tried = "earlier statements wait too", time.Time{}
		out.pending, err = ledger.Cut(raw)
		return err
	}
	out.statement, err = r.ledger().Store(ctx, l.vault, l.rot, v1alpha1.PendingStatement{Turn: out.Number, Statement: string(raw)})
	if err == nil || again(err) {
		return err
	}
	out.why = err.Error() + "; next: " + r.ledger().Remedy(l.rot)
	out.pending, err = ledger.Cut(raw)
	return err
}

// told is what is known of a turn that ends.
func (r *Reconciler) told(l *look) ledger.Turn {
	t := ledger.Turn{Rotation: l.rot, Kind: target.FieldOf(&l.rot.Spec.Target), Now: r.Clock.Now()}
	if c := &l.mem.closing; c.ends(&l.rot.Status) {
		t.Seen, t.Pods, t.Secrets = true, c.pods, c.secrets
	}
	if p, ok := l.target.(target.Prover); ok {
		t.Removal, t.Tried = p.Removal()
	}
	return t
}

// offerPending offers the oldest pending statement again if it is time for it,
// and returns when to do so next.
func (r *Reconciler) offerPending(ctx context.Context, l *look) (time.Duration, error) {
	if since := r.Clock.Since(l.mem.tried); since < offerEvery {
		return offerEvery - since, nil
	}
	first := l.rot.Status.Pending[0]
	where, err := r.ledger().Store(ctx, l.vault, l.rot, first)
	if err != nil {
		l.mem.tried = r.Clock.Now()
		return offerEvery, nil
	}
	next := l.rot.Status.DeepCopy()
	next.Pending = slices.Delete(next.Pending, 0, 1)
	if first.Turn == next.Turn {
		next.Statement = where
	}
	if len(next.Pending) == 0 {
		ledger.Stored(next, l.rot.Generation, *timestamp(l.o.Now))
	}
	return now, r.write(ctx, l.rot, next)
}

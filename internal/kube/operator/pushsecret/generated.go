package pushsecret

import (
	"context"
	"fmt"
	"maps"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/plan"
)

// annotations returns those of ps that people write.
func annotations(ps *v1alpha1.PushSecret) map[string]string {
	out := maps.Clone(ps.Annotations)
	delete(out, generate.AnnotationPushed)
	return out
}

// observeGenerator returns what the generator is, as far as the cache tells, and notes
// whether it is ours and when what it made ends.
func (r *Reconciler) observeGenerator(ctx context.Context, o *observed) (seen string, err error) {
	ref := o.ps.Spec.Selector.GeneratorRef
	if ref == nil {
		return "", nil
	}
	seen, ours, err := r.Generators.Version(ctx, o.ps.Namespace, *ref)
	if err != nil { // the push says so
		return err.Error(), nil
	}
	o.answerable = o.answerable && ours
	o.ends, err = r.Generators.Pushed(ctx, o.ps)
	return seen, err
}

// pushGenerated pushes what a generator makes: once for each interval, or when
// somebody asks, what is pushed where changes, or it ends. What is in the stores
// already is nowhere to be read, and is left there until then.
func (r *Reconciler) pushGenerated(ctx context.Context, o observed) outcome {
	ps := o.ps
	failed := func(err error) outcome {
		return outcome{err: errs.Newf(notMissing(err), "selector.generatorRef: %w", err), synced: ps.Status.SyncedPushSecrets}
	}
	turn := r.Generators.BeginPush(ps, generate.PushSettings{Now: o.now, Interval: interval(ps), Asked: o.where})
	due, err := turn.Due(ctx)
	if err != nil {
		return failed(err)
	}
	if !due || r.allThere(ctx, o) {
		version, err := r.versionOf(ps)
		if err == nil {
			err = joined(o.problems)
		}
		return outcome{err: err, version: version, synced: ps.Status.SyncedPushSecrets, changed: o.due()}
	}
	values, err := turn.Values(ctx)
	if err != nil {
		return failed(err)
	}
	sources, err := r.templated(ctx, ps, plan.Source{Name: ps.Spec.Selector.GeneratorRef.Name, Data: values})
	if err != nil {
		return outcome{err: err, synced: ps.Status.SyncedPushSecrets}
	}
	return r.pushMade(ctx, o, turn, r.plan(ctx, o, sources))
}

// pushMade carries a plan out. The annotation says before what the stores may hold, so
// that it is not taken back, and behind what they do.
func (r *Reconciler) pushMade(ctx context.Context, o observed, turn *generate.Push, p plan.Plan) outcome {
	ps := o.ps
	begun, err := turn.Begun()
	if err == nil && begun != "" {
		err = r.annotate(ctx, ps, begun)
	}
	if err != nil {
		return outcome{err: err, synced: ps.Status.SyncedPushSecrets}
	}
	out := r.carryOut(ctx, o, p, "")
	if out.err != nil {
		return out
	}
	ended, err := turn.Ended()
	if err == nil {
		err = r.annotate(ctx, ps, ended)
	}
	if err == nil {
		turn.Written()
		out.version, err = r.versionOf(ps)
	}
	out.err = err
	return out
}

// versionOf is the generation and a keyed digest of what was pushed, by its record.
func (r *Reconciler) versionOf(ps *v1alpha1.PushSecret) (string, error) {
	digest, err := r.Key.Inputs(nil, []any{"PushSecret", ps.Namespace, ps.Name, ps.UID}, ps.Annotations[generate.AnnotationPushed])
	return fmt.Sprintf("%d-%s", ps.Generation, digest), err
}

// allThere reports whether nothing would be pushed, so that nothing need be made: with
// IfNotExists, where every place that is named has something already.
func (r *Reconciler) allThere(ctx context.Context, o observed) bool {
	if o.ps.Spec.UpdatePolicy != v1alpha1.UpdateIfNotExists || len(o.ps.Spec.DataTo) > 0 || len(o.ps.Spec.Data) == 0 || len(o.stores) == 0 {
		return false
	}
	for _, s := range o.stores {
		for _, d := range o.ps.Spec.Data {
			if exists, err := r.Stores.Exists(ctx, s, plan.PlaceOf(o.ps.Namespace, d)); err != nil || !exists {
				return false
			}
		}
	}
	return true
}

// annotate makes ps say what its stores hold.
func (r *Reconciler) annotate(ctx context.Context, ps *v1alpha1.PushSecret, text string) error {
	if ps.Annotations[generate.AnnotationPushed] == text {
		return nil
	}
	before := ps.DeepCopy()
	status := ps.Status
	if ps.Annotations == nil {
		ps.Annotations = map[string]string{}
	}
	ps.Annotations[generate.AnnotationPushed] = text
	if err := r.Client.Patch(ctx, ps, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		ps.Annotations = before.Annotations
		return errs.Newf(errs.Unavailable, "noting in the PushSecret what its stores hold: %w", err)
	}
	ps.Status = status // what is to become of it is ours to say
	r.patched(ps)
	return nil
}

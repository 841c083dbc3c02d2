package pushsecret

import (
	"context"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/claim"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/plan"
)

// work is one push under way.
type work struct {
	r      *Reconciler
	ps     *v1alpha1.PushSecret
	synced v1alpha1.SyncedPushSecrets // what may be in the stores by ps
	failed map[string]bool            // stores that not all was written to
	errs   []error
}

func (w *work) fail(store string, err error) {
	w.failed[store] = true
	w.errs = append(w.errs, err)
}

// has reports whether the place may have been written by ps.
func (w *work) has(e plan.Entry) bool {
	_, ok := w.synced[plan.StoreName(e.Store)][plan.PlaceName(e.Data)]
	return ok
}

// wanted returns the entries that are to be written. With IfNotExists what is there
// already is left out; what ps did not put there is not ps's to delete either.
func (w *work) wanted(ctx context.Context, entries []plan.Entry) (out []plan.Entry) {
	for _, e := range entries {
		store := plan.StoreName(e.Store)
		if e.Err != nil {
			w.fail(store, e.Err)
			continue
		}
		if w.ps.Spec.UpdatePolicy == v1alpha1.UpdateIfNotExists {
			exists, err := w.r.Stores.Exists(ctx, e.Store, plan.PlaceOf(w.ps.Namespace, e.Data))
			if err != nil {
				w.fail(store, inStore(e.Store, err))
				continue
			}
			if exists {
				continue
			}
		}
		out = append(out, e)
	}
	return out
}

func inStore(s v1.Store, err error) error {
	return errs.Newf(errs.KindOf(err), "%s: %w", v1.KeyOf(s), err)
}

// intend writes into the status what is about to be written to the stores, when it
// is to be deleted one day: killed in between, the operator still knows of it.
func (w *work) intend(ctx context.Context, entries []plan.Entry) error {
	news := false
	for _, e := range entries {
		news = news || !w.has(e)
	}
	if !news || w.ps.Spec.DeletionPolicy != v1alpha1.DeletionDelete {
		return nil
	}
	before := w.ps.DeepCopy()
	w.ps.Status.SyncedPushSecrets = clone(w.synced)
	for _, e := range entries {
		note(w.ps.Status.SyncedPushSecrets, e)
	}
	if err := w.r.Client.Status().Patch(ctx, w.ps, client.MergeFrom(before)); err != nil {
		w.ps.Status = before.Status
		return errs.Newf(errs.Unavailable, "noting in the status what is about to be pushed: %w", err)
	}
	w.r.patched(w.ps)
	return nil
}

func note(s v1alpha1.SyncedPushSecrets, e plan.Entry) {
	store := plan.StoreName(e.Store)
	if s[store] == nil {
		s[store] = map[string]v1alpha1.PushSecretData{}
	}
	s[store][plan.PlaceName(e.Data)] = e.Data
}

// write writes one entry. What failed without an answer may have been written.
func (w *work) write(ctx context.Context, e plan.Entry) {
	err := w.r.Stores.Write(ctx, e.Store, e.Write(w.ps.Namespace))
	if err == nil {
		note(w.synced, e)
		return
	}
	switch errs.KindOf(err) {
	case errs.Unavailable, errs.Internal:
		note(w.synced, e)
	}
	w.fail(plan.StoreName(e.Store), inStore(e.Store, err))
}

// tidy deletes, or forgets, what is no longer asked for, in each store that has all
// that is.
func (w *work) tidy(ctx context.Context, entries []plan.Entry) {
	wanted := map[string]bool{}
	for _, e := range entries {
		wanted[plan.StoreName(e.Store)+" "+plan.PlaceName(e.Data)] = true
	}
	for _, store := range slices.Sorted(maps.Keys(w.synced)) {
		keep := func(place string) bool { return wanted[store+" "+place] }
		switch {
		case w.ps.Spec.DeletionPolicy != v1alpha1.DeletionDelete:
			maps.DeleteFunc(w.synced[store], func(place string, _ v1alpha1.PushSecretData) bool { return !keep(place) })
		case !w.failed[store]:
			w.remove(ctx, store, keep)
		}
	}
	maps.DeleteFunc(w.synced, func(_ string, places map[string]v1alpha1.PushSecretData) bool { return len(places) == 0 })
}

// remove deletes from a store what ps pushed there, but what is kept.
func (w *work) remove(ctx context.Context, name string, keep func(place string) bool) {
	places := w.synced[name]
	gone := slices.DeleteFunc(slices.Sorted(maps.Keys(places)), keep)
	if len(gone) == 0 {
		return
	}
	ref := v1.SecretStoreRef{}
	ref.Kind, ref.Name, _ = strings.Cut(name, "/")
	store, err := w.r.lookup().Store(ctx, w.ps.Namespace, ref)
	if err == nil {
		w.clear(ctx, store, gone)
	} else {
		missing, missErr := w.r.storeGone(ctx, v1.KeyFor(ref, w.ps.Namespace))
		if missErr == nil && missing || w.hopeless(ctx, nil, err) {
			w.leave(ctx, name, gone, err.Error())
		} else {
			w.fail(name, err)
		}
	}
	if len(places) == 0 {
		delete(w.synced, name)
	}
}

// clear deletes places of a store, or lets them go.
func (w *work) clear(ctx context.Context, store v1.Store, gone []string) {
	name, places := plan.StoreName(store), w.synced[plan.StoreName(store)]
	var left []string
	var why error
	for _, place := range gone {
		d := places[place]
		if w.r.claims.Rival(client.ObjectKeyFromObject(w.ps), w.r.place(ctx, store, d), claim.Shared(store)) {
			delete(places, place) // it is another's now
			continue
		}
		if err := w.r.Stores.Delete(ctx, store, plan.PlaceOf(w.ps.Namespace, d)); err != nil {
			if !w.hopeless(ctx, store, err) {
				w.fail(name, inStore(store, err))
				continue
			}
			left, why = append(left, place), err
		}
		delete(places, place)
	}
	if why != nil {
		w.leave(ctx, name, left, why.Error())
	}
}

// patchStatus writes what came of a push, in one patch, if that is news.
func (r *Reconciler) patchStatus(ctx context.Context, o observed, out outcome) error {
	ps := o.ps
	before := ps.DeepCopy()
	ps.Status = nextStatus(before, out, o)
	if equality.Semantic.DeepEqual(before.Status, ps.Status) {
		return nil
	}
	if c := v1.FindCondition(ps.Status.Conditions, v1.ConditionReady); out.err != nil {
		r.warn(ps, c.Reason, c.Message)
	} else if !v1.IsReady(before.Status.Conditions) || before.Status.SyncedResourceVersion != ps.Status.SyncedResourceVersion {
		r.Event(ps, "Normal", c.Reason, c.Message)
	}
	if err := r.Client.Status().Patch(ctx, ps, client.MergeFrom(before)); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.patched(ps)
	return nil
}

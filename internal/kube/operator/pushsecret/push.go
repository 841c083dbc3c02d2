package pushsecret

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/claim"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/plan"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// outcome is what a push came to.
type outcome struct {
	err     error
	reason  string // of the Ready condition; "" for the usual one
	changed bool   // something was asked of a store
	version string // for status.syncedResourceVersion; "" when not all is pushed
	synced  v1alpha1.SyncedPushSecrets
}

// push makes the stores what ps says.
func (r *Reconciler) push(ctx context.Context, o observed) outcome {
	ps := o.ps
	if ps.Spec.Selector.GeneratorRef != nil {
		return r.pushGenerated(ctx, o)
	}
	sources, err := r.sources(ctx, o)
	if errs.Is(err, errs.NotExist) {
		return r.sourceGone(ctx, ps, err)
	}
	if err != nil {
		return outcome{err: err, synced: ps.Status.SyncedPushSecrets}
	}
	p := r.plan(ctx, o, sources)
	version, err := r.version(ps, p.Entries)
	if err != nil {
		return outcome{err: err, synced: ps.Status.SyncedPushSecrets}
	}
	if r.unchanged(o, version) {
		return outcome{version: version, synced: ps.Status.SyncedPushSecrets}
	}
	return r.carryOut(ctx, o, p, version)
}

// plan returns what is to be pushed where.
func (r *Reconciler) plan(ctx context.Context, o observed, sources []plan.Source) plan.Plan {
	p := plan.Of(plan.Input{Spec: &o.ps.Spec, Sources: sources, Stores: o.stores, Limits: r.Limits, Now: r.Clock.Now})
	p.Problems = append(p.Problems, o.problems...)
	r.refuse(ctx, o, p.Entries)
	plan.ReadBeside(ctx, r.Live, o.ps.Namespace, p.Entries)
	return p
}

// unchanged reports whether all is in the stores as it is to be, as far as can be
// known without asking them.
func (r *Reconciler) unchanged(o observed, version string) bool {
	return !o.due() && v1.IsReady(o.ps.Status.Conditions) && o.ps.Status.SyncedResourceVersion == version && len(o.problems) == 0
}

// version is the generation and a keyed digest of what is pushed where.
func (r *Reconciler) version(ps *v1alpha1.PushSecret, entries []plan.Entry) (string, error) {
	values := map[string]redact.Secret{}
	where := []any{"PushSecret", ps.Namespace, ps.Name, ps.UID, ps.Spec.UpdatePolicy, ps.Spec.DeletionPolicy, ps.Labels, annotations(ps)}
	for _, e := range entries {
		e.Inputs(values)
		where = append(where, plan.StoreName(e.Store), e.Store.GetUID(), e.Store.GetGeneration(), e.Data, e.Source, e.Err != nil)
	}
	digest, err := r.Key.Inputs(values, where)
	return fmt.Sprintf("%d-%s", ps.Generation, digest), err
}

// unselected is why no Secrets are known to choose from; nil: they are.
func (o observed) unselected() error {
	s := o.ps.Spec.Selector.Secret
	if s == nil || s.Name == "" && s.Selector == nil {
		return errs.New(errs.Invalid, "spec.selector names no Secret: set selector.secret.name")
	}
	return errors.Join(o.unseen...)
}

// sources reads the Secrets and applies the template. NotExist: there is none.
func (r *Reconciler) sources(ctx context.Context, o observed) ([]plan.Source, error) {
	ps := o.ps
	if err := o.unselected(); err != nil {
		return nil, err
	}
	var out []plan.Source
	for _, name := range o.sources {
		var s corev1.Secret
		err := r.Live.Get(ctx, types.NamespacedName{Namespace: ps.Namespace, Name: name}, &s)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, errs.Newf(errs.Unavailable, "reading Secret %q: %w", name, err)
		}
		source := plan.Source{Name: name, Data: make(map[string]redact.Secret, len(s.Data)), Type: string(s.Type)}
		for key, value := range s.Data {
			source.Data[key] = redact.New(value)
		}
		made, err := r.templated(ctx, ps, source)
		if err != nil {
			return nil, err
		}
		out = append(out, made...)
	}
	if len(out) > 0 {
		return out, nil
	}
	if ps.Spec.Selector.Secret.Selector == nil {
		return nil, errs.Newf(errs.NotExist, "Secret %q does not exist: create it, or correct selector.secret.name", ps.Spec.Selector.Secret.Name)
	}
	if len(o.problems) > 0 {
		return nil, errors.Join(o.problems...)
	}
	return nil, errs.New(errs.NotExist, "no Secret has the labels of selector.secret.selector: give them to one, or correct the selector")
}

// notMissing is the kind of err, but never that which says that there is no source.
func notMissing(err error) errs.Kind {
	if kind := errs.KindOf(err); kind != errs.NotExist {
		return kind
	}
	return errs.Unavailable
}

// templated adds to a source what the template makes of it.
func (r *Reconciler) templated(ctx context.Context, ps *v1alpha1.PushSecret, s plan.Source) ([]plan.Source, error) {
	if ps.Spec.Template == nil {
		return []plan.Source{s}, nil
	}
	t := ps.Spec.Template.DeepCopy()
	t.MergePolicy = v1.TemplateMerge
	t.Metadata.Finalizers = nil
	es := &v1.ExternalSecret{}
	es.Namespace, es.Name, es.Spec.Target.Template = ps.Namespace, ps.Name, t
	texts, err := render.Read(ctx, r.Live, es)
	if err != nil {
		return nil, errs.Newf(notMissing(err), "template: %w", err)
	}
	made, err := render.Secret(es, s.Data, texts, render.Options{Limits: r.Limits, Delimiters: r.Delimiters, Now: r.Clock.Now})
	if err != nil {
		return nil, errs.Newf(notMissing(err), "template: %w", err)
	}
	out := plan.Source{
		Name: s.Name, Data: make(map[string]redact.Secret, len(made.Data)), Type: cmp.Or(t.Type, s.Type),
		Labels: made.Labels, Annotations: made.Annotations,
	}
	delete(out.Labels, target.LabelManaged) // which are of what ExternalSecrets make
	delete(out.Labels, target.LabelCreatedBy)
	for key, value := range made.Data {
		out.Data[key] = redact.New(value)
	}
	return []plan.Source{out}, nil
}

// sourceGone is for a PushSecret whose Secret is not there, by the API server's word.
func (r *Reconciler) sourceGone(ctx context.Context, ps *v1alpha1.PushSecret, why error) outcome {
	if ps.Spec.DeletionPolicy != v1alpha1.DeletionDelete || len(ps.Status.SyncedPushSecrets) == 0 {
		reason := ""
		if ready := v1.FindCondition(ps.Status.Conditions, v1.ConditionReady); ready != nil && ready.Reason == v1alpha1.ReasonSourceDeleted {
			reason = v1alpha1.ReasonSourceDeleted
		}
		return outcome{err: why, reason: reason, synced: ps.Status.SyncedPushSecrets}
	}
	left, err := r.clear(ctx, ps, nil)
	if err != nil {
		return outcome{err: errs.Newf(errs.KindOf(err), "%w; what was pushed is not deleted yet: %w", why, err), synced: left, changed: true}
	}
	return outcome{
		err:    errs.Newf(errs.NotExist, "%w; what was pushed is deleted, due to deletionPolicy Delete", why),
		reason: v1alpha1.ReasonSourceDeleted, synced: left, changed: true,
	}
}

// refuse gives an error to entries that another PushSecret holds, and to those that
// would go round.
func (r *Reconciler) refuse(ctx context.Context, o observed, entries []plan.Entry) {
	ps := o.ps
	held := r.claims.Set(ownerOf(ps), r.places(ctx, ps, o.stores, entries))
	for i := range entries {
		e := &entries[i]
		if e.Err != nil {
			continue
		}
		if other, ok := held[r.place(ctx, e.Store, e.Data)]; ok {
			e.Err = errs.Newf(errs.Invalid, "%q is pushed to by %s, which is older: choose another remoteKey, or delete one of the two", plan.PlaceName(e.Data), nameFor(other, ps))
			continue
		}
		e.Err = r.roundabout(ctx, o, e)
	}
}

// nameFor names a rival to who may read ps; objects of other namespaces are not
// named.
func nameFor(other claim.Owner, ps *v1alpha1.PushSecret) string {
	if other.Key.Namespace == ps.Namespace {
		return fmt.Sprintf("PushSecret %q", other.Key.Name)
	}
	return "a PushSecret of another namespace"
}

// roundabout refuses to push to where the Secret comes from.
func (r *Reconciler) roundabout(ctx context.Context, o observed, e *plan.Entry) error {
	if o.ps.Spec.UpdatePolicy == v1alpha1.UpdateIfNotExists {
		return nil
	}
	to := r.place(ctx, e.Store, e.Data)
	for _, name := range o.sources {
		makers, err := r.Makers(ctx, types.NamespacedName{Namespace: o.ps.Namespace, Name: name})
		if err != nil {
			return errs.Newf(errs.Unavailable, "looking for what makes Secret %q: %w", name, err)
		}
		for i := range makers {
			if r.reads(ctx, &makers[i], to) {
				return errs.Newf(errs.Invalid, "%q is where ExternalSecret %q reads Secret %q from, so that pushing would go round: choose another remoteKey",
					plan.PlaceName(e.Data), makers[i].Name, name)
			}
		}
	}
	return nil
}

// reads reports whether es reads what is at to.
func (r *Reconciler) reads(ctx context.Context, es *v1.ExternalSecret, to claim.Place) bool { //nolint:cyclop // flat: a case after the other
	at := func(ref v1.SecretStoreRef, remote v1.RemoteRef) bool {
		store, err := r.lookup().Store(ctx, es.Namespace, ref)
		if err != nil {
			return false
		}
		d := v1alpha1.PushSecretData{}
		d.Match.RemoteRef.RemoteKey = remote.Key
		return r.place(ctx, store, d).Location == to.Location && (remote.Property == "" || to.Property == "" || remote.Property == to.Property)
	}
	for _, d := range es.Spec.Data {
		ref := es.Spec.SecretStoreRef
		if d.SourceRef != nil && d.SourceRef.SecretStoreRef != nil {
			ref = *d.SourceRef.SecretStoreRef
		}
		if at(ref, d.RemoteRef) {
			return true
		}
	}
	for _, f := range es.Spec.DataFrom {
		ref := es.Spec.SecretStoreRef
		if f.SourceRef != nil && f.SourceRef.SecretStoreRef != nil {
			ref = *f.SourceRef.SecretStoreRef
		}
		if f.Extract != nil && at(ref, *f.Extract) {
			return true
		}
	}
	return false
}

// carryOut writes what is planned and deletes what is no longer asked for.
func (r *Reconciler) carryOut(ctx context.Context, o observed, p plan.Plan, version string) outcome {
	ps := o.ps
	work := &work{r: r, ps: ps, synced: clone(ps.Status.SyncedPushSecrets), failed: map[string]bool{}}
	work.errs = append(work.errs, p.Problems...)
	entries := work.wanted(ctx, p.Entries)
	if err := work.intend(ctx, entries); err != nil {
		return outcome{err: err, synced: ps.Status.SyncedPushSecrets}
	}
	for _, e := range entries {
		work.write(ctx, e)
	}
	if !p.Unsure && len(o.problems) == 0 {
		work.tidy(ctx, p.Entries)
	}
	after := ps.DeepCopy()
	after.Status.SyncedPushSecrets = work.synced
	r.claims.Set(ownerOf(ps), r.places(ctx, after, o.stores, p.Entries)) // what was deleted is free for others
	out := outcome{changed: true, synced: work.synced, err: joined(work.errs)}
	if out.err == nil {
		out.version = version
	}
	return out
}

// clear deletes all that ps pushed but what keep has, and returns what is left.
func (r *Reconciler) clear(ctx context.Context, ps *v1alpha1.PushSecret, keep map[string]bool) (v1alpha1.SyncedPushSecrets, error) {
	work := &work{r: r, ps: ps, synced: clone(ps.Status.SyncedPushSecrets), failed: map[string]bool{}}
	for _, store := range slices.Sorted(maps.Keys(ps.Status.SyncedPushSecrets)) {
		work.remove(ctx, store, func(place string) bool { return keep[store+" "+place] })
	}
	return work.synced, joined(work.errs)
}

// maxTold is how many errors a condition tells of.
const maxTold = 5

// joined is one error of many, of the kind that is most worth trying again.
func joined(list []error) error {
	if len(list) == 0 {
		return nil
	}
	var texts []string
	kind := errs.KindOf(list[0])
	for i, err := range list {
		if i < maxTold && !slices.Contains(texts, err.Error()) {
			texts = append(texts, err.Error())
		}
		switch k := errs.KindOf(err); k {
		case errs.Unavailable, errs.Sealed, errs.Exhausted, errs.Conflict:
			kind = k
		}
	}
	if n := len(list) - maxTold; n > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", n))
	}
	return errs.New(kind, strings.Join(texts, "; "))
}

func clone(s v1alpha1.SyncedPushSecrets) v1alpha1.SyncedPushSecrets {
	out := make(v1alpha1.SyncedPushSecrets, len(s))
	for store, places := range s {
		out[store] = maps.Clone(places)
	}
	return out
}

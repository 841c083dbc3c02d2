package externalsecret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/keepsake"
	"github.com/strongkeep/strongkeep/internal/kube/operator/manifest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// outcome is what a sync came to.
type outcome struct {
	err     error     // why the target is not as it should be
	reason  string    // of the Ready condition; "" for the usual one
	message string    // of the Ready condition when err is nil
	changed bool      // the target was written
	began   time.Time // when the values were read, if they were
}

// sync reads the store, renders, and writes the target when it is not right.
func (r *Reconciler) sync(ctx context.Context, o observed) outcome {
	es := o.es
	if err := o.fault.Away(); err != nil {
		return outcome{err: err}
	}
	turn, live, err := r.turn(ctx, o)
	if err != nil {
		return outcome{err: err}
	}
	if live != nil && !isMerge(es) && r.asWrittenBefore(es, live) { // so that after a restart nothing is made anew for nothing
		o.memory.verified = target.Version{UID: live.UID, ResourceVersion: live.ResourceVersion}
	}
	if out, stop := withoutWriting(o, gather.Result{}); stop && keepsTarget(es) && len(generate.Refs(&es.Spec)) > 0 {
		return out // before anything is made that no Secret would hold
	}
	out := r.attempt(ctx, o, turn)
	if errors.Is(out.err, errOpaque) {
		turn.Force()
		out = r.attempt(ctx, o, turn)
	}
	if out.err == nil {
		for _, field := range turn.Written() {
			r.Event(es, corev1.EventTypeWarning, "Regenerated", field+": the Secret no longer held what the generator made as it was made, so another was made")
		}
	}
	return out
}

// errOpaque is what comes of a target that must be written anew and of which some
// values cannot be read back: they must be made anew first.
var errOpaque = errors.New("some values cannot be read back")

// turn begins what generators have to do, with the target as it is, which is read
// only for them.
func (r *Reconciler) turn(ctx context.Context, o observed) (*generate.Turn, *corev1.Secret, error) {
	if err := unmakeable(o); err != nil {
		return nil, nil, err
	}
	s := generate.Settings{Now: o.now, Interval: timing.Spread(o.es, timing.Interval(o.es))}
	if o.es.Spec.RefreshPolicy == v1.RefreshOnChange {
		s.OnChange = syncedVersion(o.es)
	}
	if o.live != nil && len(generate.Refs(&o.es.Spec)) > 0 && (isMerge(o.es) || target.Ours(o.es, o.live)) {
		s.Live = &corev1.Secret{}
		if err := r.Live.Get(ctx, client.ObjectKeyFromObject(o.live), s.Live); err != nil {
			return nil, nil, errs.Newf(errs.Unavailable, "reading Secret %q: %w", o.live.Name, err)
		}
		if s.Live.UID != o.live.UID || s.Live.ResourceVersion != o.live.ResourceVersion && !isMerge(o.es) {
			return nil, nil, errs.Newf(errs.Conflict, "Secret %q changed under us", s.Live.Name)
		}
	}
	return r.Generators.Begin(o.es, s), s.Live, nil
}

// attempt gathers and writes.
func (r *Reconciler) attempt(ctx context.Context, o observed, turn *generate.Turn) outcome {
	source := r.source(o)
	source.Generate = turn.Values
	got, err := gather.Values(ctx, o.es, source)
	if err != nil {
		return r.standIn(ctx, o, turn, err)
	}
	o.fault.Spoil(&got)
	out := r.act(ctx, o, turn, got)
	out.began = got.Began
	if out.err == nil && o.fault.Mark() != "" {
		out.message = o.fault.Message()
	}
	return out
}

// source reads from the stores of an ExternalSecret.
func (r *Reconciler) source(o observed) gather.Source {
	var from stores.Backend = r.Stores
	if o.byTime && r.Recent != nil {
		from = r.Recent
	}
	if r.LastValues != nil {
		from = keepsake.Reading{Backend: from, Keeper: r.LastValues}
	}
	return r.sourceFrom(from, o.es)
}

func (r *Reconciler) sourceFrom(b stores.Backend, es *v1.ExternalSecret) gather.Source {
	source := r.lookup().Source(b, es.Namespace)
	source.Limits, source.Now = r.Limits, r.Clock.Now
	return source
}

// act makes the target what the values say.
func (r *Reconciler) act(ctx context.Context, o observed, turn *generate.Turn, got gather.Result) outcome {
	es := o.es
	if len(got.Data) == 0 && len(got.Missing) > 0 && es.Spec.Target.DeletionPolicy == v1.DeletionDelete {
		return r.deleteTarget(ctx, o, got.Missing)
	}
	out := r.writeTarget(ctx, o, turn, got)
	if errors.Is(out.err, errOpaque) {
		return out
	}
	if out.err != nil {
		out.err = got.WithoutValues(out.err)
	} else if len(got.Missing) > 0 {
		out.message = "synced without what the store does not have: " + strings.Join(got.Missing, "; ")
		r.Event(es, corev1.EventTypeWarning, "MissingProviderSecret", out.message)
	}
	return out
}

func (r *Reconciler) writeTarget(ctx context.Context, o observed, turn *generate.Turn, got gather.Result) outcome {
	es, data := o.es, got.Data
	if out, stop := withoutWriting(o, got); stop {
		return out
	}
	texts, err := render.Read(ctx, r.Live, es)
	if err != nil {
		return outcome{err: err}
	}
	mark, err := r.mark(o, turn.Inputs(got), texts)
	if err != nil {
		return outcome{err: err}
	}
	if manifest.Asked(es) {
		return r.writeManifest(ctx, o, made{got, texts, mark})
	}
	says, err := r.sayings(ctx, es, turn, got)
	if err != nil {
		return outcome{err: err}
	}
	if r.unchanged(o, mark) && (says.standIn(o) || !isMerge(es)) {
		return r.restate(ctx, o, says, mark)
	}
	if turn.Opaque() {
		return outcome{err: errOpaque}
	}
	secret, err := render.Secret(es, data, texts, render.Options{Limits: r.Limits, Delimiters: r.Delimiters, Now: r.Clock.Now})
	if err != nil {
		return outcome{err: err}
	}
	if err := r.setVersions(ctx, o, secret, says.versions); err != nil {
		return outcome{err: err}
	}
	secret.SetGenerated(says.generated)
	return r.write(ctx, o, secret, mark.Mark)
}

// setVersions makes secret say what it was made of, and which keys that changed:
// by the Secret as it is, if our last write left it so.
func (r *Reconciler) setVersions(ctx context.Context, o observed, secret *target.Secret, versions string) error {
	secret.SetVersions(versions)
	if versions == "" || o.live == nil {
		secret.SetChanges(secret.NextChanges(nil, false))
		return nil
	}
	if o.live.Annotations[secret.VersionsKey()] == versions { // what was said stays
		secret.SetChanges(secret.NextChanges(&corev1.Secret{ObjectMeta: o.live.ObjectMeta}, false))
		return nil
	}
	live, err := r.asObserved(ctx, o)
	if err != nil {
		return err
	}
	sure := target.ParseMark(live.Annotations[target.AnnotationMark]).Content == r.Key.ContentOf(live, secret.Manager)
	if secret.Merge { // whose mark is in memory
		sure = o.memory.verified == target.Version{UID: live.UID, ResourceVersion: live.ResourceVersion}
	}
	secret.SetChanges(secret.NextChanges(live, sure && live.Annotations[v1alpha1.AnnotationDrill] == ""))
	return nil
}

// asObserved reads the target, which must be the one that was observed.
func (r *Reconciler) asObserved(ctx context.Context, o observed) (*corev1.Secret, error) {
	var live corev1.Secret
	if err := r.Live.Get(ctx, client.ObjectKeyFromObject(o.live), &live); err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading Secret %q: %w", o.live.Name, err)
	}
	if live.UID != o.live.UID || live.ResourceVersion != o.live.ResourceVersion {
		return nil, errs.Newf(errs.Conflict, "Secret %q changed under us", live.Name)
	}
	return &live, nil
}

// sayings are what a target says of itself, beside its mark.
type sayings struct{ versions, generated string }

func (r *Reconciler) sayings(ctx context.Context, es *v1.ExternalSecret, turn *generate.Turn, got gather.Result) (s sayings, err error) {
	if s.versions, err = r.madeOf(ctx, es, got); err != nil {
		return s, err
	}
	s.generated, err = turn.Record(got)
	return s, err
}

func (s sayings) standIn(o observed) bool {
	return o.live.Annotations[versionsKey(o.es)] == s.versions && o.live.Annotations[generatedKey(o.es)] == s.generated
}

// withoutWriting returns what there is to say when the target is not written.
func withoutWriting(o observed, got gather.Result) (out outcome, stop bool) {
	es, kind := o.es, manifest.Noun(o.es)
	if !keepsTarget(es) {
		return outcome{message: syncedOf(es) + "; creationPolicy None writes no " + kind}, true
	}
	if o.live == nil && target.Policy(es) == v1.CreateOrMerge && len(got.Data) == 0 && len(got.Missing) > 0 {
		return outcome{message: "there is nothing to write"}, true
	}
	if o.live == nil && target.Policy(es) == v1.CreateMerge {
		return outcome{reason: v1.ReasonSecretMissing, err: errs.Newf(errs.NotExist,
			"%s %q does not exist: creationPolicy Merge needs it; create it, or use creationPolicy CreateOrMerge or Owner", kind, target.Name(es))}, true
	}
	if o.live != nil && !isMerge(es) && !target.Ours(es, o.live) {
		return outcome{reason: v1.ReasonSecretSyncedError, err: errs.Newf(errs.Conflict,
			"%s %q is not overwritten: %s; choose another spec.target.name, use creationPolicy Merge, or delete the %[1]s", kind, target.Name(es), target.Owner(o.live))}, true
	}
	return out, false
}

// madeOf returns which versions of which remote secrets were read, as the
// annotation has it.
func (r *Reconciler) madeOf(ctx context.Context, es *v1.ExternalSecret, got gather.Result) (string, error) {
	versions := map[string]string{}
	for want, version := range got.Versions {
		store, err := r.store(ctx, es.Namespace, want.Store)
		if err != nil {
			return "", err
		}
		location, err := r.Stores.LocateKey(ctx, store, want.Key)
		if err != nil {
			return "", err
		}
		if location != "" {
			target.AddVersion(versions, location, version)
		}
	}
	text, ok := target.FormatVersions(versions)
	if !ok {
		r.Log.Warn("an ExternalSecret reads too many remote secrets for its Secret to say of which versions it is; rotations of them are held",
			"externalSecret", es.Namespace+"/"+es.Name)
	}
	return text, nil
}

// restate writes nothing but what a target says of itself, and whose it is, where it is
// otherwise as it must be, when that is new. It does not render: the data stays as it is,
// whatever templates would draw now.
func (r *Reconciler) restate(ctx context.Context, o observed, says sayings, mark marked) outcome {
	if says.standIn(o) && target.Owned(o.es, o.live) {
		return outcome{message: synced}
	}
	live, err := r.asObserved(ctx, o)
	if err != nil {
		return outcome{err: err}
	}
	secret := target.Again(o.es, live)
	if err := r.setVersions(ctx, o, secret, says.versions); err != nil {
		return outcome{err: err}
	}
	secret.SetGenerated(says.generated)
	return r.write(ctx, o, secret, mark.Mark)
}

func versionsKey(es *v1.ExternalSecret) string { return target.New(es, nil).VersionsKey() }

const synced = "secret synced"

func (r *Reconciler) write(ctx context.Context, o observed, secret *target.Secret, mark target.Mark) outcome {
	es := o.es
	if !secret.Merge {
		secret.SetDrill(o.fault.Mark())
		mark.Content = r.Key.Content(secret)
		secret.Annotations[target.AnnotationMark] = mark.String()
	}
	var seen *target.Version
	if o.live != nil {
		seen = &target.Version{UID: o.live.UID, ResourceVersion: o.live.ResourceVersion}
	}
	version, err := r.writer.Apply(ctx, secret, seen)
	if err != nil {
		return r.writeFailed(o, err)
	}
	r.memories.wrote(client.ObjectKeyFromObject(es), secret, version, mark, r.Clock.Now())
	out := outcome{message: synced, changed: seen == nil || *seen != version}
	switch {
	case seen == nil:
		r.Event(es, corev1.EventTypeNormal, "Created", fmt.Sprintf("Secret %q created", secret.Name))
	case out.changed:
		r.Event(es, corev1.EventTypeNormal, "Updated", fmt.Sprintf("Secret %q updated", secret.Name))
	}
	if err := r.deleteFormer(ctx, es); err != nil {
		out.err = err
	}
	return out
}

// writeFailed explains a failed write. A Conflict goes back without a reason: the
// cache was behind, or somebody else was quicker, and a second look tells which.
func (r *Reconciler) writeFailed(o observed, err error) outcome {
	if errs.Is(err, errs.Invalid) && strings.Contains(err.Error(), "immutable") && o.es.Spec.Target.Immutable {
		return outcome{err: errs.Newf(errs.Invalid, "could not update Secret %q, target is immutable: delete it, or choose another spec.target.name", target.Name(o.es))}
	}
	if errs.Is(err, errs.Invalid) && strings.Contains(err.Error(), "type: ") && isMerge(o.es) {
		return outcome{err: errs.Newf(errs.Invalid, "Secret %q exists with another type than spec.target.template.type: take that out, or choose another spec.target.name", target.Name(o.es))}
	}
	return outcome{err: err}
}

// deleteTarget does what deletionPolicy Delete asks for.
func (r *Reconciler) deleteTarget(ctx context.Context, o observed, missing []string) outcome {
	es := o.es
	out := outcome{reason: v1.ReasonSecretDeleted, message: strings.ToLower(manifest.Noun(es)) + " deleted due to DeletionPolicy=Delete: " + strings.Join(missing, "; ")}
	if o.live == nil {
		return out
	}
	if target.Policy(es) != v1.CreateOwner || !target.Ours(es, o.live) {
		return outcome{err: errs.Newf(errs.Conflict, "%s %q is not deleted: %s", manifest.Noun(es), target.Name(es), target.Owner(o.live)), reason: v1.ReasonSecretSyncedError}
	}
	if manifest.Asked(es) {
		if err := r.Manifests.Delete(ctx, es, o.live.UID); err != nil {
			return outcome{err: err}
		}
	} else if err := r.writer.Delete(ctx, es.Namespace, target.Name(es), target.Version{UID: o.live.UID}); err != nil {
		return outcome{err: err}
	}
	r.memories.secretGone(client.ObjectKeyFromObject(es), o.live.UID)
	r.Event(es, corev1.EventTypeNormal, "Deleted", out.message)
	out.changed = true
	return out
}

// deleteFormer deletes what es made when its target had another name or kind.
func (r *Reconciler) deleteFormer(ctx context.Context, es *v1.ExternalSecret) error {
	if target.Policy(es) != v1.CreateOwner {
		return nil
	}
	if err := r.Manifests.DeleteFormer(ctx, es); err != nil {
		return err
	}
	name := es.Status.Binding.Name
	if name == "" || name == target.Name(es) && !manifest.Asked(es) {
		return nil
	}
	former, err := r.metadata(ctx, "Secret", types.NamespacedName{Namespace: es.Namespace, Name: name})
	if err != nil || former == nil || !target.Ours(es, former) || former.Labels[target.LabelCreatedBy] != target.CreatedBy(es.Namespace, es.Name) {
		return err
	}
	return r.writer.Delete(ctx, es.Namespace, former.Name, target.Version{UID: former.UID})
}

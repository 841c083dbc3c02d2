package externalsecret

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/index"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/timing"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/manifest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// observe gathers what is known, from caches only, but for targets of kinds that
// nobody watches. It is not answerable when
// every store of es is another operator's.
func (r *Reconciler) observe(ctx context.Context, es *v1.ExternalSecret) (observed, bool, error) {
	o := observed{now: r.Clock.Now(), es: es}
	key := client.ObjectKeyFromObject(es)
	kept := r.memories.kept(key)
	var err error
	if o.live, err = r.targetOf(ctx, &o); err != nil {
		return o, false, err
	}
	if o.fault, err = r.Faults.On(ctx, es); err != nil {
		return o, false, err
	}
	o.memory = r.memories.get(key)
	if index.Watched(es) && o.unseen == nil {
		if kept.behind(index.Entry(es), o.live, o.now) {
			o.live = r.asWritten(es, o.live, kept.memory)
		} else {
			r.memories.seen(key, o.live)
		}
	}
	if o.due, err = r.dueOf(ctx, o); err != nil {
		return o, false, err
	}
	versions, answerable, err := r.versions(ctx, es)
	if err != nil {
		return o, false, err
	}
	if versions != nil {
		o.sources = r.Key.Sources(versions)
	}
	return o, answerable, nil
}

// targetOf returns the metadata of the target, nil when there is none. Why one that
// is no Secret, or that no role of the operator names, cannot be looked at is in o.unseen.
func (r *Reconciler) targetOf(ctx context.Context, o *observed) (live *metav1.PartialObjectMetadata, err error) {
	if manifest.Asked(o.es) {
		live, o.unseen = r.Manifests.Observe(ctx, o.es)
		return live, nil
	}
	live, err = r.metadata(ctx, "Secret", types.NamespacedName{Namespace: o.es.Namespace, Name: target.Name(o.es)})
	if errs.Is(err, errs.Denied) {
		o.unseen, err = err, nil
	}
	return live, err
}

// asWritten stands in for metadata that the cache does not have yet: that of
// the Secret as we wrote it.
func (r *Reconciler) asWritten(es *v1.ExternalSecret, live *metav1.PartialObjectMetadata, m memory) *metav1.PartialObjectMetadata {
	if live == nil {
		live = &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: es.Namespace, Name: target.Name(es)}}
	}
	live.UID, live.ResourceVersion = m.verified.UID, m.verified.ResourceVersion
	if live.Labels == nil {
		live.Labels = map[string]string{}
	}
	if live.Annotations == nil || !isMerge(es) {
		live.Annotations = map[string]string{}
	}
	live.Annotations[versionsKey(es)] = m.versions
	live.Annotations[generatedKey(es)] = m.generated
	if !isMerge(es) {
		live.Annotations[target.AnnotationMark] = m.mark
		if m.drill != "" {
			live.Annotations[v1alpha1.AnnotationDrill] = m.drill
		}
		live.Labels[target.LabelCreatedBy] = target.CreatedBy(es.Namespace, es.Name)
	}
	if owner := target.New(es, nil).Owner; owner != nil && !target.Owned(es, live) {
		live.OwnerReferences = append(live.OwnerReferences, *owner)
	}
	return live
}

func generatedKey(es *v1.ExternalSecret) string { return target.New(es, nil).GeneratedKey() }

// dueOf returns when what generators made of the target must be made anew.
func (r *Reconciler) dueOf(ctx context.Context, o observed) (generate.Due, error) {
	if o.live == nil || !keepsTarget(o.es) {
		return generate.Due{}, nil
	}
	return r.due(ctx, o.es, o.live.Annotations[generatedKey(o.es)])
}

func (r *Reconciler) due(ctx context.Context, es *v1.ExternalSecret, generated string) (generate.Due, error) {
	if generated == "" || len(generate.Refs(&es.Spec)) == 0 {
		return generate.Due{}, nil
	}
	return r.Generators.Due(ctx, es.Namespace, record.Parse(generated), timing.Spread(es, timing.Interval(es)))
}

// metadata returns an object's metadata from the cache, nil when it is not there.
func (r *Reconciler) metadata(ctx context.Context, kind string, name types.NamespacedName) (*metav1.PartialObjectMetadata, error) {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	if err := r.Client.Get(ctx, name, m); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return m, nil
}

// versions names every object that es depends on with its version. nil when one
// is missing or may not be used, which the refresh that follows reports.
func (r *Reconciler) versions(ctx context.Context, es *v1.ExternalSecret) (list []string, answerable bool, err error) {
	complete := true
	refs := gather.Stores(&es.Spec)
	others := 0
	for _, ref := range refs {
		store, err := r.store(ctx, es.Namespace, ref)
		switch {
		case err != nil:
			complete = false
			if r.Only { // whose it is cannot be told
				others++
			}
		case !r.answersFor(store):
			others++
		default:
			list = append(list, fmt.Sprintf("%s %s %d", v1.KeyOf(store), store.GetUID(), store.GetGeneration()))
		}
	}
	made, foreign, known := r.generatorVersions(ctx, es)
	list, others, complete = append(list, made...), others+foreign, complete && known
	if others > 0 && others == len(refs)+len(generate.Refs(&es.Spec)) {
		return nil, false, nil
	}
	from, known, err := r.templateVersions(ctx, es)
	if err != nil {
		return nil, false, err
	}
	if !complete || !known {
		return nil, true, nil
	}
	return append(append(list, from...), "end"), true, nil
}

// templateVersions is what versions says of template objects, and whether all are there.
func (r *Reconciler) templateVersions(ctx context.Context, es *v1.ExternalSecret) (list []string, complete bool, err error) {
	complete = true
	for _, ref := range render.Refs(es.Spec.Target.Template) {
		m, err := r.metadata(ctx, ref.Kind, types.NamespacedName{Namespace: es.Namespace, Name: ref.Name})
		if err != nil && !errs.Is(err, errs.Denied) { // what may not be read the refresh reports
			return nil, false, err
		}
		if m == nil {
			complete = false
			continue
		}
		list = append(list, fmt.Sprintf("%s %s %s %s", ref.Kind, ref.Name, m.UID, m.ResourceVersion))
	}
	return list, complete, nil
}

// generatorVersions is what versions says of generators, how many of them are
// another operator's, and whether all are known.
func (r *Reconciler) generatorVersions(ctx context.Context, es *v1.ExternalSecret) (list []string, others int, complete bool) {
	complete = true
	for _, ref := range generate.Refs(&es.Spec) {
		source, err := r.Generators.Find(ctx, es.Namespace, ref)
		switch {
		case err != nil:
			complete = false
		case !r.Generators.Answers(source):
			others++
		default:
			if r.Only && source.Class == "" { // which says nothing of whose the object is
				others++
			}
			list = append(list, fmt.Sprintf("%s %s %d", source, source.UID, source.Version))
		}
	}
	return list, others, complete
}

func (r *Reconciler) lookup() stores.Lookup {
	return stores.Lookup{Reader: r.Client, Class: r.Class, Only: r.Only}
}

func (r *Reconciler) answersFor(store v1.Store) bool { return r.lookup().Answers(store) }

// store returns the store that ref names from namespace, if namespace may use it.
func (r *Reconciler) store(ctx context.Context, namespace string, ref v1.SecretStoreRef) (v1.Store, error) {
	return r.lookup().Store(ctx, namespace, ref)
}

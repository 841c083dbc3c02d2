package rollout

import (
	"context"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
)

// Of what we write in a workload there are three annotations, by one
// server-side apply with the uid and resourceVersion that were read: it changes
// what was seen or nothing, makes no object anew, and no other field is ours.
//
//	metadata.annotations:
//	  strongkeep.io/content   what pods were last restarted for
//	  strongkeep.io/marked    with method Evict only
//	spec.template.metadata.annotations:  (spec.jobTemplate.spec.template of a CronJob)
//	  strongkeep.io/content   what pods are created for
type fields struct {
	template, record, marked Stamp
}

func (w *workload) fields() fields { return fields{w.stamp(), w.record(), w.marked()} }

func apply(ctx context.Context, c client.Client, w *workload, f fields, opts ...client.ApplyOption) error {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(w.kind)
	u.SetNamespace(w.Namespace)
	u.SetName(w.Name)
	u.SetUID(w.UID)
	u.SetResourceVersion(w.ResourceVersion)
	annotations := map[string]string{}
	for name, s := range map[string]Stamp{AnnotationStamp: f.record, AnnotationMarked: f.marked} {
		if len(s) > 0 {
			annotations[name] = s.String()
		}
	}
	u.SetAnnotations(annotations)
	if len(f.template) > 0 {
		path := []string{"spec", "template", "metadata", "annotations"}
		if w.kind.Kind == "CronJob" {
			path = slices.Concat([]string{"spec", "jobTemplate"}, path)
		}
		if err := unstructured.SetNestedStringMap(u.Object, map[string]string{AnnotationStamp: f.template.String()}, path...); err != nil {
			return err
		}
	}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), append(opts, client.FieldOwner(FieldManager), client.ForceOwnership)...); err != nil {
		return err
	}
	w.ResourceVersion, w.Generation = u.GetResourceVersion(), u.GetGeneration()
	return nil
}

// used returns s without entries of objects that the workload does not use any
// more.
func (r *Roller) used(w *workload, s Stamp) Stamp {
	uses := content.References(&w.template.Spec)
	out := maps.Clone(s)
	maps.DeleteFunc(out, func(entry, _ string) bool {
		return !slices.Contains(uses, entry) && (r.cfg.Keep == nil || !r.cfg.Keep(w.Annotations, entry))
	})
	return out
}

// tries bounds how often a write is made anew because the object changed.
const tries = 5

// restart writes what restarts the pods of v, or marks those to be evicted. It
// returns the generation that is being rolled out, 0 when that did not change.
func (p *pass) restart(ctx context.Context, c access, v *view) (int64, error) {
	var err error
	for range tries {
		if p.q.Method == v1alpha1.RolloutEvict {
			err = p.mark(ctx, c, v)
		} else {
			f := v.live.fields()
			f.template = p.used(v.live, f.template).with(v.wanted)
			f.record = p.used(v.live, f.record).with(v.wanted)
			err = apply(ctx, c, v.live, f)
		}
		if err == nil {
			break
		}
		if !apierrors.IsConflict(err) {
			return 0, err
		}
		fresh, e := read(ctx, c, v.Object)
		if e != nil {
			v.unread(e)
			return 0, nil
		}
		v.live, v.candidate = fresh, false
		if p.judge(ctx, c, v); !v.candidate {
			return 0, nil
		}
	}
	if err != nil {
		return 0, err
	}
	v.candidate = false
	v.Since = p.cfg.Clock.Now()
	switch {
	case v.live.kind.Kind == "CronJob":
		p.foreign(v)
	case p.q.Method == v1alpha1.RolloutEvict:
		v.is(Rolling, "its pods are marked, to be evicted one by one")
	default:
		v.is(Rolling, "restarted")
	}
	return v.live.Generation, nil
}

// Adopt notes on a workload what its pods are taken to run on, where nothing is
// noted yet, and restarts nothing. It is for what is seen for the first time, in
// our cluster; so is Tell.
func (r *Roller) Adopt(ctx context.Context, o consumer.Object, seen Stamp) error {
	return r.note(ctx, o, func(w *workload) Stamp { return seen.with(w.stamp()).with(w.record()) })
}

// Tell writes what pods of o should know, as an annotation of theirs, and notes
// it on o. It returns how many pods were told. Nothing is restarted.
func (r *Roller) Tell(ctx context.Context, o consumer.Object, annotation string, now Stamp) (int, error) {
	c := r.own()
	w, err := read(ctx, c, o)
	if err != nil {
		return 0, err
	}
	all, err := pods(ctx, c.live, w)
	if err != nil {
		return 0, err
	}
	for _, pod := range all {
		if err := annotate(ctx, c, pod, annotation, now); client.IgnoreNotFound(err) != nil {
			return 0, err
		}
	}
	return len(all), r.note(ctx, o, func(w *workload) Stamp { return w.record().with(now) })
}

// note writes the record of o.
func (r *Roller) note(ctx context.Context, o consumer.Object, record func(*workload) Stamp) error {
	c := r.own()
	var err error
	for range tries {
		var w *workload
		if w, err = read(ctx, c, o); err != nil {
			return client.IgnoreNotFound(err)
		}
		f := w.fields()
		f.record = r.used(w, record(w))
		if err = apply(ctx, c, w, f); !apierrors.IsConflict(err) {
			break
		}
	}
	return err
}

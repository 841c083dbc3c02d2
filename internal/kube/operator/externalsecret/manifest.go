package externalsecret

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/index"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/manifest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// syncedOf is what a condition says of a target that is as it must be.
func syncedOf(es *v1.ExternalSecret) string {
	if manifest.Asked(es) {
		return "resource synced"
	}
	return synced
}

// unmakeable returns why a target that is no Secret cannot be made, before
// generators are asked, whose values none of these can hold.
func unmakeable(o observed) error {
	if o.unseen != nil || !manifest.Asked(o.es) {
		return o.unseen
	}
	return gather.Supported(&o.es.Spec)
}

// made is what a target is made of.
type made struct {
	got   gather.Result
	texts render.Texts
	mark  marked
}

// writeManifest makes a target that is no Secret what the values say. Other
// controllers write into such objects too, their status above all, so that one with
// another version than our last write's is looked at before it is made anew.
func (r *Reconciler) writeManifest(ctx context.Context, o observed, m made) outcome {
	es, key := o.es, client.ObjectKeyFromObject(o.es)
	var seen *target.Version
	if o.live != nil {
		seen = &target.Version{UID: o.live.UID, ResourceVersion: o.live.ResourceVersion}
	}
	if seen != nil && o.memory.verified != *seen {
		if _, err := r.verify(ctx, es); err != nil {
			return outcome{err: err}
		}
		o.memory = r.memories.get(key)
	}
	out := outcome{message: syncedOf(es)}
	if r.unchanged(o, m.mark) {
		out.err = r.deleteFormer(ctx, es)
		return out
	}
	object, err := manifest.Render(es, m.got.Data, m.texts, render.Options{Limits: r.Limits, Delimiters: r.Delimiters, Now: r.Clock.Now})
	if err != nil {
		return outcome{err: err}
	}
	version, mark, err := r.Manifests.Apply(ctx, es, object, m.mark.Mark, seen)
	if err != nil {
		return outcome{err: err}
	}
	r.memories.change(key, func(e *entry) {
		e.verified, e.mark, e.secret, e.written, e.gone, e.merge = version, mark.String(), index.Entry(es), r.Clock.Now(), false, isMerge(es)
		e.versions, e.generated, e.drill = "", "", ""
	})
	out.changed = seen == nil || *seen != version
	switch {
	case seen == nil:
		r.Event(es, corev1.EventTypeNormal, "Created", fmt.Sprintf("%s %q created", manifest.Noun(es), target.Name(es)))
	case out.changed:
		r.Event(es, corev1.EventTypeNormal, "Updated", fmt.Sprintf("%s %q updated", manifest.Noun(es), target.Name(es)))
	}
	out.err = r.deleteFormer(ctx, es)
	return out
}

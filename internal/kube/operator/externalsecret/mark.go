package externalsecret

import (
	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/render"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// marked is the mark that a target is to have, but for the content.
type marked struct {
	target.Mark
	// former are the inputs as operators of before marked them, without the place;
	// only where the target has another mark.
	former string
}

// mark returns the mark of a target that is made from values and texts. The place is
// in it, so that equal inputs of two places do not look equal. A mark of before stays until
// something else is to be written: an upgrade writes nothing, and makes nothing anew.
func (r *Reconciler) mark(o observed, values map[string]redact.Secret, texts render.Texts) (m marked, err error) {
	m.Sources = o.sources
	spec := r.inputsOf(o.es)
	place := []any{"target", o.es.Namespace, target.Name(o.es)}
	if m.Inputs, err = r.Key.Inputs(values, []any{place, spec}, texts.Sources()...); err != nil || markOf(o).Inputs == m.Inputs {
		return m, err
	}
	m.former, err = r.Key.Inputs(values, spec, texts.Sources()...)
	return m, err
}

// inputsOf is what of es itself the target is made from.
func (r *Reconciler) inputsOf(es *v1.ExternalSecret) any {
	if es.Spec.Target.Template != nil {
		return append([]any{es.Spec.Target, target.Policy(es)}, r.Delimiters.Inputs()...)
	}
	return []any{es.Spec.Target, es.Labels, es.Annotations}
}

// markOf returns the mark of the target as it is, the zero Mark where there is none.
func markOf(o observed) target.Mark {
	switch {
	case o.live == nil:
		return target.Mark{}
	case isMerge(o.es): // whose mark is in memory
		return target.ParseMark(o.memory.mark)
	}
	return target.ParseMark(o.live.Annotations[target.AnnotationMark])
}

// unchanged reports whether the target was made from the very same inputs and
// is known to be as it was written; then nothing is rendered, so that a
// template that draws random numbers does not change a Secret for nothing.
func (r *Reconciler) unchanged(o observed, mark marked) bool {
	if o.live == nil || o.memory.verified != (target.Version{UID: o.live.UID, ResourceVersion: o.live.ResourceVersion}) {
		return false
	}
	if drillChanged(o) {
		return false
	}
	have := markOf(o)
	return have.Sources == mark.Sources && (have.Inputs == mark.Inputs || mark.former != "" && have.Inputs == mark.former)
}

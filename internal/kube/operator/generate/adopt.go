package generate

import (
	"slices"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/record"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Adoptable reports whether what k drew for dataFrom[i] before we were here stands in
// a Secret as it was drawn, so that taking the Secret over need not draw anew.
func Adoptable(k generator.Kind, spec *v1.ExternalSecretSpec, i int) bool {
	_, drawn := k.(generator.Drawer)
	t := spec.Target.Template
	return drawn && len(spec.DataFrom[i].Rewrite) == 0 && (t == nil || len(t.Data) == 0 && len(t.TemplateFrom) == 0)
}

// adopted returns what another operator drew and wrote, by its own way of writing,
// into a Secret that we take over. It is kept from now on as if we had drawn it now.
func (t *Turn) adopted(i int, s Source, want record.Entry) (gather.Generated, bool) {
	k := t.g.cfg.Kinds[s.Kind]
	if !t.foreign() || !Adoptable(k, &t.es.Spec, i) {
		return gather.Generated{}, false
	}
	keys, err := k.(generator.Drawer).Keys(s.Spec)
	if err != nil {
		return gather.Generated{}, false // Generate says it better
	}
	written := target.UpdatedKeys(t.live.ManagedFields, target.Manager(t.es.Name))
	values := map[string]redact.Secret{}
	for _, key := range keys {
		value, there := t.live.Data[key]
		if !there || !written[key] {
			return gather.Generated{}, false
		}
		values[key] = redact.New(slices.Clone(value))
	}
	want.Made = t.now.Unix()
	t.uses[i] = &use{entry: want}
	return gather.Generated{Values: values, Final: true}, true
}

// foreign reports whether the Secret was written last by another operator. One that
// several merge into has no mark of ours: there only a record tells.
func (t *Turn) foreign() bool {
	if t.live == nil || t.live.Annotations[target.AnnotationMark] == "" {
		return false
	}
	if target.Shared(t.es) {
		return len(t.have) == 0
	}
	return target.ParseMark(t.live.Annotations[target.AnnotationMark]) == target.Mark{}
}

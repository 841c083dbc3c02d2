package plan

import "github.com/strongkeep/strongkeep/api/external/v1alpha1"

// TemplateRefs returns "KIND/NAME" of the objects that hold templates of ps.
func TemplateRefs(ps *v1alpha1.PushSecret) (refs []string) {
	if ps.Spec.Template == nil {
		return nil
	}
	for _, f := range ps.Spec.Template.TemplateFrom {
		if f.ConfigMap != nil {
			refs = append(refs, "ConfigMap/"+f.ConfigMap.Name)
		}
		if f.Secret != nil {
			refs = append(refs, "Secret/"+f.Secret.Name)
		}
	}
	return refs
}

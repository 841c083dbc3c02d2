package render

import v1 "github.com/strongkeep/strongkeep/api/external/v1"

// Ref is an object that holds templates: a ConfigMap or a Secret.
type Ref struct{ Kind, Name string }

// Refs returns the objects that hold templates of t, in order; t may be nil.
func Refs(t *v1.ExternalSecretTemplate) (refs []Ref) {
	if t == nil {
		return nil
	}
	for _, f := range t.TemplateFrom {
		if f.ConfigMap != nil {
			refs = append(refs, Ref{"ConfigMap", f.ConfigMap.Name})
		}
		if f.Secret != nil {
			refs = append(refs, Ref{"Secret", f.Secret.Name})
		}
	}
	return refs
}

// Names returns "KIND/NAME" of what Refs does.
func Names(t *v1.ExternalSecretTemplate) (names []string) {
	for _, r := range Refs(t) {
		names = append(names, r.Kind+"/"+r.Name)
	}
	return names
}

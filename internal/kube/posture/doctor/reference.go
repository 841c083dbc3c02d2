package doctor

import (
	"fmt"
	"regexp"

	corev1 "k8s.io/api/core/v1"
)

// Reference is one place of a pod's spec that names a Secret or ConfigMap.
type Reference struct {
	// Kind is "Secret" or "ConfigMap".
	Kind, Name string
	// Key that must be there; "" for all or any.
	Key      string
	Optional bool
	// Field for people, and the JSON pointers of the name and of the key within the
	// spec; KeyAt is empty where Key is.
	Field, NameAt, KeyAt string
	// Container, "" for a volume or the pod itself. Pull: it is an imagePullSecret.
	Container string
	Pull      bool
}

// NameSpot is where the name stands; KeySpot where the key does.
func (r *Reference) NameSpot() Spot {
	return Spot{Field: r.Field, Is: r.Name, At: func(spec *corev1.PodSpec) string { return r.in(spec).NameAt }}
}

// KeySpot is for a Reference with a Key.
func (r *Reference) KeySpot() Spot {
	return Spot{Field: r.Field, Is: r.Key, At: func(spec *corev1.PodSpec) string { return r.in(spec).KeyAt }}
}

// in is r, of whatever key if it has none, as it is in another spec: at the same field, which has the names of container,
// volume and variable in it; or, where only an index differs, the one that is the same
// but for that. It is empty if there is none.
func (r *Reference) in(spec *corev1.PodSpec) Reference {
	var same []Reference
	for _, o := range References(spec) {
		if o.Kind != r.Kind || o.Name != r.Name || r.Key != "" && o.Key != r.Key || o.Container != r.Container || o.Pull != r.Pull || index.ReplaceAllString(o.Field, "[]") != index.ReplaceAllString(r.Field, "[]") {
			continue
		}
		if o.Field == r.Field {
			return o
		}
		same = append(same, o)
	}
	if len(same) == 1 {
		return same[0]
	}
	return Reference{}
}

// index is one that is a number.
var index = regexp.MustCompile(`\[[0-9]+\]`)

// References are the places of spec that name Secrets and ConfigMaps that the
// kubelet itself looks up, in order.
func References(spec *corev1.PodSpec) []Reference {
	var w references
	for i := range spec.InitContainers {
		w.container(&spec.InitContainers[i], "initContainers", i)
	}
	for i := range spec.Containers {
		w.container(&spec.Containers[i], "containers", i)
	}
	for i := range spec.Volumes {
		w.volume(&spec.Volumes[i], i)
	}
	for i, ref := range spec.ImagePullSecrets {
		w = append(w, Reference{Kind: "Secret", Name: ref.Name, Optional: true, Pull: true,
			Field: fmt.Sprintf("spec.imagePullSecrets[%d]", i), NameAt: fmt.Sprintf("/imagePullSecrets/%d/name", i)})
	}
	return w
}

type references []Reference

func (w *references) container(c *corev1.Container, list string, n int) {
	for i := range c.EnvFrom {
		from := &c.EnvFrom[i]
		field, at := fmt.Sprintf("spec.%s[%s].envFrom[%d]", list, c.Name, i), fmt.Sprintf("/%s/%d/envFrom/%d", list, n, i)
		if r := from.SecretRef; r != nil {
			*w = append(*w, Reference{Kind: "Secret", Name: r.Name, Optional: yes(r.Optional), Container: c.Name, Field: field, NameAt: at + "/secretRef/name"})
		}
		if r := from.ConfigMapRef; r != nil {
			*w = append(*w, Reference{Kind: "ConfigMap", Name: r.Name, Optional: yes(r.Optional), Container: c.Name, Field: field, NameAt: at + "/configMapRef/name"})
		}
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		field, at := fmt.Sprintf("spec.%s[%s].env[%s]", list, c.Name, c.Env[i].Name), fmt.Sprintf("/%s/%d/env/%d/valueFrom", list, n, i)
		if r := from.SecretKeyRef; r != nil {
			*w = append(*w, Reference{Kind: "Secret", Name: r.Name, Key: r.Key, Optional: yes(r.Optional), Container: c.Name, Field: field,
				NameAt: at + "/secretKeyRef/name", KeyAt: at + "/secretKeyRef/key"})
		}
		if r := from.ConfigMapKeyRef; r != nil {
			*w = append(*w, Reference{Kind: "ConfigMap", Name: r.Name, Key: r.Key, Optional: yes(r.Optional), Container: c.Name, Field: field,
				NameAt: at + "/configMapKeyRef/name", KeyAt: at + "/configMapKeyRef/key"})
		}
	}
}

func yes(b *bool) bool { return b != nil && *b }

func (w *references) volume(v *corev1.Volume, n int) {
	field, at := fmt.Sprintf("spec.volumes[%s]", v.Name), fmt.Sprintf("/volumes/%d", n)
	if s := v.Secret; s != nil {
		w.files(Reference{Kind: "Secret", Name: s.SecretName, Optional: yes(s.Optional), Field: field + ".secret", NameAt: at + "/secret/secretName"}, at+"/secret", s.Items)
	}
	if s := v.ConfigMap; s != nil {
		w.files(Reference{Kind: "ConfigMap", Name: s.Name, Optional: yes(s.Optional), Field: field + ".configMap", NameAt: at + "/configMap/name"}, at+"/configMap", s.Items)
	}
	if s := v.CSI; s != nil && s.NodePublishSecretRef != nil {
		*w = append(*w, Reference{Kind: "Secret", Name: s.NodePublishSecretRef.Name, Field: field + ".csi.nodePublishSecretRef", NameAt: at + "/csi/nodePublishSecretRef/name"})
	}
	if v.Projected == nil {
		return
	}
	for i := range v.Projected.Sources {
		from, field, at := &v.Projected.Sources[i], fmt.Sprintf("%s.projected.sources[%d]", field, i), fmt.Sprintf("%s/projected/sources/%d", at, i)
		if s := from.Secret; s != nil {
			w.files(Reference{Kind: "Secret", Name: s.Name, Optional: yes(s.Optional), Field: field, NameAt: at + "/secret/name"}, at+"/secret", s.Items)
		}
		if s := from.ConfigMap; s != nil {
			w.files(Reference{Kind: "ConfigMap", Name: s.Name, Optional: yes(s.Optional), Field: field, NameAt: at + "/configMap/name"}, at+"/configMap", s.Items)
		}
	}
}

// files adds a volume, once for each key that it names.
func (w *references) files(r Reference, at string, items []corev1.KeyToPath) {
	if len(items) == 0 {
		*w = append(*w, r)
	}
	for i := range items {
		one := r
		one.Key, one.KeyAt = items[i].Key, fmt.Sprintf("%s/items/%d/key", at, i)
		*w = append(*w, one)
	}
}

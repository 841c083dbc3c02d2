package content

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// References returns what a pod takes content from, as entries of stamps in
// their order: environment variables, volumes and projected volumes of all its
// containers. Secrets that only pull images or mount storage are not content:
// no container sees them.
func References(spec *corev1.PodSpec) []string {
	found := map[string]bool{}
	add := func(kind Kind, name string) {
		if name != "" {
			found[string(kind)+"/"+name] = true
		}
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			environment(&list[i], add)
		}
	}
	for i := range spec.Volumes {
		volume(&spec.Volumes[i], add)
	}
	return slices.Sorted(maps.Keys(found))
}

func environment(c *corev1.Container, add func(Kind, string)) {
	for _, e := range c.EnvFrom {
		if e.SecretRef != nil {
			add(Secret, e.SecretRef.Name)
		}
		if e.ConfigMapRef != nil {
			add(ConfigMap, e.ConfigMapRef.Name)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		if e.ValueFrom.SecretKeyRef != nil {
			add(Secret, e.ValueFrom.SecretKeyRef.Name)
		}
		if e.ValueFrom.ConfigMapKeyRef != nil {
			add(ConfigMap, e.ValueFrom.ConfigMapKeyRef.Name)
		}
	}
}

func volume(v *corev1.Volume, add func(Kind, string)) {
	if v.Secret != nil {
		add(Secret, v.Secret.SecretName)
	}
	if v.ConfigMap != nil {
		add(ConfigMap, v.ConfigMap.Name)
	}
	if v.Projected == nil {
		return
	}
	for _, s := range v.Projected.Sources {
		if s.Secret != nil {
			add(Secret, s.Secret.Name)
		}
		if s.ConfigMap != nil {
			add(ConfigMap, s.ConfigMap.Name)
		}
	}
}

// ParseEntry is the reverse of Object.Entry, in a namespace.
func ParseEntry(namespace, entry string) (Object, bool) {
	kind, name, ok := strings.Cut(entry, "/")
	o := Object{Kind: Kind(kind)}
	o.Namespace, o.Name = namespace, name
	return o, ok && name != "" && (o.Kind == Secret || o.Kind == ConfigMap)
}

package relocation

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Relocation takes keys of a ConfigMap out of pods of a template, which get the same values at the
// same places from Secrets.
type Relocation struct {
	From string                               // the ConfigMap's name
	To   map[string]*corev1.SecretKeySelector // by the key of the ConfigMap
}

// Body is the patch of a pod's spec; nil if it has none of the keys.
func (m *Relocation) Body(spec *corev1.PodSpec) (map[string]any, error) {
	out := map[string]any{}
	for name, list := range map[string][]corev1.Container{"initContainers": spec.InitContainers, "containers": spec.Containers} {
		var patches []any
		for i := range list {
			env, err := m.variables(&list[i])
			if err != nil {
				return nil, err
			}
			if len(env) > 0 {
				patches = append(patches, map[string]any{"name": list[i].Name, "env": env})
			}
		}
		if len(patches) > 0 {
			out[name] = patches
		}
	}
	var volumes []any
	for i := range spec.Volumes {
		v, err := m.volume(&spec.Volumes[i])
		if err != nil {
			return nil, err
		}
		if v != nil {
			volumes = append(volumes, v)
		}
	}
	if len(volumes) > 0 {
		out["volumes"] = volumes
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// Uses reports whether a pod of the spec has one of the keys.
func (m *Relocation) Uses(spec *corev1.PodSpec) bool {
	body, err := m.Body(spec)
	return body != nil || err != nil
}

// variables are the patches of those of a container that have a key. One of env counts more
// than one of envFrom that is called the same.
func (m *Relocation) variables(c *corev1.Container) ([]any, error) {
	var out []any
	own := map[string]bool{}
	for i := range c.Env {
		e := &c.Env[i]
		own[e.Name] = true
		if e.ValueFrom == nil || e.ValueFrom.ConfigMapKeyRef == nil || e.ValueFrom.ConfigMapKeyRef.Name != m.From {
			continue
		}
		if to := m.To[e.ValueFrom.ConfigMapKeyRef.Key]; to != nil {
			out = append(out, Variable(e.Name, to))
		}
	}
	for i := range c.EnvFrom {
		if from := &c.EnvFrom[i]; from.ConfigMapRef == nil || from.ConfigMapRef.Name != m.From {
			continue
		}
		more, err := m.whole(c, i, own)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// whole are the patches for the keys that the container takes by its source number i of envFrom; own
// are the names that count more, to which these are added.
func (m *Relocation) whole(c *corev1.Container, i int, own map[string]bool) ([]any, error) {
	var out []any
	for _, key := range slices.Sorted(maps.Keys(m.To)) {
		name := c.EnvFrom[i].Prefix + key
		if own[name] {
			continue
		}
		if i+1 < len(c.EnvFrom) {
			return nil, errs.Newf(errs.Unsupported, "container %s has more in envFrom behind ConfigMap %s: whether that gives variable %s too is not known; name it in env, and call this again", c.Name, m.From, name)
		}
		use := "$(" + name + ")"
		if slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return strings.Contains(e.Value, use) }) {
			return nil, errs.Newf(errs.Unsupported, "container %s makes other variables of %s, which comes by envFrom: name it in env before them, and call this again", c.Name, use)
		}
		own[name] = true
		out = append(out, Variable(name, m.To[key]))
	}
	return out, nil
}

// volume is the patch of one that has a key: projected, so that every file stays at its place.
func (m *Relocation) volume(v *corev1.Volume) (any, error) {
	var sources []corev1.VolumeProjection
	p := &corev1.ProjectedVolumeSource{}
	switch {
	case v.ConfigMap != nil && v.ConfigMap.Name == m.From:
		p.DefaultMode = v.ConfigMap.DefaultMode
		sources = []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: v.ConfigMap.LocalObjectReference, Items: v.ConfigMap.Items, Optional: v.ConfigMap.Optional}}}
	case v.Projected != nil:
		p.DefaultMode, sources = v.Projected.DefaultMode, v.Projected.Sources
	}
	if p.Sources = m.without(sources); p.Sources == nil {
		return nil, nil
	}
	var body any
	text, err := json.Marshal(p)
	if err == nil {
		err = json.Unmarshal(text, &body)
	}
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a volume: %w", err)
	}
	out := map[string]any{"name": v.Name, "projected": body}
	if v.ConfigMap != nil {
		out["configMap"] = nil
	}
	return out, nil
}

// without are the sources with the keys taken from Secrets; nil if they have none of them.
func (m *Relocation) without(sources []corev1.VolumeProjection) []corev1.VolumeProjection {
	var out []corev1.VolumeProjection
	changed := false
	for i, s := range sources {
		var split []corev1.VolumeProjection
		if s.ConfigMap != nil && s.ConfigMap.Name == m.From {
			split = m.split(s.ConfigMap, given(sources[i+1:]))
		}
		if split == nil {
			split = []corev1.VolumeProjection{s}
		} else {
			changed = true
		}
		out = append(out, split...)
	}
	if !changed {
		return nil
	}
	return out
}

// given are the paths that Secrets have in a volume behind a ConfigMap, by a run before: they count more
// than what it gives there. Those before it do not.
func given(sources []corev1.VolumeProjection) map[string]bool {
	out := map[string]bool{}
	for _, s := range sources {
		if s.Secret != nil {
			for _, item := range s.Secret.Items {
				out[item.Path] = true
			}
		}
	}
	return out
}

// split is the rest of a source, and the Secrets that have what is taken from it; nil if it
// has none of the keys, or all of them lie under what is given.
func (m *Relocation) split(c *corev1.ConfigMapProjection, given map[string]bool) []corev1.VolumeProjection {
	rest := *c
	rest.Items = nil
	var taken []corev1.KeyToPath
	for _, item := range c.Items {
		if m.To[item.Key] != nil {
			taken = append(taken, item)
		} else {
			rest.Items = append(rest.Items, item)
		}
	}
	if c.Items == nil {
		for _, key := range slices.Sorted(maps.Keys(m.To)) {
			if !given[key] {
				taken = append(taken, corev1.KeyToPath{Key: key, Path: key})
			}
		}
	}
	if len(taken) == 0 {
		return nil
	}
	var out []corev1.VolumeProjection
	if c.Items == nil || len(rest.Items) > 0 {
		out = append(out, corev1.VolumeProjection{ConfigMap: &rest})
	}
	for _, item := range taken {
		to := m.To[item.Key]
		item.Key = to.Key
		out = append(out, corev1.VolumeProjection{Secret: &corev1.SecretProjection{LocalObjectReference: to.LocalObjectReference, Items: []corev1.KeyToPath{item}, Optional: to.Optional}})
	}
	return out
}

// Variable is the patch of a variable that comes from a key of a Secret, and is no literal and
// no key of a ConfigMap any more.
func Variable(name string, from *corev1.SecretKeySelector) map[string]any {
	ref := map[string]any{"name": from.Name, "key": from.Key}
	if ptr.Deref(from.Optional, false) {
		ref["optional"] = true
	}
	return map[string]any{"name": name, "value": nil, "valueFrom": map[string]any{"configMapKeyRef": nil, "secretKeyRef": ref}}
}

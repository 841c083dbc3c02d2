package shadow

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// Copy returns what a shadow of pods by template runs: the same containers, with
// the Secrets in renamed under their new names. why says why there is none: it
// would get at something that the pods that serve have.
func Copy(template *corev1.PodTemplateSpec, renamed map[string]string) (spec *corev1.PodSpec, why string) {
	spec = template.Spec.DeepCopy()
	if why := unfit(spec); why != "" {
		return nil, why
	}
	spec.NodeName, spec.Hostname, spec.Subdomain = "", "", ""
	spec.PriorityClassName, spec.Priority, spec.PreemptionPolicy = "", nil, nil // it pushes nobody aside
	spec.ActiveDeadlineSeconds = ptr.To(int64(lifetime.Seconds()))
	spec.TerminationGracePeriodSeconds = ptr.To(min(ptr.Deref(spec.TerminationGracePeriodSeconds, grace), grace))
	name := func(of *string) {
		if to := renamed[*of]; to != "" {
			*of = to
		}
	}
	for i := range spec.Volumes {
		renameVolume(&spec.Volumes[i], name)
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			c := &list[i]
			for j := range c.Ports {
				c.Ports[j].HostPort = 0
			}
			renameEnv(c, name)
		}
	}
	return spec, ""
}

// grace is the longest time that a shadow has to end, in seconds.
const grace = 5

func renameVolume(v *corev1.Volume, name func(*string)) {
	if v.Secret != nil {
		name(&v.Secret.SecretName)
	}
	if v.Projected == nil {
		return
	}
	for i := range v.Projected.Sources {
		if s := v.Projected.Sources[i].Secret; s != nil {
			name(&s.Name)
		}
	}
}

func renameEnv(c *corev1.Container, name func(*string)) {
	for i := range c.EnvFrom {
		if r := c.EnvFrom[i].SecretRef; r != nil {
			name(&r.Name)
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.SecretKeyRef != nil {
			name(&from.SecretKeyRef.Name)
		}
	}
}

// itsOwn reports whether a volume holds nothing of anybody else's.
func itsOwn(v *corev1.VolumeSource) bool {
	return v.Secret != nil || v.ConfigMap != nil || v.Projected != nil || v.EmptyDir != nil || v.DownwardAPI != nil || v.Image != nil
}

// unfit says why no copy may run: only volumes are let through that hold nothing
// of anybody else's.
func unfit(spec *corev1.PodSpec) string {
	if spec.HostNetwork || spec.HostPID || spec.HostIPC {
		return "it shares its node's network or processes"
	}
	has := map[string]bool{}
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		has[v.Name] = true
		if !itsOwn(&v.VolumeSource) {
			return fmt.Sprintf("its volume %s holds what its other pods use", v.Name)
		}
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			for _, m := range list[i].VolumeMounts {
				if !has[m.Name] {
					return fmt.Sprintf("its volume %s is made for each of its pods", m.Name)
				}
			}
		}
	}
	return ""
}

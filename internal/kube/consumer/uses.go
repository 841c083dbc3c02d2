package consumer

import (
	corev1 "k8s.io/api/core/v1"
)

// CSIDriver is the name of the Secrets Store CSI driver.
const CSIDriver = "secrets-store.csi.k8s.io"

// Uses returns every way in which a pod of spec uses a Secret, in the order of
// spec. A Secret that does not exist is used all the same, and so is an optional
// one. A volume that no container mounts has no container.
func Uses(spec *corev1.PodSpec) []Use {
	secrets, _ := AllUses(spec)
	return secrets
}

// AllUses returns Uses, and the same for ConfigMaps: there Use.Secret is the name of one.
func AllUses(spec *corev1.PodSpec) (secrets, configMaps []Use) {
	most := len(spec.Volumes) // of most pods, which mount each volume once
	for i := range spec.Containers {
		most += len(spec.Containers[i].EnvFrom)
	}
	visit(spec, func(u Use, configMap bool) {
		switch {
		case configMap:
			configMaps = append(configMaps, u)
		case secrets == nil:
			secrets = append(make([]Use, 0, most), u)
		default:
			secrets = append(secrets, u)
		}
	})
	return secrets, configMaps
}

// Classes returns the names of the SecretProviderClasses that volumes of spec
// are filled by, by the volume's name.
func Classes(spec *corev1.PodSpec) map[string]string {
	var out map[string]string
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if v.CSI == nil || v.CSI.Driver != CSIDriver || v.CSI.VolumeAttributes["secretProviderClass"] == "" {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[v.Name] = v.CSI.VolumeAttributes["secretProviderClass"]
	}
	return out
}

// visitor is told of each use, and whether it is one of a ConfigMap.
type visitor func(u Use, configMap bool)

func visit(spec *corev1.PodSpec, tell visitor) {
	w := walk{files: map[string][]content{}, mounted: map[string]bool{}, tell: tell}
	for i := range spec.Volumes {
		w.volume(&spec.Volumes[i])
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		w.container(c, !sidecar)
	}
	for i := range spec.Containers {
		w.container(&spec.Containers[i], false)
	}
	for i := range spec.EphemeralContainers {
		c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		w.container(&c, false)
	}
	w.unmounted(spec.Volumes)
	for _, ref := range spec.ImagePullSecrets {
		if ref.Name != "" {
			tell(Use{Kind: UseImagePull, Secret: ref.Name}, false)
		}
	}
}

// walk is one walk through a PodSpec.
type walk struct {
	files   map[string][]content // by volume
	mounted map[string]bool
	tell    visitor
}

func (w *walk) volume(v *corev1.Volume) {
	w.files[v.Name] = contents(v)
	name := storage(v)
	if name == "" {
		return
	}
	kind := UseStorage
	if v.CSI != nil {
		kind = UseCSI
	}
	w.tell(Use{Kind: kind, Secret: name, Volume: v.Name}, false)
}

func (w *walk) container(c *corev1.Container, init bool) {
	visitEnv(c, init, w.tell)
	for i := range c.VolumeMounts {
		m := &c.VolumeMounts[i]
		w.mounted[m.Name] = true
		for _, f := range w.files[m.Name] {
			u := f.use
			u.Container, u.Init, u.Where = c.Name, init, m.MountPath
			if m.SubPath != "" || m.SubPathExpr != "" {
				u.Kind = UseSubPath
			}
			w.tell(u, f.configMap)
		}
	}
}

// unmounted tells of volumes that no container mounts: the pod does not start
// without their Secrets all the same.
func (w *walk) unmounted(volumes []corev1.Volume) {
	for i := range volumes {
		if name := volumes[i].Name; !w.mounted[name] {
			for _, f := range w.files[name] {
				w.tell(f.use, f.configMap)
			}
		}
	}
}

func visitEnv(c *corev1.Container, init bool, tell visitor) {
	for i := range c.EnvFrom {
		from := &c.EnvFrom[i]
		if r := from.SecretRef; r != nil && r.Name != "" {
			tell(Use{Kind: UseEnvFrom, Secret: r.Name, Container: c.Name, Init: init, Where: from.Prefix, Optional: is(r.Optional)}, false)
		}
		if r := from.ConfigMapRef; r != nil && r.Name != "" {
			tell(Use{Kind: UseEnvFrom, Secret: r.Name, Container: c.Name, Init: init, Where: from.Prefix, Optional: is(r.Optional)}, true)
		}
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		if r := from.SecretKeyRef; r != nil && r.Name != "" {
			tell(Use{Kind: UseEnv, Secret: r.Name, Container: c.Name, Init: init, Where: c.Env[i].Name, Key: r.Key, Optional: is(r.Optional)}, false)
		}
		if r := from.ConfigMapKeyRef; r != nil && r.Name != "" {
			tell(Use{Kind: UseEnv, Secret: r.Name, Container: c.Name, Init: init, Where: c.Env[i].Name, Key: r.Key, Optional: is(r.Optional)}, true)
		}
	}
}

// content is one Secret or ConfigMap whose keys are files of a volume.
type content struct {
	use       Use
	configMap bool
}

func contents(v *corev1.Volume) []content {
	var out []content
	add := func(u Use, configMap bool) {
		if u.Secret != "" {
			u.Volume = v.Name
			out = append(out, content{u, configMap})
		}
	}
	if s := v.Secret; s != nil {
		add(Use{Kind: UseVolume, Secret: s.SecretName, Items: paths(s.Items), Optional: is(s.Optional)}, false)
	}
	if s := v.ConfigMap; s != nil {
		add(Use{Kind: UseVolume, Secret: s.Name, Items: paths(s.Items), Optional: is(s.Optional)}, true)
	}
	if v.Projected == nil {
		return out
	}
	for i := range v.Projected.Sources {
		if s := v.Projected.Sources[i].Secret; s != nil {
			add(Use{Kind: UseProjected, Secret: s.Name, Items: paths(s.Items), Optional: is(s.Optional)}, false)
		}
		if s := v.Projected.Sources[i].ConfigMap; s != nil {
			add(Use{Kind: UseProjected, Secret: s.Name, Items: paths(s.Items), Optional: is(s.Optional)}, true)
		}
	}
	return out
}

func is(b *bool) bool { return b != nil && *b }

func paths(items []corev1.KeyToPath) map[string]string {
	if len(items) == 0 {
		return nil
	}
	out := make(map[string]string, len(items))
	for _, i := range items {
		out[i.Key] = i.Path
	}
	return out
}

// storage returns the Secret that the node logs in with to mount v, or "".
func storage(v *corev1.Volume) string {
	local := func(r *corev1.LocalObjectReference) string {
		if r == nil {
			return ""
		}
		return r.Name
	}
	switch {
	case v.CSI != nil:
		return local(v.CSI.NodePublishSecretRef)
	case v.AzureFile != nil:
		return v.AzureFile.SecretName
	case v.CephFS != nil:
		return local(v.CephFS.SecretRef)
	case v.Cinder != nil:
		return local(v.Cinder.SecretRef)
	case v.FlexVolume != nil:
		return local(v.FlexVolume.SecretRef)
	case v.ISCSI != nil:
		return local(v.ISCSI.SecretRef)
	case v.RBD != nil:
		return local(v.RBD.SecretRef)
	case v.ScaleIO != nil:
		return local(v.ScaleIO.SecretRef)
	case v.StorageOS != nil:
		return local(v.StorageOS.SecretRef)
	}
	return ""
}

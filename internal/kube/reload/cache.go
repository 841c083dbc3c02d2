package reload

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Shrink takes out of a cached Deployment, StatefulSet or DaemonSet what is not
// looked at here: of a workload that asks for nothing that is nearly all. It is
// a transformation of caches.
func Shrink(o any) (any, error) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		shrink(&o.ObjectMeta, &o.Spec.Template)
		o.Status.Conditions = progressing(o.Status.Conditions)
	case *appsv1.StatefulSet:
		shrink(&o.ObjectMeta, &o.Spec.Template)
		o.Spec.VolumeClaimTemplates, o.Status.Conditions = nil, nil
	case *appsv1.DaemonSet:
		shrink(&o.ObjectMeta, &o.Spec.Template)
	case client.Object:
		o.SetManagedFields(nil)
	}
	return o, nil
}

func progressing(all []appsv1.DeploymentCondition) (out []appsv1.DeploymentCondition) {
	for _, c := range all {
		if c.Type == appsv1.DeploymentProgressing {
			c.Message = ""
			out = append(out, c)
		}
	}
	return out
}

func shrink(m *metav1.ObjectMeta, t *corev1.PodTemplateSpec) {
	m.ManagedFields = nil
	m.Annotations = Relevant(m.Annotations)
	t.ObjectMeta = metav1.ObjectMeta{Annotations: Relevant(t.Annotations)}
	s := Read(m.Annotations, t.Annotations)
	if s.Way == "" {
		t.Spec = corev1.PodSpec{}
		return
	}
	spec := corev1.PodSpec{InitContainers: environments(t.Spec.InitContainers), Containers: environments(t.Spec.Containers)}
	for _, v := range t.Spec.Volumes {
		if v.Secret != nil || v.ConfigMap != nil || v.Projected != nil {
			spec.Volumes = append(spec.Volumes, v)
		}
	}
	t.Spec = spec
}

func environments(all []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, len(all))
	for i, c := range all {
		out[i] = corev1.Container{Name: c.Name, Env: c.Env, EnvFrom: c.EnvFrom}
	}
	return out
}

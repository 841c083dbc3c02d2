package stock

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Who is told of a change is told of which Secrets, each once.
func TestSecretsOfEntry(t *testing.T) {
	ref := func(name string) *corev1.SecretKeySelector {
		return &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: "k"}
	}
	e, err := NewEntry(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "web"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Env: []corev1.EnvVar{
			{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref("db")}},
			{Name: "B", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref("db")}},
			{Name: "C", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: ref("api")}},
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := e.Secrets()
	slices.Sort(got)
	if !slices.Equal(got, []string{"api", "db"}) {
		t.Errorf("%v", got)
	}
}

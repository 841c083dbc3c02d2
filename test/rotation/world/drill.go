package world

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Drill begins a drill of a Deployment; more are fields of its spec, in YAML.
func (w *World) Drill(name, deployment string, failure v1alpha1.DrillFailure, more string) {
	w.Helper()
	w.Apply(fmt.Sprintf("{apiVersion: %s, kind: Drill, metadata: {name: %s}, spec: {workload: {kind: Deployment, name: %s}, failure: %s%s}}",
		v1alpha1.GroupVersion(), name, deployment, failure, more))
}

// Drilled waits until a drill is as f wants it, and is not refused.
func (w *World) Drilled(name, what string, f func(*v1alpha1.Drill) bool) *v1alpha1.Drill {
	w.Helper()
	var d *v1alpha1.Drill
	w.Until("drill "+name+" "+what, func() error {
		d = &v1alpha1.Drill{}
		if err := w.get(name, d); err != nil {
			return err
		}
		if d.Status.Phase == v1alpha1.DrillRefused {
			w.Fatalf("drill %s is refused: %+v", name, d.Status.Conditions)
		}
		if !f(d) {
			return fmt.Errorf("it is %s %s: %+v", d.Status.Phase, d.Status.Reason, d.Status.ExternalSecrets)
		}
		return nil
	})
	return d
}

// Secret of the world's namespace.
func (w *World) Secret(name string) *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{}
	w.Until("reading Secret "+name, func() error { return w.get(name, s) })
	return s
}

// ExternalSecret of the world's namespace.
func (w *World) ExternalSecret(name string) *v1.ExternalSecret {
	w.Helper()
	es := &v1.ExternalSecret{}
	w.Until("reading ExternalSecret "+name, func() error { return w.get(name, es) })
	return es
}

func (w *World) get(name string, o client.Object) error {
	err := w.site.Client.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, o)
	if apierrors.IsNotFound(err) {
		return errors.New("it is not there")
	}
	return err
}

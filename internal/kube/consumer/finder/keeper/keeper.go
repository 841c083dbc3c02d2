// Package keeper knows the tools that keep copies of Secrets true, by the marks
// that they leave.
//
// Start reading at SourceOf.
package keeper

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// tool is one that keeps copies of Secrets true, and how it marks them.
type tool struct {
	name string
	// source is the annotation with "namespace/name"; or two labels say it.
	source               string
	namespace, sourceFor string
	// mark is an annotation that says only that it is a copy.
	mark string
}

func tools() []tool {
	return []tool{
		{name: "Reflector", source: "reflector.v1.k8s.emberstack.com/reflects"},
		{name: "Kubernetes Replicator", source: "replicator.v1.mittwald.de/replicate-from", mark: "replicator.v1.mittwald.de/replicated-from-version"},
		{name: "Config Syncer", namespace: "kubed.appscode.com/origin.namespace", sourceFor: "kubed.appscode.com/origin.name"},
		{name: "Kyverno", namespace: "generate.kyverno.io/source-namespace", sourceFor: "generate.kyverno.io/source-name"},
	}
}

// SourceOf returns which tool keeps m, and the Secret it copies, which may be
// zero; "" when none does.
func SourceOf(m *metav1.ObjectMeta) (tool string, source types.NamespacedName) {
	for _, k := range tools() {
		if ns, name, ok := strings.Cut(m.Annotations[k.source], "/"); ok && k.source != "" {
			return k.name, types.NamespacedName{Namespace: ns, Name: name}
		}
		if name := m.Labels[k.sourceFor]; k.sourceFor != "" && name != "" {
			return k.name, types.NamespacedName{Namespace: m.Labels[k.namespace], Name: name}
		}
		if _, ok := m.Annotations[k.mark]; ok && k.mark != "" {
			return k.name, types.NamespacedName{}
		}
	}
	return "", types.NamespacedName{}
}

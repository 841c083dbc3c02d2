// Package scope says what a Rotation may name.
//
// Start reading at Foreign.
package scope

import (
	"fmt"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Own reports whether a reference of rot stays in its namespace.
func Own(rot *v1alpha1.Rotation, namespace string) bool {
	return namespace == "" || namespace == rot.Namespace
}

// Foreign says which consumer rot names in another namespace. Who may write a
// Rotation in one may not so have workloads restarted, or learn what Secrets hold,
// in others: consumers there are found by what they read.
func Foreign(rot *v1alpha1.Rotation) string {
	const why = `spec.consumers.%s[%d].namespace is %q: a Rotation names consumers of its own namespace only; those of others are found by the ExternalSecret, or the annotation of the tool, that feeds their Secret`
	for i, s := range rot.Spec.Consumers.Secrets {
		if !Own(rot, s.Namespace) {
			return fmt.Sprintf(why, "secrets", i, s.Namespace)
		}
	}
	for i, k := range rot.Spec.Consumers.Workloads {
		if !Own(rot, k.Namespace) {
			return fmt.Sprintf(why, "workloads", i, k.Namespace)
		}
	}
	return ""
}

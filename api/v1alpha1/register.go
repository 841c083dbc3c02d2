package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of Strongkeep's own objects.
const Group = "strongkeep.io"

// GroupVersion returns strongkeep.io/v1alpha1.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: "v1alpha1"}
}

// AddToScheme registers this version's kinds.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(),
		&Rotation{}, &RotationList{},
		&RotationPolicy{}, &RotationPolicyList{},
		&Drill{}, &DrillList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// GroupVersion returns external-secrets.io/v1alpha1.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: v1.Group, Version: "v1alpha1"}
}

// AddToScheme registers this version's kinds.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(), &PushSecret{}, &PushSecretList{}, &ClusterPushSecret{}, &ClusterPushSecretList{})
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}

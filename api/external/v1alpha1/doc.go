// Package v1alpha1 holds Strongkeep's own Go types for external-secrets.io/v1alpha1:
// PushSecret and ClusterPushSecret. The JSON is that of the External Secrets
// Operator, so that existing manifests work unchanged; the code is not.
//
// Start reading at PushSecret.
//
// +kubebuilder:object:generate=true
// +groupName=external-secrets.io
package v1alpha1

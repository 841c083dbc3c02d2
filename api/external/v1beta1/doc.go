// Package v1beta1 serves external-secrets.io/v1beta1, for good: the manifests
// most people have. Every kind has the very shape of v1, so the API server
// converts by changing the version string and no webhook is needed. The
// operator itself reads v1 only.
//
// Start reading at ExternalSecret.
//
// +kubebuilder:object:generate=true
// +groupName=external-secrets.io
package v1beta1

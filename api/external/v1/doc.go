// Package v1 holds Strongkeep's own Go types for external-secrets.io/v1, the
// storage version: ExternalSecret, SecretStore, ClusterSecretStore and
// ClusterExternalSecret. The JSON
// is that of the External Secrets Operator, so that existing manifests work
// unchanged; the code is not.
//
// v1beta1 has the same shape and is served for good, so that no conversion
// webhook is needed. A store's provider settings are kept as the JSON they came
// as and read, strictly, by the provider they name: a new provider needs no
// change here, and nothing a person wrote is dropped in silence.
//
// Start reading at ExternalSecret.
//
// +kubebuilder:object:generate=true
// +groupName=external-secrets.io
package v1

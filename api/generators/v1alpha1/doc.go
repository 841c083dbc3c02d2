// Package v1alpha1 holds Strongkeep's own Go types for
// generators.external-secrets.io/v1alpha1: objects that say how credentials are
// made, and GeneratorState, which remembers what was made that must be taken back.
// The JSON is that of the External Secrets Operator, so that existing manifests
// work unchanged; the code is not.
//
// Each kind reads its own spec, strictly, in internal/kube/generator/NAME; these
// types are what the API server checks and what documentation is made from.
//
// Start reading at Object.
//
// +kubebuilder:object:generate=true
// +groupName=generators.external-secrets.io
package v1alpha1

package v1

// SecretKeySelector points at one key of a Secret. Namespace may be set only in
// a ClusterSecretStore, where it must be.
//
// +kubebuilder:object:generate=false
type SecretKeySelector struct {
	Name      string  `json:"name,omitempty"`
	Namespace *string `json:"namespace,omitempty"`
	Key       string  `json:"key,omitempty"`
}

// ServiceAccountSelector points at a ServiceAccount. Namespace is as in
// SecretKeySelector.
//
// +kubebuilder:object:generate=false
type ServiceAccountSelector struct {
	Name      string   `json:"name"`
	Namespace *string  `json:"namespace,omitempty"`
	Audiences []string `json:"audiences,omitempty"`
}

// CAProvider points at PEM certificates in a Secret or ConfigMap. Namespace is
// as in SecretKeySelector.
//
// +kubebuilder:object:generate=false
type CAProvider struct {
	Type      string  `json:"type"`
	Name      string  `json:"name"`
	Key       string  `json:"key,omitempty"`
	Namespace *string `json:"namespace,omitempty"`
}

// The types of a CAProvider.
const (
	CAProviderSecret    = "Secret"
	CAProviderConfigMap = "ConfigMap"
)

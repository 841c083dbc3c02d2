package v1alpha1

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SecretKeySelector names a key of a Secret of the namespace in which the
// generator is used.
type SecretKeySelector struct {
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
	// It can only be the namespace in which the generator is used; leave it out.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace *string `json:"namespace,omitempty"`
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// ServiceAccountSelector names a ServiceAccount, as SecretKeySelector does a key.
type ServiceAccountSelector struct {
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// +optional
	Namespace *string `json:"namespace,omitempty"`
	// +optional
	Audiences []string `json:"audiences,omitempty"`
}

// WebhookSpec is a request. Its url, headers and body are templates.
type WebhookSpec struct {
	// GET when empty.
	// +optional
	Method string `json:"method,omitempty"`
	// https://HOST/PATH.
	URL string `json:"url"`
	// +optional
	Headers map[string]string `json:"headers,omitempty"`
	// +optional
	Auth *AuthorizationProtocol `json:"auth,omitempty"`
	// +optional
	Body string `json:"body,omitempty"`
	// +optional
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Which part of the answer is taken.
	Result WebhookResult `json:"result"`
	// Secrets that the templates may use, each under its name.
	// +optional
	Secrets []WebhookSecret `json:"secrets,omitempty"`
	// Authorities in PEM, in place of the system's.
	// +optional
	CABundle []byte `json:"caBundle,omitempty"`
	// +optional
	CAProvider *WebhookCAProvider `json:"caProvider,omitempty"`
}

// AuthorizationProtocol is a way to log in.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:MaxProperties=1
type AuthorizationProtocol struct {
	// By NTLM, with a connection for each request.
	// +optional
	NTLM *NTLMProtocol `json:"ntlm,omitempty"`
}

// NTLMProtocol logs in by NTLM.
type NTLMProtocol struct {
	UserName SecretKeySelector `json:"usernameSecret"`
	Password SecretKeySelector `json:"passwordSecret"`
}

// WebhookResult says which part of an answer is taken.
type WebhookResult struct {
	// A JSONPath (RFC 9535), such as $.result; the whole answer when empty.
	// +optional
	JSONPath string `json:"jsonPath,omitempty"`
}

// WebhookSecret is a Secret that templates may use.
type WebhookSecret struct {
	Name      string            `json:"name"`
	SecretRef SecretKeySelector `json:"secretRef"`
}

// WebhookCAProvider names authorities in a Secret or ConfigMap.
type WebhookCAProvider struct {
	// +kubebuilder:validation:Enum=Secret;ConfigMap
	Type string `json:"type"`
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
	// +optional
	Namespace *string `json:"namespace,omitempty"`
}

// VaultDynamicSecretSpec is a request of a vault.
type VaultDynamicSecretSpec struct {
	// The operator that answers, by its --controller-class; any when empty.
	// +optional
	Controller string `json:"controller,omitempty"`
	// GET when empty.
	// +optional
	Method string `json:"method,omitempty"`
	// The body of what is not GET, LIST or DELETE.
	// +optional
	Parameters *apiextensionsv1.JSON `json:"parameters,omitempty"`
	// The query of a GET.
	// +optional
	GetParameters map[string][]string `json:"getParameters,omitempty"`
	// The part of the answer that is taken.
	// +optional
	// +kubebuilder:default=Data
	// +kubebuilder:validation:Enum=Data;Auth;Raw
	ResultType string `json:"resultType,omitempty"`
	// +optional
	RetrySettings *RetrySettings `json:"retrySettings,omitempty"`
	// As spec.provider.vault of a SecretStore.
	Provider *apiextensionsv1.JSON `json:"provider"`
	// Behind /v1/, such as database/creds/app.
	Path string `json:"path"`
	// Makes an empty answer no error.
	// +optional
	// +kubebuilder:default=false
	AllowEmptyResponse bool `json:"allowEmptyResponse,omitempty"`
}

// RetrySettings bounds the tries of one request.
type RetrySettings struct {
	// +optional
	MaxRetries *int32 `json:"maxRetries,omitempty"`
	// +optional
	RetryInterval *string `json:"retryInterval,omitempty"`
}

// GithubAccessTokenSpec names an installation of a GitHub App.
type GithubAccessTokenSpec struct {
	// Of the API; https://api.github.com when empty.
	// +optional
	URL       string `json:"url,omitempty"`
	AppID     string `json:"appID"`
	InstallID string `json:"installID"`
	// The token is for these only.
	// +optional
	Repositories []string `json:"repositories,omitempty"`
	// The token has these only.
	// +optional
	Permissions map[string]string `json:"permissions,omitempty"`
	Auth        GithubAuth        `json:"auth"`
}

// GithubAuth is the App's private key.
type GithubAuth struct {
	PrivateKey GithubSecretRef `json:"privateKey"`
}

// GithubSecretRef names the key's Secret.
type GithubSecretRef struct {
	SecretRef SecretKeySelector `json:"secretRef"`
}

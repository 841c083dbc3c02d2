package v1alpha1

import apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

// ECRAuthorizationTokenSpec says whose login, and to which registries.
type ECRAuthorizationTokenSpec struct {
	Region string `json:"region"`
	// +optional
	Auth AWSAuth `json:"auth,omitempty"`
	// A role to assume before.
	// +optional
	Role string `json:"role,omitempty"`
	// private (when empty) or public.
	// +optional
	Scope string `json:"scope,omitempty"`
}

// STSSessionTokenSpec says whose credentials.
type STSSessionTokenSpec struct {
	Region string `json:"region"`
	// +optional
	Auth AWSAuth `json:"auth,omitempty"`
	// A role to assume: its credentials are given.
	// +optional
	Role string `json:"role,omitempty"`
	// +optional
	RequestParameters *RequestParameters `json:"requestParameters,omitempty"`
}

// RequestParameters are passed to STS.
type RequestParameters struct {
	// In seconds.
	// +optional
	SessionDuration *int32 `json:"sessionDuration,omitempty"`
	// Of an MFA device.
	// +optional
	SerialNumber *string `json:"serialNumber,omitempty"`
	// What that device shows.
	// +optional
	TokenCode *string `json:"tokenCode,omitempty"`
}

// AWSAuth says whose credentials are used, as spec.provider.aws.auth of a
// SecretStore does; without either the operator's own, where that is allowed.
type AWSAuth struct {
	// +optional
	SecretRef *AWSAuthSecretRef `json:"secretRef,omitempty"`
	// +optional
	JWTAuth *AWSJWTAuth `json:"jwt,omitempty"`
}

// AWSAuthSecretRef is an access key.
type AWSAuthSecretRef struct {
	// +optional
	AccessKeyID SecretKeySelector `json:"accessKeyIDSecretRef,omitempty"`
	// +optional
	SecretAccessKey SecretKeySelector `json:"secretAccessKeySecretRef,omitempty"`
	// +optional
	SessionToken *SecretKeySelector `json:"sessionTokenSecretRef,omitempty"`
}

// AWSJWTAuth takes the role of a ServiceAccount.
type AWSJWTAuth struct {
	// +optional
	ServiceAccountRef *ServiceAccountSelector `json:"serviceAccountRef,omitempty"`
}

// GCRAccessTokenSpec says whose token.
type GCRAccessTokenSpec struct {
	Auth GCPSMAuth `json:"auth"`
	// The project that the login is made in.
	ProjectID string `json:"projectID"`
}

// GCPSMAuth is as spec.provider.gcpsm.auth of a SecretStore.
type GCPSMAuth struct {
	// +optional
	SecretRef *GCPSMAuthSecretRef `json:"secretRef,omitempty"`
	// +optional
	WorkloadIdentity *GCPWorkloadIdentity `json:"workloadIdentity,omitempty"`
	// +optional
	WorkloadIdentityFederation *apiextensionsv1.JSON `json:"workloadIdentityFederation,omitempty"`
}

// GCPSMAuthSecretRef is a key of a service account.
type GCPSMAuthSecretRef struct {
	// +optional
	SecretAccessKey SecretKeySelector `json:"secretAccessKeySecretRef,omitempty"`
}

// GCPWorkloadIdentity takes the identity of a ServiceAccount.
type GCPWorkloadIdentity struct {
	ServiceAccountRef ServiceAccountSelector `json:"serviceAccountRef"`
	// +optional
	ClusterLocation string `json:"clusterLocation,omitempty"`
	// +optional
	ClusterName string `json:"clusterName,omitempty"`
	// +optional
	ClusterProjectID string `json:"clusterProjectID,omitempty"`
}

// ACRAccessTokenSpec says whose token, and for which registry.
type ACRAccessTokenSpec struct {
	Auth ACRAuth `json:"auth"`
	// +optional
	TenantID string `json:"tenantId,omitempty"`
	// Such as example.azurecr.io.
	ACRRegistry string `json:"registry"`
	// Such as repository:app:pull; without it the token is good for all of the registry.
	// +optional
	Scope string `json:"scope,omitempty"`
	// +optional
	// +kubebuilder:default=PublicCloud
	// +kubebuilder:validation:Enum=PublicCloud;USGovernmentCloud;ChinaCloud;GermanCloud;AzureStackCloud
	EnvironmentType string `json:"environmentType,omitempty"`
}

// ACRAuth is one way to log in.
type ACRAuth struct {
	// +optional
	ServicePrincipal *AzureACRServicePrincipalAuth `json:"servicePrincipal,omitempty"`
	// +optional
	ManagedIdentity *AzureACRManagedIdentityAuth `json:"managedIdentity,omitempty"`
	// +optional
	WorkloadIdentity *AzureACRWorkloadIdentityAuth `json:"workloadIdentity,omitempty"`
}

// AzureACRServicePrincipalAuth is a service principal's secret.
type AzureACRServicePrincipalAuth struct {
	SecretRef AzureACRServicePrincipalAuthSecretRef `json:"secretRef"`
}

// AzureACRServicePrincipalAuthSecretRef names the secret's parts.
type AzureACRServicePrincipalAuthSecretRef struct {
	// +optional
	ClientID SecretKeySelector `json:"clientId,omitempty"`
	// +optional
	ClientSecret SecretKeySelector `json:"clientSecret,omitempty"`
}

// AzureACRManagedIdentityAuth is the node's identity.
type AzureACRManagedIdentityAuth struct {
	// +optional
	IdentityID string `json:"identityId,omitempty"`
}

// AzureACRWorkloadIdentityAuth takes the identity of a ServiceAccount.
type AzureACRWorkloadIdentityAuth struct {
	// +optional
	ServiceAccountRef *ServiceAccountSelector `json:"serviceAccountRef,omitempty"`
}

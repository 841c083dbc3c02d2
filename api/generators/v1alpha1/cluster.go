package v1alpha1

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ClusterGenerator is a generator that every namespace may use. What it refers to
// is looked for in the namespace that uses it.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:metadata:labels="external-secrets.io/component=controller"
// +kubebuilder:resource:scope=Cluster,categories={external-secrets,external-secrets-generators}
type ClusterGenerator struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ClusterGeneratorSpec `json:"spec,omitempty"`
}

// ClusterGeneratorList is a list of ClusterGenerators.
//
// +kubebuilder:object:root=true
type ClusterGeneratorList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterGenerator `json:"items"`
}

// ClusterGeneratorSpec is the spec of a generator of some kind.
type ClusterGeneratorSpec struct {
	// Which kind; generator has the spec of that kind.
	// +kubebuilder:validation:Enum=ACRAccessToken;ECRAuthorizationToken;Fake;GCRAccessToken;GithubAccessToken;Password;SSHKey;STSSessionToken;UUID;VaultDynamicSecret;Webhook
	Kind      string        `json:"kind"`
	Generator GeneratorSpec `json:"generator"`
}

// GeneratorSpec is one spec.
//
// +kubebuilder:validation:MaxProperties=1
// +kubebuilder:validation:MinProperties=1
type GeneratorSpec struct {
	ACRAccessTokenSpec        *ACRAccessTokenSpec        `json:"acrAccessTokenSpec,omitempty"`
	ECRAuthorizationTokenSpec *ECRAuthorizationTokenSpec `json:"ecrAuthorizationTokenSpec,omitempty"`
	FakeSpec                  *FakeSpec                  `json:"fakeSpec,omitempty"`
	GCRAccessTokenSpec        *GCRAccessTokenSpec        `json:"gcrAccessTokenSpec,omitempty"`
	GithubAccessTokenSpec     *GithubAccessTokenSpec     `json:"githubAccessTokenSpec,omitempty"`
	PasswordSpec              *PasswordSpec              `json:"passwordSpec,omitempty"`
	SSHKeySpec                *SSHKeySpec                `json:"sshKeySpec,omitempty"`
	STSSessionTokenSpec       *STSSessionTokenSpec       `json:"stsSessionTokenSpec,omitempty"`
	UUIDSpec                  *UUIDSpec                  `json:"uuidSpec,omitempty"`
	VaultDynamicSecretSpec    *VaultDynamicSecretSpec    `json:"vaultDynamicSecretSpec,omitempty"`
	WebhookSpec               *WebhookSpec               `json:"webhookSpec,omitempty"`
}

// Of returns the spec of kind; false when there is none, or another beside it.
func (g *GeneratorSpec) Of(kind string) (json.RawMessage, bool) {
	all, err := json.Marshal(g)
	var fields map[string]json.RawMessage
	if err != nil || json.Unmarshal(all, &fields) != nil || len(fields) != 1 {
		return nil, false
	}
	spec, ok := fields[map[string]string{
		KindACRAccessToken: "acrAccessTokenSpec", KindECRAuthorizationToken: "ecrAuthorizationTokenSpec", KindFake: "fakeSpec",
		KindGCRAccessToken: "gcrAccessTokenSpec", KindGithubAccessToken: "githubAccessTokenSpec", KindPassword: "passwordSpec",
		KindSSHKey: "sshKeySpec", KindSTSSessionToken: "stsSessionTokenSpec", KindUUID: "uuidSpec",
		KindVaultDynamicSecret: "vaultDynamicSecretSpec", KindWebhook: "webhookSpec",
	}[kind]]
	return spec, ok
}

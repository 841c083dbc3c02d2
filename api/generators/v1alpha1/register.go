package v1alpha1

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Group is the API group of generators.
const Group = "generators.external-secrets.io"

// GroupVersion returns generators.external-secrets.io/v1alpha1.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: "v1alpha1"}
}

// The kinds.
const (
	KindClusterGenerator      = "ClusterGenerator"
	KindGeneratorState        = "GeneratorState"
	KindACRAccessToken        = "ACRAccessToken"
	KindECRAuthorizationToken = "ECRAuthorizationToken"
	KindFake                  = "Fake"
	KindGCRAccessToken        = "GCRAccessToken"
	KindGithubAccessToken     = "GithubAccessToken"
	KindPassword              = "Password"
	KindSSHKey                = "SSHKey"
	KindSTSSessionToken       = "STSSessionToken"
	KindUUID                  = "UUID"
	KindVaultDynamicSecret    = "VaultDynamicSecret"
	KindWebhook               = "Webhook"
)

// Object is a generator of a namespace.
//
// +kubebuilder:object:generate=false
type Object interface {
	client.Object
	// GeneratorSpec returns the spec itself.
	GeneratorSpec() any
}

// New returns an empty generator of each kind of a namespace, by kind.
func New() map[string]Object {
	return map[string]Object{
		KindACRAccessToken:        &ACRAccessToken{},
		KindECRAuthorizationToken: &ECRAuthorizationToken{},
		KindFake:                  &Fake{},
		KindGCRAccessToken:        &GCRAccessToken{},
		KindGithubAccessToken:     &GithubAccessToken{},
		KindPassword:              &Password{},
		KindSSHKey:                &SSHKey{},
		KindSTSSessionToken:       &STSSessionToken{},
		KindUUID:                  &UUID{},
		KindVaultDynamicSecret:    &VaultDynamicSecret{},
		KindWebhook:               &Webhook{},
	}
}

// Resources returns the kinds of New by the names of their resources.
func Resources() map[string]string {
	out := map[string]string{}
	for kind := range New() {
		out[strings.ToLower(kind)+"s"] = kind
	}
	return out
}

// AddToScheme registers the kinds.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(),
		&ACRAccessToken{}, &ACRAccessTokenList{},
		&ClusterGenerator{}, &ClusterGeneratorList{},
		&ECRAuthorizationToken{}, &ECRAuthorizationTokenList{},
		&Fake{}, &FakeList{},
		&GCRAccessToken{}, &GCRAccessTokenList{},
		&GeneratorState{}, &GeneratorStateList{},
		&GithubAccessToken{}, &GithubAccessTokenList{},
		&Password{}, &PasswordList{},
		&SSHKey{}, &SSHKeyList{},
		&STSSessionToken{}, &STSSessionTokenList{},
		&UUID{}, &UUIDList{},
		&VaultDynamicSecret{}, &VaultDynamicSecretList{},
		&Webhook{}, &WebhookList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}

package aws

import (
	"regexp"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
)

// Name is the key under spec.provider.
const Name = "aws"

// The services.
const (
	SecretsManager     = "SecretsManager"
	ParameterStore     = "ParameterStore"
	CertificateManager = "CertificateManager" // is read only
)

// Settings is the value of spec.provider.aws.
type Settings struct {
	Service string `json:"service"`
	Region  string `json:"region"`
	Auth    Auth   `json:"auth,omitzero"`

	// AdditionalRoles are assumed in their order, and Role behind them.
	AdditionalRoles []string `json:"additionalRoles,omitempty"`
	Role            string   `json:"role,omitempty"`
	// The rest is for Role.
	ExternalID        string            `json:"externalID,omitempty"`
	SessionTags       []Tag             `json:"sessionTags,omitempty"`
	TransitiveTagKeys []string          `json:"transitiveTagKeys,omitempty"`
	SessionTagsPolicy string            `json:"sessionTagsPolicy,omitempty"` // None (default), Simple or Custom
	CustomSessionTags map[string]string `json:"customSessionTags,omitempty"`

	Prefix         string   `json:"prefix,omitempty"` // in front of every key but ARNs of certificates
	SecretsManager Deletion `json:"secretsManager,omitzero"`
}

// Tag is a session tag.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Deletion says how Secrets Manager deletes what a PushSecret wrote.
type Deletion struct {
	ForceDeleteWithoutRecovery bool  `json:"forceDeleteWithoutRecovery,omitempty"`
	RecoveryWindowInDays       int64 `json:"recoveryWindowInDays,omitempty"` // 7 to 30; 0: AWS's own
}

// Auth says whose credentials are used: those of a ServiceAccount's role, a key in
// Secrets, or without either the operator's own.
type Auth struct {
	JWT       *JWT       `json:"jwt,omitempty"`
	SecretRef *SecretRef `json:"secretRef,omitempty"`
}

// JWT takes the role that a ServiceAccount's annotation names.
type JWT struct {
	ServiceAccountRef *v1.ServiceAccountSelector `json:"serviceAccountRef,omitempty"`
}

// SecretRef is an access key.
type SecretRef struct {
	AccessKeyID     v1.SecretKeySelector  `json:"accessKeyIDSecretRef"`
	SecretAccessKey v1.SecretKeySelector  `json:"secretAccessKeySecretRef"`
	SessionToken    *v1.SecretKeySelector `json:"sessionTokenSecretRef,omitempty"`
}

// regions are such as eu-central-1 and us-gov-west-1. What is in here becomes part
// of a host's name.
var regions = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)

func (s *Settings) check() error {
	switch s.Service {
	case SecretsManager, ParameterStore, CertificateManager:
	default:
		return errs.Newf(errs.Invalid, "service is %q: it must be SecretsManager, ParameterStore or CertificateManager", s.Service)
	}
	if !regions.MatchString(s.Region) {
		return errs.Newf(errs.Invalid, "region is %q: give one such as eu-central-1", s.Region)
	}
	for _, role := range append(s.AdditionalRoles, s.Role) {
		if role != "" && !strings.HasPrefix(role, "arn:") {
			return errs.Newf(errs.Invalid, "role %q is not an ARN such as arn:aws:iam::123456789012:role/reader", role)
		}
	}
	d := s.SecretsManager
	if d.RecoveryWindowInDays != 0 && (d.RecoveryWindowInDays < 7 || d.RecoveryWindowInDays > 30 || d.ForceDeleteWithoutRecovery) {
		return errs.New(errs.Invalid, "secretsManager.recoveryWindowInDays must be 7 to 30, and stands without forceDeleteWithoutRecovery")
	}
	return s.Auth.check()
}

func (a Auth) check() error {
	switch {
	case a.JWT != nil && a.SecretRef != nil:
		return errs.New(errs.Invalid, "auth has both jwt and secretRef: keep one")
	case a.JWT != nil && a.JWT.ServiceAccountRef == nil:
		return errs.New(errs.Invalid, "auth.jwt.serviceAccountRef is missing")
	}
	return nil
}

// roles returns the chain to assume for a store.
func (s *Settings) roles(store v1.StoreKey) ([]access.Role, error) {
	var roles []access.Role
	for _, arn := range s.AdditionalRoles {
		roles = append(roles, access.Role{ARN: arn})
	}
	tags, err := s.tags(store)
	if err != nil {
		return nil, err
	}
	if s.Role != "" {
		roles = append(roles, access.Role{ARN: s.Role, ExternalID: s.ExternalID, Tags: tags, TransitiveTags: s.TransitiveTagKeys})
	}
	return roles, nil
}

func (s *Settings) tags(store v1.StoreKey) (map[string]string, error) {
	tags := map[string]string{}
	for _, t := range s.SessionTags {
		tags[t.Key] = t.Value
	}
	switch s.SessionTagsPolicy {
	case "", "None":
		return tags, nil
	case "Simple":
	case "Custom":
		for name, value := range s.CustomSessionTags {
			tags[name] = value
		}
	default:
		return nil, errs.Newf(errs.Invalid, "sessionTagsPolicy is %q: it must be None, Simple or Custom", s.SessionTagsPolicy)
	}
	if store.Kind == v1.KindClusterSecretStore {
		return nil, errs.Newf(errs.Unsupported,
			"sessionTagsPolicy %s of a ClusterSecretStore is not supported: one login serves all namespaces, so none can be its tag; use a SecretStore in each", s.SessionTagsPolicy)
	}
	tags["esoNamespace"], tags["esoStoreName"], tags["esoStoreKind"] = store.Namespace, store.Name, store.Kind
	return tags, nil
}

var _ provider.Provider = Provider{}

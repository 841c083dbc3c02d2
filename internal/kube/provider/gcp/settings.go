package gcp

import (
	"regexp"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Name is the key under spec.provider.
const Name = "gcpsm"

// What is read where the latest version is disabled or destroyed: nothing, or the
// newest that is enabled.
const (
	LatestOrFail  = "LatestOrFail"
	LatestOrFetch = "LatestOrFetch"
)

// Settings is the value of spec.provider.gcpsm.
type Settings struct {
	Auth      Auth   `json:"auth,omitzero"`
	ProjectID string `json:"projectID,omitempty"`
	Location  string `json:"location,omitempty"` // of regional secrets
	Policy    string `json:"secretVersionSelectionPolicy,omitempty"`
}

// Auth says whose credentials are used: without any the operator's own.
type Auth struct {
	SecretRef                  *SecretRef                  `json:"secretRef,omitempty"`
	WorkloadIdentity           *WorkloadIdentity           `json:"workloadIdentity,omitempty"`
	WorkloadIdentityFederation *WorkloadIdentityFederation `json:"workloadIdentityFederation,omitempty"`
}

// SecretRef is a service account's key in JSON.
type SecretRef struct {
	SecretAccessKey v1.SecretKeySelector `json:"secretAccessKeySecretRef,omitzero"`
}

// WorkloadIdentity is a ServiceAccount of a GKE cluster. What is empty the node's
// metadata server tells.
type WorkloadIdentity struct {
	ServiceAccountRef v1.ServiceAccountSelector `json:"serviceAccountRef"`
	ClusterLocation   string                    `json:"clusterLocation,omitempty"`
	ClusterName       string                    `json:"clusterName,omitempty"`
	ClusterProjectID  string                    `json:"clusterProjectID,omitempty"`
}

// WorkloadIdentityFederation is a token of another issuer. One of the first three is set.
type WorkloadIdentityFederation struct {
	CredConfig             *ConfigMapReference        `json:"credConfig,omitempty"`
	ServiceAccountRef      *v1.ServiceAccountSelector `json:"serviceAccountRef,omitempty"`
	AWS                    *AWSCredentials            `json:"awsSecurityCredentials,omitempty"`
	Audience               string                     `json:"audience,omitempty"`
	ExternalTokenEndpoint  string                     `json:"externalTokenEndpoint,omitempty"`
	GCPServiceAccountEmail string                     `json:"gcpServiceAccountEmail,omitempty"`
}

// ConfigMapReference points at an external_account document.
type ConfigMapReference struct {
	Name      string `json:"name"`
	Key       string `json:"key"`
	Namespace string `json:"namespace,omitempty"`
}

// AWSCredentials is an access key of AWS, under the names of its shared file.
type AWSCredentials struct {
	Region    string `json:"region"`
	SecretRef struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace,omitempty"`
	} `json:"awsCredentialsSecretRef"`
}

// What becomes part of a host's name or of a path.
var (
	locations = regexp.MustCompile(`^[a-z]{2,20}(-[a-z]{2,20}){0,3}[0-9]{0,2}$`)
	projects  = regexp.MustCompile(`^([a-z0-9.-]{1,64}:)?[a-z0-9-]{1,64}$`)
	clusters  = regexp.MustCompile(`^[a-z0-9-]{0,64}$`)
)

func (s *Settings) check() error {
	switch {
	case s.ProjectID != "" && !projects.MatchString(s.ProjectID):
		return errs.Newf(errs.Invalid, "projectID is %q: give the id of a project such as my-project", s.ProjectID)
	case s.ProjectID == "" && s.Auth.SecretRef != nil:
		return errs.New(errs.Invalid, "projectID is missing: it is needed with auth.secretRef")
	case s.Location != "" && !locations.MatchString(s.Location):
		return errs.Newf(errs.Invalid, "location is %q: give one such as europe-west3, or none", s.Location)
	case s.Policy != "" && s.Policy != LatestOrFail && s.Policy != LatestOrFetch:
		return errs.Newf(errs.Invalid, "secretVersionSelectionPolicy is %q: it must be LatestOrFail or LatestOrFetch", s.Policy)
	}
	return s.Auth.check()
}

func (a Auth) check() error {
	n := 0
	for _, set := range []bool{a.SecretRef != nil, a.WorkloadIdentity != nil, a.WorkloadIdentityFederation != nil} {
		if set {
			n++
		}
	}
	if n > 1 {
		return errs.New(errs.Invalid, "auth has several of secretRef, workloadIdentity and workloadIdentityFederation: keep one")
	}
	if w := a.WorkloadIdentity; w != nil {
		switch {
		case w.ClusterProjectID != "" && !projects.MatchString(w.ClusterProjectID):
			return errs.Newf(errs.Invalid, "auth.workloadIdentity.clusterProjectID is %q: give the id of a project", w.ClusterProjectID)
		case !clusters.MatchString(w.ClusterName), !clusters.MatchString(w.ClusterLocation):
			return errs.New(errs.Invalid, "auth.workloadIdentity: clusterName and clusterLocation have small letters, digits and - only")
		}
	}
	return a.WorkloadIdentityFederation.check()
}

func (w *WorkloadIdentityFederation) check() error {
	if w == nil {
		return nil
	}
	n := 0
	for _, set := range []bool{w.CredConfig != nil, w.ServiceAccountRef != nil, w.AWS != nil} {
		if set {
			n++
		}
	}
	switch {
	case n != 1:
		return errs.New(errs.Invalid, "auth.workloadIdentityFederation needs one of serviceAccountRef, awsSecurityCredentials and credConfig")
	case w.CredConfig == nil && w.Audience == "":
		return errs.New(errs.Invalid, "auth.workloadIdentityFederation.audience is missing: //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER")
	case w.AWS != nil && w.AWS.Region == "":
		return errs.New(errs.Invalid, "auth.workloadIdentityFederation.awsSecurityCredentials.region is missing")
	case w.CredConfig != nil && w.CredConfig.Key == "":
		return errs.New(errs.Invalid, "auth.workloadIdentityFederation.credConfig: key is missing")
	}
	return nil
}

package gcp

import (
	"context"
	"fmt"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
)

// Settings is the value of auth.gcp. Without any of the last three the operator's own
// identity is meant.
type Settings struct {
	Path string `json:"path,omitempty"` // default "gcp"
	Role string `json:"role"`           // of the vault
	// ProjectID is the project of workloadIdentity's cluster, where that names none.
	ProjectID string `json:"projectID,omitempty"`
	// Location has no effect: no login depends on one.
	Location         string                `json:"location,omitempty"`
	SecretRef        *gcp.SecretRef        `json:"secretRef,omitempty"`
	WorkloadIdentity *gcp.WorkloadIdentity `json:"workloadIdentity,omitempty"`
	// ServiceAccountRef is workloadIdentity whose cluster the metadata server tells.
	ServiceAccountRef *v1.ServiceAccountSelector `json:"serviceAccountRef,omitempty"`
}

// Check finds what can never work.
func (s *Settings) Check() error {
	if s.Role == "" {
		return errs.New(errs.Invalid, "auth.gcp.role is missing")
	}
	n := 0
	for _, set := range []bool{s.SecretRef != nil, s.WorkloadIdentity != nil, s.ServiceAccountRef != nil} {
		if set {
			n++
		}
	}
	if n > 1 {
		return errs.New(errs.Invalid, "auth.gcp has several of secretRef, workloadIdentity and serviceAccountRef: keep one")
	}
	return nil
}

// MountPath returns Path and its default.
func (s *Settings) MountPath() (path, usual string) { return s.Path, "gcp" }

// RoleName returns the role of the vault.
func (s *Settings) RoleName() string { return s.Role }

// Who says whose identity is used, for messages.
func (s *Settings) Who() string {
	switch {
	case s.SecretRef != nil:
		return fmt.Sprintf("the key in Secret %q", s.SecretRef.SecretAccessKey.Name)
	case s.WorkloadIdentity != nil:
		return fmt.Sprintf("ServiceAccount %q", s.WorkloadIdentity.ServiceAccountRef.Name)
	case s.ServiceAccountRef != nil:
		return fmt.Sprintf("ServiceAccount %q", s.ServiceAccountRef.Name)
	}
	return "the operator's own identity at Google"
}

// Login returns what makes the body of a login, each time with a new token. What can be
// refused without asking anybody is refused at once.
func (s *Settings) Login(cloud gcp.Provider, cfg provider.Config) (func(context.Context) (map[string]any, error), error) {
	auth := gcp.Auth{SecretRef: s.SecretRef, WorkloadIdentity: s.WorkloadIdentity}
	if s.ServiceAccountRef != nil {
		auth.WorkloadIdentity = &gcp.WorkloadIdentity{ServiceAccountRef: *s.ServiceAccountRef}
	}
	// A token that names a role of a vault is of use nowhere else.
	assertion, err := cloud.Assertion(cfg, gcp.Login{ProjectID: s.ProjectID, Auth: auth}, "vault/"+s.Role, "auth.gcp.")
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (map[string]any, error) {
		token, err := assertion(ctx)
		return map[string]any{"role": s.Role, "jwt": token.RevealString()}, err
	}, nil
}

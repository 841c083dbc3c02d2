package auth

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
)

// cloud is a login by who one is in a cloud.
type cloud interface {
	// Check finds what can never work.
	Check() error
	// MountPath returns where the method is, below auth/, and where it usually is.
	MountPath() (path, usual string)
	// RoleName returns the role of the vault.
	RoleName() string
	// Who says whose identity is used, for messages.
	Who() string
}

// cloud returns the method's settings, nil when it is none of a cloud.
func (a *Auth) cloud() cloud {
	switch {
	case a.IAM != nil:
		return a.IAM
	case a.GCP != nil:
		return a.GCP
	}
	return nil
}

// Clouds are who logs in to clouds for a store.
type Clouds struct {
	AWS    aws.Provider
	Google gcp.Provider
}

// Cloud returns what makes the body of each login by who one is in a cloud. What can
// be refused without asking anybody is refused at once. Of other methods it makes none.
func (a *Auth) Cloud(cfg provider.Config, by Clouds) (Login, error) {
	switch {
	case a.IAM != nil:
		login, err := a.IAM.Login(by.AWS, cfg)
		return told("iam", login, err)
	case a.GCP != nil:
		login, err := a.GCP.Login(by.Google, cfg)
		return told("gcp", login, err)
	}
	return func(context.Context) (map[string]any, error) {
		return nil, errs.New(errs.Internal, "signing for a login that is not by a cloud")
	}, nil
}

// Login makes the body of a login.
type Login func(context.Context) (map[string]any, error)

// told has errors of a login say which method's they are.
func told(method string, login Login, err error) (Login, error) {
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "auth.%s: %w", method, err)
	}
	return func(ctx context.Context) (map[string]any, error) {
		body, err := login(ctx)
		if err != nil {
			return nil, errs.Newf(errs.KindOf(err), "auth.%s: %w", method, err)
		}
		return body, nil
	}, nil
}

package sts

import (
	"context"
	"strconv"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	v1alpha1 "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind asks STS.
type Kind struct{ AWS aws.Provider }

var _ generator.Kind = Kind{}

// spec is v1alpha1.STSSessionTokenSpec, with the login as the provider reads it.
type spec struct {
	Region            string                      `json:"region"`
	Auth              aws.Auth                    `json:"auth,omitzero"`
	Role              string                      `json:"role,omitempty"`
	RequestParameters *v1alpha1.RequestParameters `json:"requestParameters,omitempty"`
}

// Generate implements generator.Kind. Of a role, its credentials are given; of a
// user's key, those of a session.
func (k Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	var s spec
	if err := generator.Decode(cfg.Spec, &s); err != nil {
		return generator.Made{}, err
	}
	assumed := s.Role != "" || s.Auth.JWT != nil
	if assumed && s.RequestParameters != nil {
		return generator.Made{}, errs.New(errs.Invalid, "spec.requestParameters are for a user's key: a role's session is as long as the role says; leave them or spec.role and spec.auth.jwt out")
	}
	id, err := k.AWS.Identify(provider.Config{Scope: cfg.Scope, Cluster: cfg.Cluster, Clock: cfg.Clock, Log: cfg.Log},
		aws.Login{Region: s.Region, Auth: s.Auth, Role: s.Role})
	if err != nil {
		return generator.Made{}, errs.Newf(errs.KindOf(err), "spec: %w", err)
	}
	defer id.Close()
	if assumed {
		c, err := id.Access.Retrieve(ctx)
		return made(c), err
	}
	own, err := id.Access.Retrieve(ctx)
	if err != nil {
		return generator.Made{}, err
	}
	if own.SessionToken != "" {
		return generator.Made{}, errs.New(errs.Invalid, "spec: the credentials are temporary themselves, and AWS gives no session for these: set spec.role to the role whose credentials are to be given")
	}
	c, err := id.STS.SessionToken(ctx, id.Access, request(s.RequestParameters))
	return made(c), err
}

func request(p *v1alpha1.RequestParameters) access.SessionRequest {
	if p == nil {
		return access.SessionRequest{}
	}
	return access.SessionRequest{Seconds: p.SessionDuration, SerialNumber: p.SerialNumber, TokenCode: p.TokenCode}
}

func made(c sdk.Credentials) generator.Made {
	m := generator.Made{Data: map[string]redact.Secret{
		"access_key_id": redact.FromString(c.AccessKeyID), "secret_access_key": redact.FromString(c.SecretAccessKey),
		"session_token": redact.FromString(c.SessionToken),
	}}
	if c.CanExpire {
		m.Expires = c.Expires
		m.Data["expiration"] = redact.FromString(strconv.FormatInt(c.Expires.Unix(), 10))
	}
	return m
}

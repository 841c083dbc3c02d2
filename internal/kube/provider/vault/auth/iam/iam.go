package iam

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
)

// Settings is the value of auth.iam. Without jwt and secretRef the operator's own
// identity is meant.
type Settings struct {
	Path      string `json:"path,omitempty"` // default "aws"
	VaultRole string `json:"vaultRole"`
	// Region whose STS the vault asks; the global one when empty, which is what a
	// vault asks that has no sts_endpoint.
	Region     string `json:"region,omitempty"`
	Role       string `json:"role,omitempty"` // of AWS, assumed first
	ExternalID string `json:"externalID,omitempty"`
	ServerID   string `json:"vaultAwsIamServerID,omitempty"`
	aws.Auth
}

// usualRegion is where credentials come from, and what the global STS is in, when
// Settings.Region is empty.
const usualRegion = "us-east-1"

// Check finds what can never work.
func (s *Settings) Check() error {
	if s.VaultRole == "" {
		return errs.New(errs.Invalid, "auth.iam.vaultRole is missing")
	}
	if strings.ContainsFunc(s.ServerID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errs.New(errs.Invalid, "auth.iam.vaultAwsIamServerID cannot be the value of a header")
	}
	return nil
}

// MountPath returns Path and its default.
func (s *Settings) MountPath() (path, usual string) { return s.Path, "aws" }

// RoleName returns the role of the vault.
func (s *Settings) RoleName() string { return s.VaultRole }

// Who says whose identity is used, for messages.
func (s *Settings) Who() string {
	who := "the operator's own identity in AWS"
	switch {
	case s.JWT != nil && s.JWT.ServiceAccountRef != nil:
		who = fmt.Sprintf("ServiceAccount %q", s.JWT.ServiceAccountRef.Name)
	case s.SecretRef != nil:
		who = fmt.Sprintf("the access key in Secret %q", s.SecretRef.AccessKeyID.Name)
	}
	if s.Role != "" {
		who += " and role " + s.Role
	}
	return who
}

// Login returns what makes the body of a login, each time from credentials that are
// asked for anew. What can be refused without asking anybody is refused at once.
func (s *Settings) Login(cloud aws.Provider, cfg provider.Config) (func(context.Context) (map[string]any, error), error) {
	region := s.Region
	if region == "" {
		region = usualRegion
	}
	identify := func() (*aws.Identity, error) {
		return cloud.Identify(cfg, aws.Login{
			Region: region, Auth: s.Auth, Role: s.Role, ExternalID: s.ExternalID, At: "auth.iam.",
		})
	}
	first, err := identify()
	if err != nil {
		return nil, err
	}
	first.Close()
	return func(ctx context.Context) (map[string]any, error) {
		id, err := identify()
		if err != nil {
			return nil, err
		}
		defer id.Close()
		credentials, err := id.Access.Retrieve(ctx)
		if err != nil {
			return nil, err
		}
		return s.sign(ctx, credentials, region, cfg.Clock.Now())
	}, nil
}

// question is the body of sts:GetCallerIdentity. A vault takes no other.
const question = "Action=GetCallerIdentity&Version=2011-06-15"

// sign makes the body of a login:
//
//	role, iam_http_request_method, and in base64: iam_request_url, iam_request_body,
//	iam_request_headers (JSON: name to values, the signature among them)
//
// The vault compares X-Vault-AWS-IAM-Server-ID, which is signed, with its own name: what
// was signed for one vault logs in to no other.
// https://developer.hashicorp.com/vault/api-docs/auth/aws#login
func (s *Settings) sign(ctx context.Context, by sdk.Credentials, region string, at time.Time) (map[string]any, error) {
	endpoint, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(ctx, sts.EndpointParameters{
		Region: &region, UseGlobalEndpoint: sdk.Bool(s.Region == ""), UseFIPS: sdk.Bool(false), UseDualStack: sdk.Bool(false),
	})
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "region %q has no STS: %w", region, err)
	}
	u := endpoint.URI
	u.Path = "/"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(question))
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a request to STS: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if s.ServerID != "" {
		req.Header.Set("X-Vault-AWS-IAM-Server-ID", s.ServerID)
	}
	sum := sha256.Sum256([]byte(question))
	if err := v4.NewSigner().SignHTTP(ctx, by, req, hex.EncodeToString(sum[:]), "sts", region, at); err != nil {
		return nil, errs.Newf(errs.Internal, "signing a request to STS: %w", err)
	}
	headers, err := json.Marshal(req.Header)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a request to STS: %w", err)
	}
	return map[string]any{
		"role":                    s.VaultRole,
		"iam_http_request_method": req.Method,
		"iam_request_url":         base64.StdEncoding.EncodeToString([]byte(u.String())),
		"iam_request_body":        base64.StdEncoding.EncodeToString([]byte(question)),
		"iam_request_headers":     base64.StdEncoding.EncodeToString(headers),
	}, nil
}

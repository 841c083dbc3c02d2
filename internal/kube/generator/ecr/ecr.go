package ecr

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecrpublic"
	"github.com/aws/smithy-go/logging"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind asks ECR.
type Kind struct{ AWS aws.Provider }

var _ generator.Kind = Kind{}

// spec is v1alpha1.ECRAuthorizationTokenSpec, with the login as the provider reads it.
type spec struct {
	Region string   `json:"region"`
	Auth   aws.Auth `json:"auth,omitzero"`
	Role   string   `json:"role,omitempty"`
	Scope  string   `json:"scope,omitempty"`
}

// publicRegion is where the public registry gives logins, whatever the region.
const publicRegion = "us-east-1"

// Generate implements generator.Kind.
func (k Kind) Generate(ctx context.Context, cfg generator.Config) (generator.Made, error) {
	var s spec
	if err := generator.Decode(cfg.Spec, &s); err != nil {
		return generator.Made{}, err
	}
	if s.Scope != "" && s.Scope != "private" && s.Scope != "public" {
		return generator.Made{}, errs.Newf(errs.Invalid, "spec.scope is %q: it must be private or public", s.Scope)
	}
	id, err := k.AWS.Identify(provider.Config{Scope: cfg.Scope, Cluster: cfg.Cluster, Clock: cfg.Clock, Log: cfg.Log},
		aws.Login{Region: s.Region, Auth: s.Auth, Role: s.Role})
	if err != nil {
		return generator.Made{}, errs.Newf(errs.KindOf(err), "spec: %w", err)
	}
	defer id.Close()
	if s.Scope == "public" {
		return k.public(ctx, id)
	}
	return k.private(ctx, id)
}

func (k Kind) endpoint(name string) *string {
	if k.AWS.Getenv == nil {
		return nil
	}
	return wire.Text(k.AWS.Getenv(name))
}

const doing = "asking ECR for a login (ecr:GetAuthorizationToken)"

func (k Kind) private(ctx context.Context, id *aws.Identity) (generator.Made, error) {
	client := ecr.New(ecr.Options{
		Region: id.Client.Region, BaseEndpoint: k.endpoint("AWS_ECR_ENDPOINT"), HTTPClient: id.Client.HTTP, Retryer: id.Client.Retryer,
		Credentials: id.Access, Logger: logging.Nop{}, AppID: "strongkeep",
	})
	out, err := access.Do(ctx, id.Access, doing, func(ctx context.Context) (*ecr.GetAuthorizationTokenOutput, error) {
		return client.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	})
	if err != nil {
		return generator.Made{}, err
	}
	if len(out.AuthorizationData) != 1 {
		return generator.Made{}, wire.NoAnswer(doing)
	}
	d := out.AuthorizationData[0]
	made, err := login(d.AuthorizationToken, d.ExpiresAt)
	if err != nil || d.ProxyEndpoint == nil {
		return made, err
	}
	made.Data["proxy_endpoint"] = redact.FromString(*d.ProxyEndpoint)
	return made, nil
}

func (k Kind) public(ctx context.Context, id *aws.Identity) (generator.Made, error) {
	client := ecrpublic.New(ecrpublic.Options{
		Region: publicRegion, BaseEndpoint: k.endpoint("AWS_ECR_PUBLIC_ENDPOINT"), HTTPClient: id.Client.HTTP, Retryer: id.Client.Retryer,
		Credentials: id.Access, Logger: logging.Nop{}, AppID: "strongkeep",
	})
	const doing = "asking the public ECR for a login (ecr-public:GetAuthorizationToken and sts:GetServiceBearerToken)"
	out, err := access.Do(ctx, id.Access, doing, func(ctx context.Context) (*ecrpublic.GetAuthorizationTokenOutput, error) {
		return client.GetAuthorizationToken(ctx, &ecrpublic.GetAuthorizationTokenInput{})
	})
	if err != nil {
		return generator.Made{}, err
	}
	if out.AuthorizationData == nil {
		return generator.Made{}, wire.NoAnswer(doing)
	}
	return login(out.AuthorizationData.AuthorizationToken, out.AuthorizationData.ExpiresAt)
}

// login reads what AWS gives: "USER:PASSWORD" in base64.
func login(token *string, expires *time.Time) (generator.Made, error) {
	if token == nil || expires == nil {
		return generator.Made{}, wire.NoAnswer(doing)
	}
	text, err := base64.StdEncoding.DecodeString(*token)
	user, password, ok := strings.Cut(string(text), ":")
	if err != nil || !ok || password == "" {
		return generator.Made{}, wire.NoAnswer(doing)
	}
	return generator.Made{Expires: *expires, Data: map[string]redact.Secret{
		"username": redact.FromString(user), "password": redact.FromString(password),
		"expires_at": redact.FromString(strconv.FormatInt(expires.Unix(), 10)),
	}}, nil
}

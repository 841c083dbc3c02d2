package access

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go/logging"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// STS is the service that gives credentials.
type STS struct {
	Client   wire.Client
	Endpoint string // AWS's own for the region when empty
	Session  string // what the sessions are called in CloudTrail
}

// Role is one role to assume.
type Role struct {
	ARN            string
	ExternalID     string
	Tags           map[string]string
	TransitiveTags []string
}

// SessionName returns a name that STS takes, made of parts.
func SessionName(parts ...string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("+=,.@-_", r):
			return r
		}
		return '-'
	}, strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "."))
	return name[:min(len(name), 64)]
}

func (s STS) client(by aws.CredentialsProvider) *sts.Client {
	return sts.New(sts.Options{
		Region: s.Client.Region, BaseEndpoint: wire.Text(s.Endpoint), HTTPClient: s.Client.HTTP, Retryer: s.Client.Retryer,
		Credentials: by, Logger: logging.Nop{}, AppID: "strongkeep",
	})
}

func (s STS) assume(ctx context.Context, by aws.Credentials, r Role) (aws.Credentials, error) {
	in := &sts.AssumeRoleInput{RoleArn: &r.ARN, RoleSessionName: &s.Session, ExternalId: wire.Text(r.ExternalID), TransitiveTagKeys: r.TransitiveTags}
	for name, value := range r.Tags {
		in.Tags = append(in.Tags, types.Tag{Key: &name, Value: &value})
	}
	out, err := s.client(credentials.StaticCredentialsProvider{Value: by}).AssumeRole(ctx, in)
	if err != nil {
		return aws.Credentials{}, refused("assuming role "+r.ARN, err,
			"the role's trust policy must admit who assumes it, and that one's own policy must allow sts:AssumeRole (and sts:TagSession for tags)")
	}
	return given("assuming role "+r.ARN, out.Credentials)
}

// WebIdentity returns a Source that takes role for a token; both are asked for at
// each login.
func WebIdentity(s STS, who func(ctx context.Context) (role string, token redact.Secret, err error)) Source {
	return func(ctx context.Context) (aws.Credentials, error) {
		role, token, err := who(ctx)
		if err != nil {
			return aws.Credentials{}, err
		}
		out, err := s.client(aws.AnonymousCredentials{}).AssumeRoleWithWebIdentity(ctx, &sts.AssumeRoleWithWebIdentityInput{
			RoleArn: &role, RoleSessionName: &s.Session, WebIdentityToken: aws.String(token.RevealString()),
		})
		if err != nil {
			return aws.Credentials{}, refused("assuming role "+role+" by web identity", err,
				"the role's trust policy must name the cluster's OIDC provider, the ServiceAccount and the audience")
		}
		return given("assuming role "+role+" by web identity", out.Credentials)
	}
}

// SessionRequest is what a session of a user's key is asked for by.
type SessionRequest struct {
	Seconds      *int32
	SerialNumber *string // of an MFA device, with what it shows
	TokenCode    *string
}

// SessionToken asks for temporary credentials of the user whose key a is. AWS gives
// none for credentials that are temporary themselves.
func (s STS) SessionToken(ctx context.Context, a *Access, r SessionRequest) (aws.Credentials, error) {
	const doing = "asking STS for a session"
	out, err := Do(ctx, a, doing, func(ctx context.Context) (*sts.GetSessionTokenOutput, error) {
		return s.client(a).GetSessionToken(ctx, &sts.GetSessionTokenInput{DurationSeconds: r.Seconds, SerialNumber: r.SerialNumber, TokenCode: r.TokenCode})
	})
	if err != nil {
		return aws.Credentials{}, err
	}
	return given(doing, out.Credentials)
}

// Caller asks who a is, which needs no permission.
func (s STS) Caller(ctx context.Context, a *Access) error {
	_, err := Do(ctx, a, "asking STS whose the credentials are", func(ctx context.Context) (*sts.GetCallerIdentityOutput, error) {
		return s.client(a).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	})
	return err
}

// refused is a failure to log in: no key can be read, whatever AWS calls it.
func refused(doing string, err error, advice string) error {
	err = wire.Fail(doing, err)
	switch errs.KindOf(err) {
	case errs.Denied, errs.Invalid, errs.NotExist:
		return errs.Newf(errs.Unauthenticated, "%w; %s", err, advice)
	}
	return err
}

func given(doing string, c *types.Credentials) (aws.Credentials, error) {
	if c == nil || c.AccessKeyId == nil || c.SecretAccessKey == nil || c.SessionToken == nil || c.Expiration == nil {
		return aws.Credentials{}, errs.Newf(errs.Unavailable, "%s: the answer has no credentials", doing)
	}
	return aws.Credentials{
		AccessKeyID: *c.AccessKeyId, SecretAccessKey: *c.SecretAccessKey, SessionToken: *c.SessionToken,
		CanExpire: true, Expires: *c.Expiration,
	}, nil
}

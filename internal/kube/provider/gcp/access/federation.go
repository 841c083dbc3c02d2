package access

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"

	"cloud.google.com/go/auth/credentials/externalaccount"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Federation is workload identity federation: who another issuer, AWS or a file
// says one is. One of Account, AWS and Config is set.
type Federation struct {
	Audience string // full name of the provider in the pool; that of Config when empty
	Email    string // the service account of Google to take the place of; "": as Account or Config say
	Account  Account
	AWS      func(ctx context.Context) (AWSKey, error)
	Config   func(ctx context.Context) (string, error) // an external_account document
	URL      string                                    // what credential_source.url of Config must be
}

// AWSKey is an access key of AWS.
type AWSKey struct {
	Region       string
	ID           string
	Secret       redact.Secret
	SessionToken redact.Secret
}

// The types of token that are exchanged.
const (
	typeJWT = "urn:ietf:params:oauth:token-type:jwt"
	typeAWS = "urn:ietf:params:aws:token-type:aws4_request"
	stsURL  = "https://sts.googleapis.com/v1/token"
)

// Source returns a Source of f.
func (f Federation) Source(c *Client) login.Source {
	return func(ctx context.Context) (login.Token, error) {
		o, err := f.options(ctx)
		if err != nil {
			return login.Token{}, err
		}
		a := c.attempt()
		o.Scopes, o.TokenURL, o.Client, o.Logger = []string{scope}, stsURL, a.http, quiet()
		mine := &asked{} // a failure of what is asked for is told as it is
		if s := o.SubjectTokenProvider; s != nil {
			o.SubjectTokenProvider = subject{func(ctx context.Context) (string, error) {
				t, err := s.SubjectToken(ctx, nil)
				mine.err = err
				return t, err
			}}
		}
		creds, err := externalaccount.NewCredentials(o)
		t, err := a.token(ctx, creds, err, "exchanging a token with provider "+login.Plain(o.Audience),
			"the pool's provider must admit its issuer, audience and subject, and the service account grant it roles/iam.workloadIdentityUser")
		if mine.err != nil {
			return login.Token{}, mine.err
		}
		return t, err
	}
}

type asked struct{ err error }

// subject implements externalaccount.SubjectTokenProvider.
type subject struct {
	token func(context.Context) (string, error)
}

// SubjectToken implements externalaccount.SubjectTokenProvider.
func (s subject) SubjectToken(ctx context.Context, _ *externalaccount.RequestOptions) (string, error) {
	return s.token(ctx)
}

func (f Federation) options(ctx context.Context) (*externalaccount.Options, error) {
	o := &externalaccount.Options{Audience: f.Audience, SubjectTokenType: typeJWT}
	email := f.Email
	switch {
	case f.Account != nil:
		o.SubjectTokenProvider = subject{func(ctx context.Context) (string, error) {
			t, err := f.Account.Token(ctx, "https:"+f.Audience)
			return t.RevealString(), err
		}}
		if email == "" {
			var err error
			if email, err = f.Account.Email(ctx); err != nil {
				return nil, err
			}
		}
	case f.AWS != nil:
		key, err := f.AWS(ctx)
		if err != nil {
			return nil, err
		}
		o.SubjectTokenType, o.AwsSecurityCredentialsProvider = typeAWS, awsKey{key}
	default:
		text, err := f.Config(ctx)
		if err != nil {
			return nil, err
		}
		if err := f.read(text, o); err != nil {
			return nil, errs.Newf(errs.KindOf(err), "auth.workloadIdentityFederation.credConfig: %w", err)
		}
	}
	if email != "" {
		var err error
		if o.ServiceAccountImpersonationURL, err = impersonation(email, "generateAccessToken"); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// awsKey implements externalaccount.AwsSecurityCredentialsProvider.
type awsKey struct{ AWSKey }

// AwsRegion implements externalaccount.AwsSecurityCredentialsProvider.
func (k awsKey) AwsRegion(context.Context, *externalaccount.RequestOptions) (string, error) {
	return k.Region, nil
}

// AwsSecurityCredentials implements externalaccount.AwsSecurityCredentialsProvider.
func (k awsKey) AwsSecurityCredentials(context.Context, *externalaccount.RequestOptions) (*externalaccount.AwsSecurityCredentials, error) {
	return &externalaccount.AwsSecurityCredentials{
		AccessKeyID: k.ID, SecretAccessKey: k.Secret.RevealString(), SessionToken: k.SessionToken.RevealString(),
	}, nil
}

// document is an external_account configuration, as gcloud writes it.
type document struct {
	Type             string `json:"type"`
	Audience         string `json:"audience"`
	SubjectTokenType string `json:"subject_token_type"`
	TokenURL         string `json:"token_url"`
	Impersonation    string `json:"service_account_impersonation_url"`
	Lifetime         struct {
		Seconds int `json:"token_lifetime_seconds"`
	} `json:"service_account_impersonation"`
	Universe string `json:"universe_domain"`
	Source   struct {
		File        string            `json:"file"`
		URL         string            `json:"url"`
		Headers     map[string]string `json:"headers"`
		Executable  json.RawMessage   `json:"executable"`
		Certificate json.RawMessage   `json:"certificate"`
		Environment string            `json:"environment_id"`
		RegionURL   string            `json:"region_url"`
		Verify      string            `json:"regional_cred_verification_url"`
		Session     string            `json:"imdsv2_session_token_url"`
		Format      struct {
			Type  string `json:"type"`
			Field string `json:"subject_token_field_name"`
		} `json:"format"`
	} `json:"credential_source"`
}

// The addresses that a document may name beside Google's: AWS's metadata server.
var (
	impersonations = regexp.MustCompile(`^https://iamcredentials\.googleapis\.com/v1/projects/-/serviceAccounts/([^/\s:]+):generateAccessToken$`)
	awsMetadata    = regexp.MustCompile(`^http://(169\.254\.169\.254|\[fd00:ec2::254\]|metadata\.google\.internal)/latest/(meta-data/iam/security-credentials|meta-data/placement/availability-zone|api/token)/?$`)
	awsVerify      = regexp.MustCompile(`^https://sts\.(\{region\}|[a-z0-9-]+)\.amazonaws\.com(\.cn)?\?Action=GetCallerIdentity&Version=2011-06-15$`)
)

// read takes o from a document, whose author must not choose what the operator calls,
// runs or sends.
func (f Federation) read(text string, o *externalaccount.Options) error { //nolint:cyclop // flat: a case after the other
	var d document
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&d); err != nil {
		return errs.New(errs.Invalid, "it is no JSON document of type external_account")
	}
	match := impersonations.FindStringSubmatch(d.Impersonation)
	switch {
	case d.Type != "external_account":
		return errs.Newf(errs.Invalid, "its type is %q: it must be external_account", login.Plain(d.Type))
	case d.TokenURL != "" && d.TokenURL != stsURL:
		return errs.Newf(errs.Invalid, "its token_url must be %s", stsURL)
	case d.Impersonation != "" && (match == nil || !emails.MatchString(match[1])):
		return errs.New(errs.Invalid, "its service_account_impersonation_url is not Google's")
	case d.Universe != "" && d.Universe != "googleapis.com":
		return errs.Newf(errs.Unsupported, "its universe_domain %q is not supported", login.Plain(d.Universe))
	case d.Source.Executable != nil:
		return errs.New(errs.Unsupported, "its credential_source is a program, and no program is run for a store: use serviceAccountRef")
	case d.Source.Certificate != nil:
		return errs.New(errs.Unsupported, "its credential_source is a certificate, which is not supported: use serviceAccountRef")
	case o.Audience == "" && d.Audience == "":
		return errs.New(errs.Invalid, "it has no audience")
	}
	if o.Audience == "" {
		o.Audience = d.Audience
	}
	if d.SubjectTokenType != "" {
		o.SubjectTokenType = d.SubjectTokenType
	}
	o.ServiceAccountImpersonationURL, o.ServiceAccountImpersonationLifetimeSeconds = d.Impersonation, d.Lifetime.Seconds
	return f.source(&d, o)
}

func (f Federation) source(d *document, o *externalaccount.Options) error { //nolint:cyclop // flat: a case after the other
	s := d.Source
	switch {
	case s.Environment != "":
		for _, at := range []string{s.URL, s.RegionURL, s.Session} {
			if at != "" && !awsMetadata.MatchString(at) {
				return errs.New(errs.Invalid, "its credential_source for AWS names another server than AWS's metadata")
			}
		}
		if !strings.HasPrefix(s.Environment, "aws") || s.Verify != "" && !awsVerify.MatchString(s.Verify) {
			return errs.New(errs.Invalid, "its credential_source is not one of AWS")
		}
	case s.File != "":
		if ownToken(s.File) {
			return errs.New(errs.Denied, "its credential_source is the operator's own token for the API server: use serviceAccountRef")
		}
	case s.URL == "":
		return errs.New(errs.Invalid, "it has no credential_source")
	case s.URL != f.URL:
		return errs.New(errs.Invalid, "its credential_source.url is not auth.workloadIdentityFederation.externalTokenEndpoint")
	}
	o.CredentialSource = &externalaccount.CredentialSource{
		File: s.File, URL: s.URL, Headers: s.Headers, EnvironmentID: s.Environment, RegionURL: s.RegionURL,
		RegionalCredVerificationURL: s.Verify, IMDSv2SessionTokenURL: s.Session,
	}
	if s.Format.Type != "" {
		o.CredentialSource.Format = &externalaccount.Format{Type: s.Format.Type, SubjectTokenFieldName: s.Format.Field}
	}
	return nil
}

// ownToken reports whether a file is where a pod's token for the API server is.
func ownToken(file string) bool {
	file = filepath.Clean(file)
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	return strings.Contains(file, "/secrets/kubernetes.io/serviceaccount/")
}

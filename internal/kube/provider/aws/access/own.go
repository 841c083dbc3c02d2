package access

import (
	"context"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go/logging"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Own returns a Source of the operator's own identity, from what getenv and the
// machine say, in the order of AWS's own tools: keys in the environment, a web
// identity (IRSA), a container's credentials (EKS Pod Identity, ECS), the instance's
// role. Profiles and programs in files of a home directory are not read.
func Own(s STS, getenv func(string) string) Source {
	if id := getenv("AWS_ACCESS_KEY_ID"); id != "" {
		return func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN")}, nil
		}
	}
	if file := getenv("AWS_WEB_IDENTITY_TOKEN_FILE"); file != "" {
		return WebIdentity(s, func(context.Context) (string, redact.Secret, error) {
			token, err := os.ReadFile(file)
			if err != nil {
				return "", redact.Secret{}, errs.Newf(errs.Unavailable, "reading the operator's own token (AWS_WEB_IDENTITY_TOKEN_FILE): %w", err)
			}
			return getenv("AWS_ROLE_ARN"), redact.New(token), nil
		})
	}
	if at := containerEndpoint(getenv); at != "" {
		return container(s, at, getenv)
	}
	return instance(s, getenv)
}

func containerEndpoint(getenv func(string) string) string {
	if path := getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		return "http://169.254.170.2/" + strings.TrimPrefix(path, "/")
	}
	return getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

func container(s STS, at string, getenv func(string) string) Source {
	if !local(at) {
		return func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errs.New(errs.Invalid, "AWS_CONTAINER_CREDENTIALS_FULL_URI of the operator is neither https nor an address of this machine")
		}
	}
	p := endpointcreds.New(at, func(o *endpointcreds.Options) {
		o.HTTPClient, o.Retryer = s.Client.HTTP, s.Client.Retryer
		o.AuthorizationToken = getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
		if file := getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
			o.AuthorizationTokenProvider = tokenFile(file)
		}
	})
	return theirs("asking the node for the operator's own credentials (EKS Pod Identity or ECS)", p)
}

// local reports whether a token may be sent to an address: to AWS's own agents on
// the node, and over TLS anywhere.
func local(at string) bool {
	u, err := url.Parse(at)
	if err != nil {
		return false
	}
	if u.Scheme == "https" {
		return true
	}
	switch u.Hostname() {
	case "localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23":
		return true
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err == nil && ip.IsLoopback()
}

type tokenFile string

// GetToken implements endpointcreds.AuthTokenProvider.
func (f tokenFile) GetToken() (string, error) {
	token, err := os.ReadFile(string(f))
	return strings.TrimSpace(string(token)), err
}

func instance(s STS, getenv func(string) string) Source {
	if strings.EqualFold(getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errs.New(errs.Unauthenticated, "the operator has no identity of its own in AWS: set spec.provider.aws.auth")
		}
	}
	client := imds.New(imds.Options{
		Endpoint: getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), HTTPClient: s.Client.HTTP, Retryer: s.Client.Retryer,
		EnableFallback: aws.FalseTernary, Logger: logging.Nop{}, // version 2 only
	})
	p := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = client })
	return theirs("asking the node for the operator's own credentials (instance metadata)", p)
}

// theirs makes a Source of one of the SDK's. Its errors may quote an answer, and
// are not passed on.
func theirs(doing string, p aws.CredentialsProvider) Source {
	return func(ctx context.Context) (aws.Credentials, error) {
		c, err := p.Retrieve(ctx)
		if err != nil {
			return aws.Credentials{}, errs.Newf(errs.Unavailable,
				"%s gives none: set spec.provider.aws.auth, or give the operator an identity (docs/stores/aws.md)", doing)
		}
		return c, nil
	}
}

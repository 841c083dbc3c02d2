package awskms

import (
	"context"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
)

// reloginAfter is the least time between two logins that refusals led to: what policy
// forbids must not become a login per call.
const reloginAfter = 10 * time.Second

// loginTimeout bounds a login: one is under way for all who wait, whose own limits it does not have.
const loginTimeout = 10 * time.Second

// login holds the credentials that calls are signed with. It implements
// aws.CredentialsProvider and is safe for concurrent use.
type login struct {
	cache *aws.CredentialsCache
	now   func() time.Time

	mu     sync.Mutex
	forced time.Time // when a refusal last led to a new login
}

// noLogin is why there are no credentials: the SDK wraps it, and it is found again.
type noLogin struct{ error }

func (n noLogin) Unwrap() error { return n.error }

// Retrieve implements aws.CredentialsProvider.
func (l *login) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := l.cache.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, noLogin{err}
	}
	return c, nil
}

// renew has the next call log in anew, and reports whether it does.
func (l *login) renew() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.forced) >= reloginAfter {
		l.forced = now
		l.cache.Invalidate()
		return true
	}
	return false
}

// source gives credentials; its failures have kinds.
type source func(ctx context.Context) (aws.Credentials, error)

// Retrieve implements aws.CredentialsProvider.
func (s source) Retrieve(ctx context.Context) (aws.Credentials, error) { return s(ctx) }

// login makes what signs, in the order of AWS's own tools: keys in the environment, a
// container's agent, the instance. Profiles in home directories are not read, and
// tokens of ServiceAccounts are refused: they come from the cluster that may wait for
// us.
func (s *Settings) login(client wire.Client, now func() time.Time) (*login, error) {
	own, err := s.own(client)
	if err != nil {
		return nil, err
	}
	l := &login{cache: aws.NewCredentialsCache(own), now: now}
	if s.Role == "" {
		return l, nil
	}
	by := sts.New(sts.Options{
		Region: s.Region, BaseEndpoint: wire.Text(s.STSEndpoint), HTTPClient: client.HTTP, Retryer: client.Retryer,
		Credentials: l.cache, Logger: logging.Nop{}, AppID: "strongkeep",
	})
	role := stscreds.NewAssumeRoleProvider(by, s.Role, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "strongkeep" })
	return &login{now: now, cache: aws.NewCredentialsCache(source(func(ctx context.Context) (aws.Credentials, error) {
		ctx, cancel := context.WithTimeout(ctx, loginTimeout)
		defer cancel()
		c, err := role.Retrieve(ctx)
		if err != nil && l.renew() { // what assumes it may have been changed in its file
			c, err = role.Retrieve(ctx)
		}
		if err != nil {
			return c, wire.Fail("assuming role "+s.Role, err)
		}
		return c, nil
	}), func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = time.Minute })}, nil
}

// own is whose machine or user it is.
func (s *Settings) own(client wire.Client) (aws.CredentialsProvider, error) {
	if file := s.CredentialsFile; file != "" {
		return source(func(context.Context) (aws.Credentials, error) {
			raw, err := credential.Read(file)
			if err != nil {
				return aws.Credentials{}, errs.Newf(unlessMissing(err), "credentials_file: %w", err)
			}
			return parseCredentials(raw)
		}), nil
	}
	if id := os.Getenv("AWS_ACCESS_KEY_ID"); id != "" {
		return credentials.NewStaticCredentialsProvider(id, os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN")), nil
	}
	if os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
		return nil, errs.New(errs.Invalid, "AWS_WEB_IDENTITY_TOKEN_FILE is a token that a cluster gives to a pod, and a key that the cluster may wait for cannot wait for it: use the identity of the machine, or credentials_file")
	}
	if at := agent(); at != "" {
		return container(client, at)
	}
	return instance(client), nil
}

// unlessMissing is the kind of a login's failure: a credential that is not there is
// not a key that is not there.
func unlessMissing(err error) errs.Kind {
	if kind := errs.KindOf(err); kind != errs.NotExist {
		return kind
	}
	return errs.Unavailable
}

func agent() string {
	if path := os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); path != "" {
		return "http://169.254.170.2/" + strings.TrimPrefix(path, "/")
	}
	return os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
}

// container asks an agent on the machine, such as that of ECS or of IAM Roles Anywhere.
func container(client wire.Client, at string) (aws.CredentialsProvider, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" || u.Scheme != "https" && !nearby(u.Hostname()) {
		return nil, errs.New(errs.Invalid, "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine")
	}
	client = client.Direct()
	p := endpointcreds.New(at, func(o *endpointcreds.Options) {
		o.HTTPClient, o.Retryer = client.HTTP, client.Retryer
		o.AuthorizationToken = os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN")
		if file := os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); file != "" {
			o.AuthorizationTokenProvider = endpointcreds.TokenProviderFunc(func() (string, error) {
				token, err := credential.Read(file) // refuses those of ServiceAccounts
				return token.RevealString(), err
			})
		}
	})
	return theirs("asking the agent of the machine for credentials (AWS_CONTAINER_CREDENTIALS_FULL_URI)", p), nil
}

// nearby reports whether a host is AWS's own agent on the machine, or the machine.
func nearby(host string) bool {
	switch host {
	case "localhost", "169.254.170.2", "169.254.170.23", "fd00:ec2::23":
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

func instance(client wire.Client) aws.CredentialsProvider {
	if strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return source(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errs.New(errs.Unauthenticated, "there are no credentials for AWS: set credentials_file, or give the machine a role")
		})
	}
	client = client.Direct()
	c := imds.New(imds.Options{
		Endpoint: os.Getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT"), HTTPClient: client.HTTP, Retryer: client.Retryer,
		EnableFallback: aws.FalseTernary, Logger: logging.Nop{}, // version 2 only
	})
	return theirs("asking the instance for credentials", ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = c }))
}

// theirs gives the failures of one of the SDK's a kind and a text: theirs may quote an
// answer.
func theirs(doing string, p aws.CredentialsProvider) aws.CredentialsProvider {
	return source(func(ctx context.Context) (aws.Credentials, error) {
		ctx, cancel := context.WithTimeout(ctx, loginTimeout)
		defer cancel()
		c, err := p.Retrieve(ctx)
		if err == nil {
			return c, nil
		}
		if kind := errs.KindOf(err); kind != errs.Internal { // of a token's file
			return c, errs.Newf(unlessMissing(err), "%s: %w", doing, err)
		}
		return c, errs.Newf(errs.Unavailable, "%s gives none: give the machine a role, or set credentials_file", doing)
	})
}

package awskey

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/shelf"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// cloud manages the keys of one IAM user.
type cloud struct {
	iam  *iam.Client
	user string
}

// manager returns the cloud by credentialsSecret or, without one, by the key in
// values: a user may be allowed to manage its own keys.
func (k key) manager(ctx context.Context, values shelf.Values) (cloud, error) {
	by := pairOf(values)
	if name := k.spec.CredentialsSecret; name != "" {
		var err error
		if by, err = k.given(ctx, name); err != nil {
			return cloud{}, err
		}
	}
	if !by.whole() {
		return cloud{}, errs.Newf(errs.Invalid, "nobody can manage the keys of %q: set spec.target.awsAccessKey.credentialsSecret, or put a key of the user's own into %s and %s at the path", k.spec.UserName, propertyID, propertySecret)
	}
	return cloud{iam.New(iam.Options{
		Region: k.spec.Region, BaseEndpoint: k.endpoint(), HTTPClient: k.kind.HTTP, Credentials: static(by),
		Retryer: aws.NopRetryer{}, Logger: logging.Nop{}, // a key that is made twice takes the place of another; acts are tried again
	}), k.spec.UserName}, nil
}

func (k key) given(ctx context.Context, name string) (pair, error) {
	const field = "spec.target.awsAccessKey.credentialsSecret"
	ref, err := k.cfg.Scope.Ref(field, nil, name)
	if err != nil {
		return pair{}, err
	}
	id, err := k.cfg.Cluster.SecretKey(ctx, ref, propertyID)
	if err != nil {
		return pair{}, errs.Newf(errs.KindOf(err), "%s: %w", field, err)
	}
	secret, err := k.cfg.Cluster.SecretKey(ctx, ref, propertySecret)
	if err != nil {
		return pair{}, errs.Newf(errs.KindOf(err), "%s: %w", field, err)
	}
	return pair{id.RevealString(), secret}, nil
}

func (k key) endpoint() *string {
	if k.spec.Endpoint == "" {
		return nil
	}
	return aws.String(k.spec.Endpoint)
}

func static(p pair) aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider(p.id, p.secret.RevealString(), "")
}

// list returns the ids of the user's keys, sorted.
func (c cloud) list(ctx context.Context) ([]string, error) {
	made, err := c.made(ctx)
	return slices.Sorted(maps.Keys(made)), err
}

// made returns when each of the user's keys was made, zero where IAM does not say, by
// id.
func (c cloud) made(ctx context.Context) (map[string]time.Time, error) {
	out, err := c.iam.ListAccessKeys(ctx, &iam.ListAccessKeysInput{UserName: &c.user})
	if err != nil {
		return nil, fail("listing the access keys of "+c.user, err)
	}
	if out.IsTruncated {
		return nil, errs.Newf(errs.Invalid, "IAM lists the access keys of %q in parts, although there are %d at most", c.user, maxKeys)
	}
	made := map[string]time.Time{}
	for _, m := range out.AccessKeyMetadata {
		id := aws.ToString(m.AccessKeyId)
		if !keyIDs.MatchString(id) {
			return nil, errs.Newf(errs.Invalid, "IAM lists an access key of %q whose id is none", c.user)
		}
		made[id] = aws.ToTime(m.CreateDate)
	}
	return made, nil
}

var keyIDs = regexp.MustCompile(`^[A-Za-z0-9]{16,128}$`)

func (c cloud) create(ctx context.Context) (pair, error) {
	out, err := c.iam.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &c.user})
	if err != nil {
		return pair{}, fail("making an access key of "+c.user, err)
	}
	if out.AccessKey == nil {
		return pair{}, errs.New(errs.Unavailable, "IAM says that it made an access key, and does not say which")
	}
	p := pair{aws.ToString(out.AccessKey.AccessKeyId), redact.FromString(aws.ToString(out.AccessKey.SecretAccessKey))}
	if !keyIDs.MatchString(p.id) || !p.whole() {
		return pair{}, errs.New(errs.Unavailable, "IAM made an access key without an id or without a secret")
	}
	return p, nil
}

func (c cloud) enable(ctx context.Context, id string, on bool) error {
	status := types.StatusTypeInactive
	if on {
		status = types.StatusTypeActive
	}
	_, err := c.iam.UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: &c.user, AccessKeyId: &id, Status: status})
	return fail("making access key "+id+" "+strings.ToLower(string(status)), err)
}

func (c cloud) remove(ctx context.Context, id string) error {
	_, err := c.iam.DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: &c.user, AccessKeyId: &id})
	return fail("deleting access key "+id, err)
}

// use is the last use of a key; zero when there was none.
type use struct {
	at      time.Time
	service string
}

func (c cloud) lastUsed(ctx context.Context, id string) (use, error) {
	out, err := c.iam.GetAccessKeyLastUsed(ctx, &iam.GetAccessKeyLastUsedInput{AccessKeyId: &id})
	if err != nil {
		return use{}, fail("asking for the last use of access key "+id, err)
	}
	if out.AccessKeyLastUsed == nil || out.AccessKeyLastUsed.LastUsedDate == nil {
		return use{}, nil
	}
	return use{*out.AccessKeyLastUsed.LastUsedDate, plain(aws.ToString(out.AccessKeyLastUsed.ServiceName))}, nil
}

// whoami asks STS who a key is; it needs no permission.
func (k key) whoami(ctx context.Context, p pair) (arn string, err error) {
	client := sts.New(sts.Options{
		Region: k.spec.Region, BaseEndpoint: k.endpoint(), HTTPClient: k.kind.HTTP, Credentials: static(p),
		Retryer: aws.NopRetryer{}, Logger: logging.Nop{},
	})
	out, err := client.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.Arn), nil
}

// waits are those between tries: 31.5 seconds in all, within the minute that an
// act may take.
func waits() []time.Duration {
	return []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second, 8 * time.Second}
}

// until tries until it is so: IAM takes a while to tell STS and its own parts.
// otherwise is said when it does not become so.
func (k key) until(ctx context.Context, otherwise string, so func() (bool, error)) error {
	for _, wait := range append(waits(), 0) {
		ok, err := so()
		if ok || err != nil && !errs.Is(err, errs.Unavailable) {
			return err
		}
		if wait == 0 || k.kind.Pause(ctx, wait) != nil {
			if err != nil {
				return err
			}
			break
		}
	}
	return errs.Newf(errs.Unavailable, "%s: it is tried again", otherwise)
}

// unknownKey is what STS says to a key that is inactive, deleted, or too new.
const unknownKey = "InvalidClientTokenId"

// works waits until p is accepted, and is the user's.
func (k key) works(ctx context.Context, p pair) error {
	return k.until(ctx, "access key "+p.id+" is not accepted by STS", func() (bool, error) {
		arn, err := k.whoami(ctx, p)
		if code(err) == unknownKey {
			return false, nil
		}
		if err != nil {
			return false, fail("using access key "+p.id, err)
		}
		if _, name, ok := strings.Cut(arn, ":user/"); !ok || name[strings.LastIndexByte(name, '/')+1:] != k.spec.UserName {
			return false, errs.Newf(errs.Invalid, "access key %s is not one of the IAM user %q: STS calls it %q", p.id, k.spec.UserName, plain(arn))
		}
		return true, nil
	})
}

// refused waits until p is not accepted any more. Without its secret it cannot be tried.
func (k key) refused(ctx context.Context, p pair) error {
	if !p.whole() {
		return nil
	}
	return k.until(ctx, "access key "+p.id+" is still accepted by STS", func() (bool, error) {
		_, err := k.whoami(ctx, p)
		switch {
		case code(err) == unknownKey:
			return true, nil
		case err == nil:
			return false, nil
		}
		return false, fail("using access key "+p.id, err)
	})
}

func code(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return api.ErrorCode()
}

// fail tells what AWS says by its code alone: a text that the server wrote may
// hold anything.
func fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	c := code(err)
	switch c {
	case "":
		if errs.Is(err, errs.Denied) { // by outbound
			return errs.Newf(errs.Denied, "%s: the endpoint is an address that is not reached for others", doing)
		}
		return errs.Newf(errs.Unavailable, "%s: AWS gives no answer that can be read", doing)
	case "NoSuchEntity":
		return errs.Newf(errs.NotExist, "%s: there is no such user or key", doing)
	case "LimitExceeded":
		return errs.Newf(errs.Invalid, "%s: IAM allows no more of them: see aws iam list-access-keys", doing)
	case "AccessDenied", "AccessDeniedException", unknownKey, "SignatureDoesNotMatch", "ExpiredToken", "OptInRequired":
		return errs.Newf(errs.Denied, "%s: AWS says %s: the policy that the managing key needs is in docs/rotation/aws.md", doing, c)
	}
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() < 500 && !throttled(c) {
		return errs.Newf(errs.Invalid, "%s: AWS says %s", doing, plain(c))
	}
	return errs.Newf(errs.Unavailable, "%s: AWS says %s; it is tried again", doing, plain(c))
}

func throttled(c string) bool {
	switch c {
	case "EntityTemporarilyUnmodifiable", "ConcurrentModification", "RequestTimeout", "PriorRequestNotComplete":
		return true
	}
	return strings.Contains(c, "Throttl") || strings.Contains(c, "TooManyRequests") || c == "RequestLimitExceeded" || c == "SlowDown"
}

// plain makes a word of a server fit for a message.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 128)]
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

package secretsmanager

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sm "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go/logging"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Config configures a Store. Client, Access and Clock are required.
type Config struct {
	Client   wire.Client
	Access   *access.Access
	Endpoint string // AWS's own for the region when empty
	Prefix   string // in front of every key
	Clock    clock.Clock
	// ForceDelete deletes at once; else RecoveryDays is how long a deleted secret
	// can be restored, 0 meaning AWS's own 30.
	ForceDelete  bool
	RecoveryDays int64
}

// Store is Secrets Manager with one login. It is safe for concurrent use.
type Store struct {
	cfg    Config
	client *sm.Client
	batch  *wire.Batch[answer]
	alone  atomic.Int64 // until when nobody asks for several at once, in Unix seconds
	turns  push.Turns   // of writes, of which none is on condition
}

// answer is a value, or why there is none.
type answer struct {
	value provider.Value
	err   error
}

// New returns a Store.
func New(cfg Config) *Store {
	s := &Store{cfg: cfg, client: sm.New(sm.Options{
		Region: cfg.Client.Region, BaseEndpoint: wire.Text(cfg.Endpoint), HTTPClient: cfg.Client.HTTP, Retryer: cfg.Client.Retryer,
		Credentials: cfg.Access, Logger: logging.Nop{}, AppID: "strongkeep",
	})}
	s.batch = &wire.Batch[answer]{Size: batchSize, Ask: s.ask}
	return s
}

const (
	current   = "AWSCURRENT"
	previous  = "AWSPREVIOUS"
	batchSize = 20 // of BatchGetSecretValue
	// aloneFor is how long a store that may not ask for several at once does not try.
	aloneFor = 10 * time.Minute
)

// Read reads one version: the one that has the staging label req.Version, or whose
// id stands behind "uuid/"; without any the current one.
func (s *Store) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	if req.Key == "" {
		return provider.Value{}, errs.New(errs.Invalid, "key is missing")
	}
	name := s.cfg.Prefix + req.Key
	switch {
	case req.Metadata:
		return s.tags(ctx, name)
	case req.Version != "" && req.Version != current || strings.HasPrefix(name, "arn:"): // an ARN is answered by name
		return s.get(ctx, name, req.Version)
	}
	got, ok, err := s.batch.Get(ctx, name)
	switch {
	case err != nil:
		return provider.Value{}, err
	case ok:
		return got.value, got.err
	}
	return s.get(ctx, name, "")
}

func (s *Store) get(ctx context.Context, name, version string) (provider.Value, error) {
	in := &sm.GetSecretValueInput{SecretId: &name}
	if id, ok := strings.CutPrefix(version, "uuid/"); ok {
		in.VersionId = &id
	} else {
		if version == "" {
			version = current
		}
		in.VersionStage = &version
	}
	out, err := access.Do(ctx, s.cfg.Access, fmt.Sprintf("reading %q from Secrets Manager", name),
		func(ctx context.Context) (*sm.GetSecretValueOutput, error) { return s.client.GetSecretValue(ctx, in) })
	if err != nil {
		return provider.Value{}, s.explain(err, name, version)
	}
	return value(name, out.SecretString, out.SecretBinary, out.VersionId)
}

// explain says in the message what to do. A secret that was deleted and can still
// be restored is gone as far as readers are concerned.
func (s *Store) explain(err error, name, version string) error {
	switch {
	case deleted(err):
		return errs.Newf(errs.NotExist, "secret %q was deleted: aws secretsmanager restore-secret brings it back", name)
	case errs.Is(err, errs.NotExist) && version != "" && version != current:
		return errs.Newf(errs.NotExist, "secret %q has no version %q (a staging label, or uuid/ID), or does not exist, in region %s", name, version, s.cfg.Client.Region)
	case errs.Is(err, errs.NotExist):
		return errs.Newf(errs.NotExist, "secret %q does not exist in region %s", name, s.cfg.Client.Region)
	case wire.Code(err) == "DecryptionFailure":
		return errs.Newf(errs.Denied, "%w; allow kms:Decrypt on the secret's key", err)
	}
	return err
}

// deleted reports whether Secrets Manager says that a secret awaits its deletion,
// for which it has no code of its own.
func deleted(err error) bool {
	code := wire.Code(err)
	return (code == "InvalidRequestException" || code == "InvalidParameterException") && strings.Contains(wire.Words(err), "marked for deletion")
}

func value(name string, text *string, binary []byte, version *string) (provider.Value, error) {
	v := provider.Value{Version: aws.ToString(version)}
	switch {
	case text != nil:
		v.Data = redact.FromString(*text)
	case binary != nil:
		v.Data = redact.New(binary)
	default:
		return v, errs.Newf(errs.Unavailable, "reading %q from Secrets Manager: the answer has neither a text nor bytes", name)
	}
	return v, nil
}

// ask answers the current versions of secrets: one by itself, several by one call.
// What that call does not bring is left out, and then asked for alone.
func (s *Store) ask(ctx context.Context, names []string) map[string]answer {
	if len(names) == 1 {
		v, err := s.get(ctx, names[0], "")
		return map[string]answer{names[0]: {v, err}}
	}
	if s.cfg.Clock.Now().Unix() < s.alone.Load() {
		return nil
	}
	out, err := s.several(ctx, names)
	if err != nil {
		switch errs.KindOf(err) {
		case errs.Denied, errs.Invalid, errs.Unsupported:
			s.alone.Store(s.cfg.Clock.Now().Add(aloneFor).Unix())
			return nil
		}
		all := make(map[string]answer, len(names))
		for _, name := range names {
			all[name] = answer{err: err}
		}
		return all
	}
	return out
}

// several asks for up to batchSize secrets. Those that it could not get are left out.
func (s *Store) several(ctx context.Context, names []string) (map[string]answer, error) {
	out, err := access.Do(ctx, s.cfg.Access, "reading several secrets from Secrets Manager",
		func(ctx context.Context) (*sm.BatchGetSecretValueOutput, error) {
			return s.client.BatchGetSecretValue(ctx, &sm.BatchGetSecretValueInput{SecretIdList: names})
		})
	if err != nil {
		return nil, err
	}
	got := make(map[string]answer, len(out.SecretValues))
	for _, e := range out.SecretValues {
		if v, err := value(aws.ToString(e.Name), e.SecretString, e.SecretBinary, e.VersionId); err == nil {
			got[aws.ToString(e.Name)] = answer{value: v}
		}
	}
	return got, nil
}

// tags returns a secret's tags as a JSON object.
func (s *Store) tags(ctx context.Context, name string) (provider.Value, error) {
	about, err := s.describe(ctx, name)
	if err != nil {
		return provider.Value{}, s.explain(err, name, "")
	}
	if about.DeletedDate != nil {
		return provider.Value{}, errs.Newf(errs.NotExist, "secret %q was deleted: aws secretsmanager restore-secret brings it back", name)
	}
	raw, err := json.Marshal(pairs(about.Tags))
	if err != nil {
		return provider.Value{}, errs.Newf(errs.Internal, "encoding the tags of %q: %w", name, err)
	}
	return provider.Value{Data: redact.New(raw)}, nil
}

func (s *Store) describe(ctx context.Context, name string) (*sm.DescribeSecretOutput, error) {
	return access.Do(ctx, s.cfg.Access, fmt.Sprintf("describing %q in Secrets Manager", name),
		func(ctx context.Context) (*sm.DescribeSecretOutput, error) {
			return s.client.DescribeSecret(ctx, &sm.DescribeSecretInput{SecretId: &name})
		})
}

func pairs(tags []types.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}

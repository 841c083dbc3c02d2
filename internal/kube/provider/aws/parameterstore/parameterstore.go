package parameterstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go/logging"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/pace"
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
}

// Store is the Parameter Store with one login. It is safe for concurrent use.
type Store struct {
	cfg    Config
	client *ssm.Client
	limit  *rate.Limiter
	batch  *wire.Batch[answer]
	alone  atomic.Int64 // until when nobody asks for several at once, in Unix seconds
	turns  push.Turns   // of writes, of which none is on condition
}

// answer is a value, or why there is none.
type answer struct {
	value provider.Value
	err   error
}

const (
	batchSize = 10 // of GetParameters
	// aloneFor is how long a store that may not ask for several at once does not try.
	aloneFor = 10 * time.Minute
	// An account has 40 calls a second in a region, for everybody, unless more are
	// paid for; a store takes half, and what it saved up at once.
	perSecond, burst = 20, 40
)

// New returns a Store.
func New(cfg Config) *Store {
	s := &Store{cfg: cfg, limit: rate.NewLimiter(perSecond, burst), client: ssm.New(ssm.Options{
		Region: cfg.Client.Region, BaseEndpoint: wire.Text(cfg.Endpoint), HTTPClient: cfg.Client.HTTP, Retryer: cfg.Client.Retryer,
		Credentials: cfg.Access, Logger: logging.Nop{}, AppID: "strongkeep",
	})}
	s.batch = &wire.Batch[answer]{Size: batchSize, Ask: s.ask}
	return s
}

// do makes one call when it is the store's turn.
func do[T any](ctx context.Context, s *Store, doing string, call func(context.Context) (T, error)) (T, error) {
	if err := pace.Wait(ctx, s.limit, s.cfg.Clock, 0); err != nil {
		var none T
		return none, errs.Newf(errs.Exhausted, "%s: waiting for the store's turn, %d calls a second: %w", doing, perSecond, err)
	}
	return access.Do(ctx, s.cfg.Access, doing, call)
}

// Read reads one version: the number or label req.Version, which may also stand
// behind the key and a colon; without any the latest.
func (s *Store) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	if req.Key == "" {
		return provider.Value{}, errs.New(errs.Invalid, "key is missing")
	}
	name := s.cfg.Prefix + req.Key
	arn := strings.HasPrefix(name, "arn:")
	if req.Metadata {
		return s.tags(ctx, name)
	}
	if req.Version != "" {
		if !arn && strings.Contains(name, ":") {
			return provider.Value{}, errs.Newf(errs.Invalid, "key %q names a version, and version is %q: keep one", req.Key, req.Version)
		}
		name += ":" + req.Version
	}
	if arn { // is answered by name
		return s.get(ctx, name)
	}
	got, ok, err := s.batch.Get(ctx, name)
	switch {
	case err != nil:
		return provider.Value{}, err
	case ok:
		return got.value, got.err
	}
	return s.get(ctx, name)
}

// get reads name, which may have a version behind a colon.
func (s *Store) get(ctx context.Context, name string) (provider.Value, error) {
	p, err := s.parameter(ctx, name)
	if err != nil {
		return provider.Value{}, err
	}
	return value(name, p)
}

func (s *Store) parameter(ctx context.Context, name string) (*types.Parameter, error) {
	out, err := do(ctx, s, fmt.Sprintf("reading %q from Parameter Store", name), func(ctx context.Context) (*ssm.GetParameterOutput, error) {
		return s.client.GetParameter(ctx, &ssm.GetParameterInput{Name: &name, WithDecryption: aws.Bool(true)})
	})
	if errs.Is(err, errs.NotExist) {
		return nil, errs.Newf(errs.NotExist, "parameter %q does not exist in region %s, or has no such version", name, s.cfg.Client.Region)
	}
	if err != nil {
		return nil, err
	}
	return out.Parameter, nil
}

func value(name string, p *types.Parameter) (provider.Value, error) {
	if p == nil || p.Value == nil {
		return provider.Value{}, errs.Newf(errs.Unavailable, "reading %q from Parameter Store: the answer has no value", name)
	}
	v := provider.Value{Data: redact.FromString(*p.Value)}
	if p.Version > 0 {
		v.Version = strconv.FormatInt(p.Version, 10)
	}
	return v, nil
}

// ask answers names: one by itself, several by one call. What that call does not
// bring is left out, and then asked for alone.
func (s *Store) ask(ctx context.Context, names []string) map[string]answer {
	if len(names) == 1 {
		v, err := s.get(ctx, names[0])
		return map[string]answer{names[0]: {v, err}}
	}
	if s.cfg.Clock.Now().Unix() < s.alone.Load() {
		return nil
	}
	out, err := do(ctx, s, "reading several parameters from Parameter Store", func(ctx context.Context) (*ssm.GetParametersOutput, error) {
		return s.client.GetParameters(ctx, &ssm.GetParametersInput{Names: names, WithDecryption: aws.Bool(true)})
	})
	all := make(map[string]answer, len(names))
	if err != nil {
		switch errs.KindOf(err) {
		case errs.Denied: // which may be for one of them
			s.alone.Store(s.cfg.Clock.Now().Add(aloneFor).Unix())
			return nil
		case errs.Invalid, errs.NotExist, errs.Unsupported:
			return nil
		}
		for _, name := range names {
			all[name] = answer{err: err}
		}
		return all
	}
	for _, p := range out.Parameters {
		name := aws.ToString(p.Name) + aws.ToString(p.Selector)
		if v, err := value(name, &p); err == nil {
			all[name] = answer{value: v}
		}
	}
	return all
}

// tags returns a parameter's tags as a JSON object.
func (s *Store) tags(ctx context.Context, name string) (provider.Value, error) {
	tags, err := s.pairs(ctx, name)
	if err != nil {
		return provider.Value{}, err
	}
	raw, err := json.Marshal(tags)
	if err != nil {
		return provider.Value{}, errs.Newf(errs.Internal, "encoding the tags of %q: %w", name, err)
	}
	return provider.Value{Data: redact.New(raw)}, nil
}

func (s *Store) pairs(ctx context.Context, name string) (map[string]string, error) {
	out, err := do(ctx, s, fmt.Sprintf("reading the tags of %q in Parameter Store", name), func(ctx context.Context) (*ssm.ListTagsForResourceOutput, error) {
		return s.client.ListTagsForResource(ctx, &ssm.ListTagsForResourceInput{ResourceId: &name, ResourceType: types.ResourceTypeForTaggingParameter})
	})
	if errs.Is(err, errs.NotExist) {
		return nil, errs.Newf(errs.NotExist, "parameter %q does not exist in region %s", name, s.cfg.Client.Region)
	}
	if err != nil {
		return nil, err
	}
	m := make(map[string]string, len(out.TagList))
	for _, t := range out.TagList {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m, nil
}

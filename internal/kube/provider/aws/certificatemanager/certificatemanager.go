package certificatemanager

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/smithy-go/logging"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/access"
	"github.com/strongkeep/strongkeep/internal/kube/provider/pace"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Config configures a Store. Client, Access and Clock are required.
type Config struct {
	Client   wire.Client
	Access   *access.Access
	Endpoint string // AWS's own for the region when empty
	Clock    clock.Clock
}

// Store is the certificates with one login. It is safe for concurrent use.
type Store struct {
	cfg    Config
	client *acm.Client
	limit  *rate.Limiter

	mu sync.Mutex
	// exported are by ARN what was exported last. It is given again while the public half
	// is the same: AWS counts exports, and allows few.
	exported map[string]exported
}

type exported struct {
	public string // certificate and chain
	value  provider.Value
}

const (
	// An account exports 5 certificates a second in a region, for everybody, and reads
	// 10; a store takes less, and what it saved up at once.
	perSecond, burst = 4, 10
	// maxExported bounds what is kept.
	maxExported = 512
)

// New returns a Store.
func New(cfg Config) *Store {
	return &Store{cfg: cfg, limit: rate.NewLimiter(perSecond, burst), exported: map[string]exported{}, client: acm.New(acm.Options{
		Region: cfg.Client.Region, BaseEndpoint: wire.Text(cfg.Endpoint), HTTPClient: cfg.Client.HTTP, Retryer: cfg.Client.Retryer,
		Credentials: cfg.Access, Logger: logging.Nop{}, AppID: "strongkeep",
	})}
}

// do makes one call when it is the store's turn.
func do[T any](ctx context.Context, s *Store, doing string, call func(context.Context) (T, error)) (T, error) {
	if err := pace.Wait(ctx, s.limit, s.cfg.Clock, 0); err != nil {
		var none T
		return none, errs.Newf(errs.Exhausted, "%s: waiting for the store's turn, %d calls a second: %w", doing, perSecond, err)
	}
	return access.Do(ctx, s.cfg.Access, doing, call)
}

var arns = regexp.MustCompile(`^arn:[a-z0-9-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]{1,64}$`)

// Named reports whether key is the ARN of a certificate.
func Named(key string) bool { return arns.MatchString(key) }

// Read exports a certificate by its ARN. The whole is PEM: the certificate, its chain, its
// key (PKCS #8); the parts are those of a Secret of type kubernetes.io/tls.
func (s *Store) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	switch {
	case !Named(req.Key):
		return provider.Value{}, errs.Newf(errs.Invalid, "key %.200q is not the ARN of a certificate, such as arn:aws:acm:eu-central-1:123456789012:certificate/ID", req.Key)
	case req.Version != "":
		return provider.Value{}, errs.Newf(errs.Invalid, "version %.40q of %q: a certificate has none but the current one: leave version out", req.Version, req.Key)
	case req.Metadata:
		return s.tags(ctx, req.Key)
	}
	out, err := do(ctx, s, fmt.Sprintf("reading certificate %q", req.Key), func(ctx context.Context) (*acm.GetCertificateOutput, error) {
		return s.client.GetCertificate(ctx, &acm.GetCertificateInput{CertificateArn: &req.Key})
	})
	if err != nil {
		return provider.Value{}, explain(err)
	}
	public := aws.ToString(out.Certificate) + aws.ToString(out.CertificateChain)
	s.mu.Lock()
	last, ok := s.exported[req.Key]
	s.mu.Unlock()
	if ok && last.public == public {
		return last.value, nil
	}
	return s.export(ctx, req.Key)
}

// export has AWS encrypt the key for a passphrase that is made for this one time.
func (s *Store) export(ctx context.Context, arn string) (provider.Value, error) {
	doing := fmt.Sprintf("exporting certificate %q", arn)
	passphrase := []byte(rand.Text())
	out, err := do(ctx, s, doing, func(ctx context.Context) (*acm.ExportCertificateOutput, error) {
		return s.client.ExportCertificate(ctx, &acm.ExportCertificateInput{CertificateArn: &arn, Passphrase: passphrase})
	})
	if err != nil {
		return provider.Value{}, explain(err)
	}
	v, err := pair{
		certificate: aws.ToString(out.Certificate), chain: aws.ToString(out.CertificateChain),
		key: redact.FromString(aws.ToString(out.PrivateKey)), passphrase: passphrase,
	}.value(doing)
	if err != nil {
		return provider.Value{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.exported) >= maxExported {
		clear(s.exported)
	}
	s.exported[arn] = exported{aws.ToString(out.Certificate) + aws.ToString(out.CertificateChain), v}
	return v, nil
}

// explain adds what to do about refusals whose code does not tell.
func explain(err error) error {
	switch wire.Code(err) {
	case "ValidationException", "InvalidStateException", "InvalidRequestException":
		return errs.Newf(errs.Invalid, "%w: only certificates that were requested with export, and those of a private authority, can be exported", err)
	case "RequestInProgressException":
		return errs.Newf(errs.Unavailable, "%w: the certificate is still being issued", err)
	}
	return err
}

func (s *Store) tags(ctx context.Context, arn string) (provider.Value, error) {
	doing := fmt.Sprintf("reading the tags of certificate %q", arn)
	out, err := do(ctx, s, doing, func(ctx context.Context) (*acm.ListTagsForCertificateOutput, error) {
		return s.client.ListTagsForCertificate(ctx, &acm.ListTagsForCertificateInput{CertificateArn: &arn})
	})
	if err != nil {
		return provider.Value{}, err
	}
	tags := map[string]string{}
	for _, t := range out.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	raw, err := json.Marshal(tags)
	if err != nil {
		return provider.Value{}, errs.Newf(errs.Internal, "%s: %w", doing, err)
	}
	return provider.Value{Data: redact.New(raw)}, nil
}

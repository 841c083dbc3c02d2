package secretmanager

import (
	"context"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"
	"sync"

	pb "cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/wire"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/kube/provider/push"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Config configures a Store. Login, Project and Clock are required.
type Config struct {
	Login    *login.Keeper
	Endpoint string // Google's own for the location when empty
	// Project tells where the secrets are. It is asked until it knows.
	Project  func(ctx context.Context) (string, error)
	Location string // of regional secrets
	// LatestOrFetch reads the newest version that is enabled where the newest of all
	// is disabled or destroyed.
	LatestOrFetch bool
	Retry         provider.Retry
	Clock         clock.Clock
}

// Store is Secret Manager with one login. It is safe for concurrent use: one
// connection carries any number of calls.
type Store struct {
	cfg    Config
	conn   *grpc.ClientConn
	client pb.SecretManagerServiceClient
	admin  *rate.Limiter // of what counts as a read of Google's quota, which is small
	lives  *lives
	turns  push.Turns // of writes, of which none is on condition

	mu      sync.Mutex
	project string
}

// New returns a Store. It does not connect.
func New(cfg Config) (*Store, error) {
	conn, err := dial(cfg.Endpoint, cfg.Location)
	if err != nil {
		return nil, err
	}
	return &Store{
		cfg: cfg, conn: conn, client: pb.NewSecretManagerServiceClient(conn),
		admin: rate.NewLimiter(adminPerSecond, adminBurst), lives: newLives(cfg.Clock),
	}, nil
}

// Close ends the connection.
func (s *Store) Close() error { return s.conn.Close() }

const latest = "latest"

// What may stand in the name of a secret and of a version: all else would name
// something else.
var (
	ids      = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	versions = regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}$`)
)

// ValidID reports whether key can be the name of a secret.
func ValidID(key string) bool { return ids.MatchString(key) }

// parent names where secrets are.
func (s *Store) parent(ctx context.Context) (string, error) {
	s.mu.Lock()
	project := s.project
	s.mu.Unlock()
	if project == "" {
		var err error
		if project, err = s.cfg.Project(ctx); err != nil {
			return "", err
		}
		s.mu.Lock()
		s.project = project
		s.mu.Unlock()
	}
	if s.cfg.Location != "" {
		return "projects/" + project + "/locations/" + s.cfg.Location, nil
	}
	return "projects/" + project, nil
}

// name returns the full name of a secret.
func (s *Store) name(ctx context.Context, key string) (string, error) {
	switch {
	case key == "":
		return "", errs.New(errs.Invalid, "key is missing")
	case !ids.MatchString(key):
		return "", errs.Newf(errs.Invalid, "key %q is no name of a secret in Secret Manager: it has letters, digits, - and _ only, and no project", key)
	}
	parent, err := s.parent(ctx)
	return parent + "/secrets/" + key, err
}

// Read reads one version: a number or an alias, or the latest.
func (s *Store) Read(ctx context.Context, req provider.Request) (provider.Value, error) {
	name, err := s.name(ctx, req.Key)
	switch {
	case err != nil:
		return provider.Value{}, err
	case req.Metadata:
		return s.metadata(ctx, name, req.Key)
	case req.Version != "" && !versions.MatchString(req.Version):
		return provider.Value{}, errs.Newf(errs.Invalid, "version %q of secret %q is neither a number nor an alias", req.Version, req.Key)
	}
	v, err := s.version(ctx, name, req.Key, req.Version)
	if err == nil {
		v.Expires = s.expires(ctx, name)
	}
	return v, err
}

// version reads one version, the latest for "" as the policy has it.
func (s *Store) version(ctx context.Context, name, key, version string) (provider.Value, error) {
	wanted := version
	if wanted == "" {
		wanted = latest
	}
	v, err := s.access(ctx, name, key, wanted)
	if off(err) && version == "" && s.cfg.LatestOrFetch {
		newest, listErr := s.newestEnabled(ctx, name, key)
		switch {
		case listErr != nil:
			return provider.Value{}, listErr
		case newest != "":
			return s.access(ctx, name, key, newest)
		}
	}
	return v, err
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// access reads one version. What comes must be the secret that was asked for, whole.
func (s *Store) access(ctx context.Context, name, key, version string) (provider.Value, error) {
	doing := fmt.Sprintf("reading %q from Secret Manager", key)
	at := name + "/versions/" + version
	out, err := do(ctx, s, call{wire.Call{Doing: doing, Routing: "name=" + at}, false}, func(ctx context.Context) (*pb.AccessSecretVersionResponse, error) {
		return s.client.AccessSecretVersion(ctx, &pb.AccessSecretVersionRequest{Name: at})
	})
	if err != nil {
		return provider.Value{}, s.explain(err, key, version)
	}
	number, ok := versionOf(out.GetName(), key)
	payload := out.GetPayload()
	switch {
	case payload == nil || !ok:
		return provider.Value{}, errs.Newf(errs.Unavailable, "%s: the answer is not the secret that was asked for", doing)
	case payload.DataCrc32C != nil && payload.GetDataCrc32C() != int64(crc32.Checksum(payload.GetData(), castagnoli)):
		return provider.Value{}, errs.Newf(errs.Unavailable, "%s: the value was damaged on its way", doing)
	}
	return provider.Value{Data: redact.New(payload.GetData()), Version: number}, nil
}

// versionOf returns the number at the end of a full name of a version of key.
func versionOf(name, key string) (number string, ok bool) {
	_, rest, ok := strings.Cut(name, "/secrets/"+key+"/versions/")
	return rest, ok && versions.MatchString(rest)
}

// explain says in the message what to do.
func (s *Store) explain(err error, key, version string) error {
	switch {
	case off(err):
		return errs.Newf(errs.Invalid, "version %s of secret %q is disabled or destroyed (%w): enable it or add another, or set secretVersionSelectionPolicy: LatestOrFetch",
			version, key, err)
	case !errs.Is(err, errs.NotExist):
		return err
	case version != latest:
		return errs.Newf(errs.NotExist, "secret %q has no version %q, or does not exist, in %s", key, version, s.where())
	}
	return errs.Newf(errs.NotExist, "secret %q does not exist, or has no version, in %s", key, s.where())
}

func (s *Store) where() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Location != "" {
		return "project " + s.project + ", location " + s.cfg.Location
	}
	return "project " + s.project
}

// off reports whether Google says that a version cannot be read as it is.
func off(err error) bool { return wire.Code(err) == codes.FailedPrecondition }

// newestEnabled returns the number of the newest version that is enabled, "" when
// there is none.
func (s *Store) newestEnabled(ctx context.Context, name, key string) (string, error) {
	req := &pb.ListSecretVersionsRequest{Parent: name, Filter: "state:ENABLED", PageSize: pageSize}
	newest, best := "", int64(-1)
	var p pages
	for {
		page, err := do(ctx, s, call{wire.Call{Doing: fmt.Sprintf("listing the versions of %q", key), Routing: "parent=" + name}, true},
			func(ctx context.Context) (*pb.ListSecretVersionsResponse, error) {
				return s.client.ListSecretVersions(ctx, req)
			})
		if err != nil {
			return "", s.explain(err, key, latest)
		}
		for _, v := range page.GetVersions() {
			number, ok := versionOf(v.GetName(), key)
			made := v.GetCreateTime().AsTime().UnixNano()
			if ok && v.GetState() == pb.SecretVersion_ENABLED && made > best {
				newest, best = number, made
			}
		}
		more, err := p.next(page.GetNextPageToken())
		if err != nil || !more {
			return newest, err
		}
		req.PageToken = page.GetNextPageToken()
	}
}

package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
	storage "google.golang.org/api/storage/v1"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
)

const scope = "https://www.googleapis.com/auth/devstorage.read_write"

// Config of a Service.
type Config struct {
	Bucket   string
	Endpoint string        // "" = Google's own
	Key      redact.Secret // of a service account, JSON as Google gives it; empty = whoever Google's own chain finds
	HTTP     *http.Client
}

// Service is a bucket.Service.
type Service struct {
	objects *storage.ObjectsService
	bucket  string
}

// Open asks nobody but, without a Key, those who give credentials.
func Open(ctx context.Context, c Config) (*Service, error) {
	creds, err := c.login()
	if err != nil {
		return nil, err
	}
	client := *c.HTTP
	if err := httptransport.AddAuthorizationMiddleware(&client, creds); err != nil {
		return nil, errs.New(errs.Internal, "the credentials of Google cannot be used")
	}
	o := []option.ClientOption{option.WithHTTPClient(&client)}
	if c.Endpoint != "" {
		o = append(o, option.WithEndpoint(strings.TrimSuffix(c.Endpoint, "/")+"/storage/v1/"))
	}
	s, err := storage.NewService(ctx, o...)
	if err != nil {
		return nil, errs.New(errs.Invalid, "the endpoint of Google Cloud Storage cannot be used")
	}
	return &Service{s.Objects, c.Bucket}, nil
}

func (c *Config) login() (*auth.Credentials, error) {
	o := &credentials.DetectOptions{Scopes: []string{scope}, UseSelfSignedJWT: true, Logger: slog.New(slog.DiscardHandler)}
	if c.Key.Empty() {
		creds, err := credentials.DetectDefault(o)
		if err != nil { // it may quote a file
			return nil, errs.New(errs.Unauthenticated, "there are no credentials for Google Cloud: set GOOGLE_APPLICATION_CREDENTIALS, give the machine a service account, or give a key")
		}
		return creds, nil
	}
	creds, err := credentials.NewCredentialsFromJSON(credentials.ServiceAccount, c.Key.Reveal(), o)
	if err != nil { // it may quote the key
		return nil, errs.New(errs.Invalid, "the key is none of a service account that can be used: is it as Google gave it?")
	}
	return creds, nil
}

// fail gives an error of the client its kind.
func (s *Service) fail(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	a := bucket.Answer{Err: err}
	var refused *googleapi.Error
	if errors.As(err, &refused) {
		a.Status = refused.Code
		if len(refused.Errors) > 0 {
			a.Code = refused.Errors[0].Reason
		}
		if a.Status == http.StatusNotFound && strings.Contains(refused.Message+refused.Body, "bucket does not exist") {
			a.Code = "NoSuchBucket"
		}
	}
	var login *auth.Error
	if errors.As(err, &login) && login.Response != nil {
		a.Status, a.Code = http.StatusUnauthorized, ""
	}
	return bucket.Fail(fmt.Sprintf("%s gs://%s/%s", doing, s.bucket, key), a)
}

// Put implements bucket.Service. The object is there when its last byte is.
func (s *Service) Put(ctx context.Context, key string, from io.ReadSeeker, size int64) error {
	ctx, cancel := context.WithCancel(ctx) // ends the upload
	defer cancel()
	_, err := s.objects.Insert(s.bucket, &storage.Object{Name: key}).IfGenerationMatch(0).
		Media(bucket.PartOf(from, 0, size), googleapi.ChunkSize(16<<20), googleapi.ContentType("application/octet-stream")).Context(ctx).Do()
	return s.fail("writing", key, err)
}

// Get implements bucket.Service.
func (s *Service) Get(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	call := s.objects.Get(s.bucket, key).Context(ctx)
	if offset > 0 {
		call.Header().Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	answer, err := call.Download()
	if err != nil {
		return nil, s.fail("reading", key, err)
	}
	return answer.Body, nil
}

// List implements bucket.Service.
func (s *Service) List(ctx context.Context, prefix string, each func(key string)) error {
	err := s.objects.List(s.bucket).Prefix(prefix).Fields("nextPageToken", "items(name)").Pages(ctx, func(page *storage.Objects) error {
		for _, o := range page.Items {
			each(o.Name)
		}
		return nil
	})
	return s.fail("listing", prefix, err)
}

// Delete implements bucket.Service.
func (s *Service) Delete(ctx context.Context, key string) error {
	return s.fail("removing", key, s.objects.Delete(s.bucket, key).Context(ctx).Do())
}

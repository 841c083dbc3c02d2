package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
)

// Config of a Service.
type Config struct {
	Bucket     string
	Region     string // "" = the environment's
	Endpoint   string // "" = AWS's own
	PathStyle  bool   // the bucket is in the path, not in the host's name
	ID         string // of an access key; "" = whoever the SDK's own chain finds: environment, profile, web identity, container, instance
	Secret     redact.Secret
	Token      redact.Secret // of a session
	Encryption string        // by the store: "", AES256 or aws:kms
	Key        string        // for aws:kms
	HTTP       *http.Client
}

// abortTimeout is for taking an upload back that failed.
const abortTimeout = 30 * time.Second

// Service is a bucket.Service.
type Service struct {
	client *sdk.Client
	cfg    Config
}

// Open asks nobody but, without an ID, those who give credentials.
func Open(ctx context.Context, c Config) (*Service, error) {
	o := sdk.Options{
		Region: c.Region, UsePathStyle: c.PathStyle, HTTPClient: c.HTTP, AppID: "strongkeep", Logger: logging.Nop{},
		// Not every store that speaks the protocol knows checksums in trailers. Bodies are
		// signed with their SHA-256, and the whole is read back.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if c.Endpoint != "" {
		o.BaseEndpoint = &c.Endpoint
	}
	if c.ID != "" {
		o.Credentials = aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider(c.ID, c.Secret.RevealString(), c.Token.RevealString()))
	} else {
		own, err := config.LoadDefaultConfig(ctx, config.WithLogger(logging.Nop{}))
		if err != nil {
			return nil, errs.New(errs.Invalid, "the configuration of AWS in the environment or its files cannot be read")
		}
		o.Credentials, o.Region = own.Credentials, cmp.Or(o.Region, own.Region)
	}
	if o.Region == "" {
		if c.Endpoint == "" {
			return nil, errs.New(errs.Invalid, "the region of the bucket is missing")
		}
		o.Region = "us-east-1" // what other stores take for any
	}
	return &Service{sdk.New(o), c}, nil
}

// fail gives an error of the client its kind.
func (s *Service) fail(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	a := bucket.Answer{Err: err}
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		a.Status = answer.HTTPStatusCode()
	}
	var refused smithy.APIError
	if errors.As(err, &refused) {
		a.Code = refused.ErrorCode()
		if a.Status == http.StatusOK { // of an upload that was completed in vain
			a.Status = http.StatusInternalServerError
		}
	}
	if a.Status == http.StatusOK {
		a.Status = 0 // the answer broke off
	}
	if a.Status == 0 && strings.Contains(err.Error(), "get identity") { // the SDK has no type for it
		return errs.Newf(errs.Unauthenticated, "%s s3://%s/%s: there are no credentials for AWS: give some, or the machine a role", doing, s.cfg.Bucket, key)
	}
	return bucket.Fail(fmt.Sprintf("%s s3://%s/%s", doing, s.cfg.Bucket, key), a)
}

// Put implements bucket.Service. A store that knows no condition is asked without one.
func (s *Service) Put(ctx context.Context, key string, from io.ReadSeeker, size int64) error {
	u := upload{key, from, size, aws.String("*")}
	err := s.put(ctx, &u)
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotImplemented {
		u.free = nil
		err = s.put(ctx, &u)
	}
	return s.fail("writing", key, err)
}

// upload is what is to be put.
type upload struct {
	key  string
	from io.ReadSeeker
	size int64
	free *string // "*": only if nothing has the key
}

// put has the client's errors.
func (s *Service) put(ctx context.Context, u *upload) error {
	if u.size > bucket.PartSize(u.size) {
		return s.putParts(ctx, u)
	}
	in := &sdk.PutObjectInput{
		Bucket: &s.cfg.Bucket, Key: &u.key, Body: bucket.PartOf(u.from, 0, u.size), ContentLength: &u.size, IfNoneMatch: u.free,
		ServerSideEncryption: types.ServerSideEncryption(s.cfg.Encryption),
	}
	if s.cfg.Key != "" {
		in.SSEKMSKeyId = &s.cfg.Key
	}
	_, err := s.client.PutObject(ctx, in)
	return err
}

// putParts uploads part after part; only the last request makes the key be there.
func (s *Service) putParts(ctx context.Context, u *upload) (err error) {
	in := &sdk.CreateMultipartUploadInput{Bucket: &s.cfg.Bucket, Key: &u.key, ServerSideEncryption: types.ServerSideEncryption(s.cfg.Encryption)}
	if s.cfg.Key != "" {
		in.SSEKMSKeyId = &s.cfg.Key
	}
	up, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
		defer cancel()
		_, _ = s.client.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadInput{Bucket: &s.cfg.Bucket, Key: &u.key, UploadId: up.UploadId}) // what is left is no object
	}()
	var done []types.CompletedPart
	for at, part := int64(0), bucket.PartSize(u.size); at < u.size; at += part {
		n, long := int32(len(done)+1), min(part, u.size-at)
		out, err := s.client.UploadPart(ctx, &sdk.UploadPartInput{
			Bucket: &s.cfg.Bucket, Key: &u.key, UploadId: up.UploadId, PartNumber: &n, Body: bucket.PartOf(u.from, at, long), ContentLength: &long,
		})
		if err != nil {
			return err
		}
		done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: &n})
	}
	_, err = s.client.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadInput{
		Bucket: &s.cfg.Bucket, Key: &u.key, UploadId: up.UploadId, IfNoneMatch: u.free, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	return err
}

// Get implements bucket.Service.
func (s *Service) Get(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	in := &sdk.GetObjectInput{Bucket: &s.cfg.Bucket, Key: &key}
	if offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := s.client.GetObject(ctx, in)
	if err != nil {
		return nil, s.fail("reading", key, err)
	}
	return out.Body, nil
}

// List implements bucket.Service.
func (s *Service) List(ctx context.Context, prefix string, each func(key string)) error {
	pages := sdk.NewListObjectsV2Paginator(s.client, &sdk.ListObjectsV2Input{Bucket: &s.cfg.Bucket, Prefix: &prefix}, func(o *sdk.ListObjectsV2PaginatorOptions) {
		o.StopOnDuplicateToken = true
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.fail("listing", prefix, err)
		}
		for i := range page.Contents {
			each(aws.ToString(page.Contents[i].Key))
		}
	}
	return nil
}

// Delete implements bucket.Service.
func (s *Service) Delete(ctx context.Context, key string) error {
	_, err := s.client.DeleteObject(ctx, &sdk.DeleteObjectInput{Bucket: &s.cfg.Bucket, Key: &key})
	return s.fail("removing", key, err)
}

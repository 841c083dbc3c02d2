package azure

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
)

// Config of a Service. Without Key and SAS it is whoever Azure's own chain finds:
// environment, workload identity, managed identity.
type Config struct {
	Container string
	Account   string
	Endpoint  string        // "" = https://ACCOUNT.blob.core.windows.net
	Key       redact.Secret // of the account, base64
	SAS       redact.Secret // a shared access signature for the container
	HTTP      *http.Client
}

// Service is a bucket.Service.
type Service struct {
	container *container.Client
	at        string // for people
}

// Open asks nobody.
func Open(c Config) (*Service, error) {
	at := strings.TrimSuffix(cmp.Or(c.Endpoint, "https://"+c.Account+".blob.core.windows.net"), "/") + "/" + c.Container
	o := &container.ClientOptions{ClientOptions: azcore.ClientOptions{
		Transport: c.HTTP, Telemetry: policy.TelemetryOptions{ApplicationID: "strongkeep"},
		Retry: policy.RetryOptions{MaxRetries: 2, RetryDelay: time.Second, MaxRetryDelay: 10 * time.Second},
	}}
	s := &Service{at: "azblob://" + c.Account + "/" + c.Container}
	var err error
	switch {
	case !c.Key.Empty():
		key, wrong := container.NewSharedKeyCredential(c.Account, c.Key.RevealString())
		if wrong != nil { // it may quote the key
			return nil, errs.New(errs.Invalid, "the key of the storage account is no base64")
		}
		s.container, err = container.NewClientWithSharedKeyCredential(at, key, o)
	case !c.SAS.Empty():
		s.container, err = container.NewClientWithNoCredential(at+"?"+strings.TrimPrefix(c.SAS.RevealString(), "?"), o)
	default:
		own, wrong := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{})
		if wrong != nil {
			return nil, errs.New(errs.Unauthenticated, "there are no credentials for Azure: give the machine an identity, or a key or SAS")
		}
		s.container, err = container.NewClient(at, own, o)
	}
	if err != nil { // it may quote the SAS
		return nil, errs.New(errs.Invalid, "account, container and endpoint of Azure do not fit together")
	}
	return s, nil
}

// fail gives an error of the client its kind.
func (s *Service) fail(doing, key string, err error) error {
	if err == nil {
		return nil
	}
	doing += " " + s.at + "/" + key
	a := bucket.Answer{Err: err}
	var refused *azcore.ResponseError
	if errors.As(err, &refused) {
		a.Status, a.Code = refused.StatusCode, refused.ErrorCode
	}
	var login *azidentity.AuthenticationFailedError
	if errors.As(err, &login) || a.Status == 0 && strings.Contains(err.Error(), "DefaultAzureCredential") {
		return errs.Newf(errs.Unauthenticated, "%s: Azure gives no token: give the machine an identity, or a key or SAS", doing)
	}
	return bucket.Fail(doing, a)
}

// Put implements bucket.Service. Blocks that are not committed are no blob, and Azure
// removes them after a week.
func (s *Service) Put(ctx context.Context, key string, from io.ReadSeeker, size int64) error {
	b := s.container.NewBlockBlobClient(key)
	var blocks []string
	for at, part := int64(0), bucket.PartSize(size); at < size; at += part {
		id := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(len(blocks))))
		if _, err := b.StageBlock(ctx, id, bucket.PartOf(from, at, min(part, size-at)), nil); err != nil {
			return s.fail("writing", key, err)
		}
		blocks = append(blocks, id)
	}
	any := azcore.ETagAny
	_, err := b.CommitBlockList(ctx, blocks, &blockblob.CommitBlockListOptions{
		AccessConditions: &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: &any}},
	})
	return s.fail("writing", key, err)
}

// Get implements bucket.Service.
func (s *Service) Get(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	answer, err := s.container.NewBlobClient(key).DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: offset}})
	if err != nil {
		return nil, s.fail("reading", key, err)
	}
	return answer.Body, nil
}

// List implements bucket.Service.
func (s *Service) List(ctx context.Context, prefix string, each func(key string)) error {
	pages := s.container.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Prefix: &prefix})
	for pages.More() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.fail("listing", prefix, err)
		}
		if page.Segment == nil {
			return errs.Newf(errs.Unavailable, "listing %s/%s: the answer is not one of Azure", s.at, prefix)
		}
		for _, b := range page.Segment.BlobItems {
			if b.Name != nil {
				each(*b.Name)
			}
		}
	}
	return nil
}

// Delete implements bucket.Service.
func (s *Service) Delete(ctx context.Context, key string) error {
	_, err := s.container.NewBlobClient(key).Delete(ctx, nil)
	return s.fail("removing", key, err)
}

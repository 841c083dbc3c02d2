// Package depot opens places in object stores by their addresses.
//
// Start reading at Open.
package depot

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/address"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/azure"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/gcs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/s3"
)

// Open returns a folder of a bucket; "" is the bucket itself. It does not ask the store.
func Open(ctx context.Context, at *address.Bucket, folder string) (place.Place, error) {
	if err := at.Check(); err != nil {
		return nil, err
	}
	client, err := bucket.Client(at.CA)
	if err != nil {
		return nil, err
	}
	var s bucket.Service
	switch at.Kind {
	case address.S3:
		s, err = s3.Open(ctx, s3.Config{
			Bucket: at.Name, Region: at.Region, Endpoint: at.Endpoint, PathStyle: at.PathStyle, ID: at.ID, Secret: at.Secret.Secret(), Token: at.Token.Secret(),
			Encryption: at.Encryption, Key: at.Key, HTTP: client,
		})
	case address.GCS:
		s, err = gcs.Open(ctx, gcs.Config{Bucket: at.Name, Endpoint: at.Endpoint, Key: at.Secret.Secret(), HTTP: client})
	default:
		s, err = azure.Open(azure.Config{Container: at.Name, Account: at.Account, Endpoint: at.Endpoint, Key: at.Secret.Secret(), SAS: at.Token.Secret(), HTTP: client})
	}
	if err != nil {
		return nil, err
	}
	return bucket.New(s, folder), nil
}

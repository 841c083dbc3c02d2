package snapshots

import (
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/address"
)

// bucketFields are those of plans whose snapshots lie in object stores, by the names that
// people know. Secrets among them are stored sealed, and no answer has them.
func bucketFields() []engine.Field {
	text := func(name, help string) engine.Field { return engine.Field{Name: name, Type: engine.String, Help: help} }
	flag := func(name, help string) engine.Field { return engine.Field{Name: name, Type: engine.Bool, Help: help} }
	return []engine.Field{
		text("aws_s3_bucket", "name of the bucket"),
		text("aws_s3_region", "its region; default that of the server's environment"),
		text("aws_s3_endpoint", "of another store that speaks S3, such as https://minio.example:9000"),
		flag("aws_s3_force_path_style", "the bucket is in the path and not in the host's name"),
		text("aws_access_key_id", "default: what the server's environment, or its machine, has"),
		text("aws_secret_access_key", "of that"),
		text("aws_session_token", "of that, where it is of a session"),
		flag("aws_s3_server_side_encryption", "AES256 by the store"),
		flag("aws_s3_enable_kms", "encryption by the store with its KMS"),
		text("aws_s3_kms_key", "the key of that; default the bucket's"),
		text("google_gcs_bucket", "name of the bucket"),
		text("google_service_account_key", "JSON as Google gives it; default: what the server's environment, or its machine, has"),
		text("google_endpoint", "in place of https://storage.googleapis.com"),
		text("azure_container_name", "name of the container"),
		text("azure_account_name", "name of the storage account"),
		text("azure_account_key", "its key; default: what the server's environment, or its machine, has"),
		text("azure_sas_token", "a shared access signature for the container, in place of the key"),
		text("azure_endpoint", "in place of https://ACCOUNT.blob.core.windows.net"),
		text("ca_cert", "PEM: authorities that the store's certificate may be of, beside the machine's"),
	}
}

// decodeBucket reads them; nil: the kind is none of an object store.
func decodeBucket(d *engine.Decoder, kind string) *address.Bucket {
	b := &address.Bucket{Kind: kind, CA: d.String("ca_cert", "")}
	hidden := func(field string) address.Hidden { return address.Hidden(d.String(field, "")) }
	switch kind {
	case address.S3:
		b.Name, b.Region, b.Endpoint = d.String("aws_s3_bucket", ""), d.String("aws_s3_region", ""), d.String("aws_s3_endpoint", "")
		b.PathStyle = d.Bool("aws_s3_force_path_style", false)
		b.ID, b.Secret, b.Token = d.String("aws_access_key_id", ""), hidden("aws_secret_access_key"), hidden("aws_session_token")
		b.Key = d.String("aws_s3_kms_key", "")
		if d.Bool("aws_s3_server_side_encryption", false) {
			b.Encryption = "AES256"
		}
		if d.Bool("aws_s3_enable_kms", false) {
			b.Encryption = "aws:kms"
		}
	case address.GCS:
		b.Name, b.Endpoint, b.Secret = d.String("google_gcs_bucket", ""), d.String("google_endpoint", ""), hidden("google_service_account_key")
	case address.Azure:
		b.Name, b.Account, b.Endpoint = d.String("azure_container_name", ""), d.String("azure_account_name", ""), d.String("azure_endpoint", "")
		b.Secret, b.Token = hidden("azure_account_key"), hidden("azure_sas_token")
	default:
		return nil
	}
	return b
}

// describeBucket tells what may be known of a bucket.
func describeBucket(b *address.Bucket, data map[string]any) {
	if b == nil {
		return
	}
	if b.CA != "" {
		data["ca_cert"] = b.CA
	}
	switch b.Kind {
	case address.S3:
		data["aws_s3_bucket"], data["aws_s3_region"], data["aws_s3_endpoint"] = b.Name, b.Region, b.Endpoint
		data["aws_s3_force_path_style"], data["aws_access_key_id"], data["aws_s3_kms_key"] = b.PathStyle, b.ID, b.Key
		data["aws_s3_server_side_encryption"], data["aws_s3_enable_kms"] = b.Encryption == "AES256", b.Encryption == "aws:kms"
	case address.GCS:
		data["google_gcs_bucket"], data["google_endpoint"] = b.Name, b.Endpoint
	case address.Azure:
		data["azure_container_name"], data["azure_account_name"], data["azure_endpoint"] = b.Name, b.Account, b.Endpoint
	}
}

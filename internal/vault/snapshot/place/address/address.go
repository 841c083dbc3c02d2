package address

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// The kinds of object stores, by the names that plans have for them.
const (
	S3    = "aws-s3"
	GCS   = "google-gcs"
	Azure = "azure-blob"
)

// Hidden is a secret that is stored as what it is, and is printed nowhere.
type Hidden string

// String implements fmt.Stringer.
func (Hidden) String() string { return redact.Placeholder }

// Format implements fmt.Formatter.
func (Hidden) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redact.Placeholder)) }

// LogValue implements slog.LogValuer.
func (Hidden) LogValue() slog.Value { return slog.StringValue(redact.Placeholder) }

// Secret returns what it is.
func (h Hidden) Secret() redact.Secret { return redact.FromString(string(h)) }

// Bucket is a bucket of an object store, or a container, and who goes there. Its folder is
// not part of it. Fields that are of no use to its kind are "".
type Bucket struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Region     string `json:"region,omitempty"`     // S3
	Endpoint   string `json:"endpoint,omitempty"`   // "" = the cloud's own
	PathStyle  bool   `json:"path_style,omitempty"` // S3
	Account    string `json:"account,omitempty"`    // Azure
	Encryption string `json:"encryption,omitempty"` // S3, by the store: AES256, aws:kms
	Key        string `json:"key,omitempty"`        // S3, for aws:kms
	CA         string `json:"ca,omitempty"`         // PEM, beside the machine's

	ID     string `json:"id,omitempty"`     // S3: of an access key
	Secret Hidden `json:"secret,omitempty"` // S3: of that; GCS: the key of a service account; Azure: of the account
	Token  Hidden `json:"token,omitempty"`  // S3: of a session; Azure: a SAS
}

var (
	bucketNames   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)
	accountNames  = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	regionNames   = regexp.MustCompile(`^[a-zA-Z0-9-]{0,64}$`)
	encryptionsS3 = map[string]bool{"": true, "AES256": true, "aws:kms": true}
)

// Check returns Invalid if it is none.
func (b *Bucket) Check() error {
	switch {
	case b.Kind != S3 && b.Kind != GCS && b.Kind != Azure:
		return errs.Newf(errs.Invalid, "%.40q is no kind of object store: use %s, %s or %s", b.Kind, S3, GCS, Azure)
	case !bucketNames.MatchString(b.Name):
		return errs.Newf(errs.Invalid, "%.80q is no name of a bucket or container", b.Name)
	case b.Kind == Azure && !accountNames.MatchString(b.Account):
		return errs.New(errs.Invalid, "the name of the storage account is missing, or is none")
	case !regionNames.MatchString(b.Region):
		return errs.Newf(errs.Invalid, "%.80q is no region", b.Region)
	case !encryptionsS3[b.Encryption] || b.Key != "" && b.Encryption != "aws:kms":
		return errs.New(errs.Invalid, "encryption by the store is AES256, or aws:kms with the key it is by")
	}
	if err := b.checkSecret(); err != nil {
		return err
	}
	return b.checkEndpoint()
}

func (b *Bucket) checkSecret() error {
	switch b.Kind {
	case S3:
		if (b.ID == "") != (b.Secret == "") || b.ID == "" && b.Token != "" {
			return errs.New(errs.Invalid, "an access key has an id and a secret: give both, or none and the server's own are used")
		}
	case GCS:
		if b.Secret != "" && !isAccount(b.Secret) {
			return errs.New(errs.Invalid, "the key for Google is JSON of type service_account, as Google gives it")
		}
	case Azure:
		if b.Secret != "" && b.Token != "" {
			return errs.New(errs.Invalid, "give a key of the storage account or a SAS, not both")
		}
		if _, err := base64.StdEncoding.DecodeString(string(b.Secret)); err != nil {
			return errs.New(errs.Invalid, "the key of the storage account is no base64")
		}
	}
	return nil
}

// isAccount reports whether it is a service account's key, as Google gives it.
func isAccount(key Hidden) bool {
	var is struct {
		Type string `json:"type"`
	}
	return json.Unmarshal([]byte(key), &is) == nil && is.Type == "service_account"
}

// checkEndpoint refuses to send who we are to where it could be used by others. What signs
// requests does not leave; a token does.
func (b *Bucket) checkEndpoint() error {
	if b.Endpoint == "" {
		return nil
	}
	u, err := url.Parse(b.Endpoint)
	if err != nil || !plain(u) {
		return errs.New(errs.Invalid, "endpoint is such as https://minio.example:9000, without credentials")
	}
	if b.Kind != Azure && strings.Trim(u.Path, "/") != "" {
		return errs.New(errs.Invalid, "endpoint has no path")
	}
	switch {
	case b.signs() || loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errs.New(errs.Invalid, "endpoint must be https: a token would go over the network in plain text")
	case b.Kind != S3 && b.Secret == "" && b.Token == "":
		return errs.New(errs.Invalid, "an endpoint of one's own needs credentials of its own: a token of the machine's identity is not sent there")
	}
	return nil
}

// signs reports whether requests are signed, and have no token in them.
func (b *Bucket) signs() bool {
	return b.Kind == S3 && b.Token == "" || b.Kind == Azure && b.Secret != ""
}

// plain reports whether a URL is of a server and nothing else.
func plain(u *url.URL) bool {
	return u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && (u.Scheme == "https" || u.Scheme == "http")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

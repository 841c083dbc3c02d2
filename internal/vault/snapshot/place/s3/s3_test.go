package s3_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/placetest"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/s3"
)

func open(t *testing.T, c s3.Config) place.Place {
	t.Helper()
	c.HTTP, c.PathStyle = placetest.Client(t), true
	s, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return bucket.New(s, placetest.Folder)
}

func config(s *placetest.S3) s3.Config {
	return s3.Config{
		Bucket: placetest.BucketName, Region: placetest.S3Region, Endpoint: s.URL, ID: placetest.S3ID, Secret: redact.FromString(placetest.S3Secret),
	}
}

func TestPlace(t *testing.T) {
	placetest.Run(t, func(t *testing.T) placetest.World {
		s := placetest.NewS3(t)
		wrong, missing := config(s), config(s)
		wrong.Secret, missing.Bucket = redact.FromString(placetest.Canary), "other"
		return placetest.World{Place: open(t, config(s)), Wrong: open(t, wrong), Missing: open(t, missing), Store: s.Store}
	})
}

// A store that knows no conditions is asked without them.
func TestWithoutConditions(t *testing.T) {
	s := placetest.NewS3(t)
	s.WithoutConditions()
	p := open(t, config(s))
	for name, size := range map[string]int{"small": 9, "large": 20 << 20} {
		content := strings.Repeat("x", size)
		if err := p.Put(t.Context(), name, strings.NewReader(content), int64(size)); err != nil {
			t.Error(err)
		}
		if err := p.Put(t.Context(), name, strings.NewReader("y"), 1); !errs.Is(err, errs.Exist) {
			t.Error(err)
		}
	}
	if n := s.Unfinished(); n != 0 {
		t.Errorf("%d uploads were left", n)
	}
}

// Credentials come from the environment where none are given, and a bucket of another
// region is told from one that may not be used.
func TestChain(t *testing.T) {
	s := placetest.NewS3(t)
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": placetest.S3ID, "AWS_SECRET_ACCESS_KEY": placetest.S3Secret, "AWS_SESSION_TOKEN": "", "AWS_REGION": placetest.S3Region, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	own := s3.Config{Bucket: placetest.BucketName, Endpoint: s.URL}
	if _, err := open(t, own).List(t.Context(), ""); err != nil {
		t.Error(err)
	}
	own.Region = "us-west-1"
	if _, err := open(t, own).List(t.Context(), ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("another region: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	if _, err := open(t, own).List(t.Context(), ""); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("no credentials: %v", err)
	}
	t.Setenv("AWS_REGION", "")
	if _, err := s3.Open(t.Context(), s3.Config{Bucket: placetest.BucketName}); !errs.Is(err, errs.Invalid) {
		t.Errorf("no region: %v", err)
	}
}

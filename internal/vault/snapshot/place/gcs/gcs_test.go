package gcs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/gcs"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/placetest"
)

func open(t *testing.T, c gcs.Config) place.Place {
	t.Helper()
	c.HTTP = placetest.Client(t)
	s, err := gcs.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return bucket.New(s, placetest.Folder)
}

func TestPlace(t *testing.T) {
	placetest.Run(t, func(t *testing.T) placetest.World {
		s := placetest.NewGCS(t)
		other, _ := placetest.Account(t)
		good := gcs.Config{Bucket: placetest.BucketName, Endpoint: s.URL, Key: redact.FromString(s.Key)}
		wrong, missing := good, good
		wrong.Key, missing.Bucket = redact.FromString(other), "other"
		return placetest.World{Place: open(t, good), Wrong: open(t, wrong), Missing: open(t, missing), Store: s.Store, Forgets: true}
	})
}

// The key is that of GOOGLE_APPLICATION_CREDENTIALS where none is given.
func TestChain(t *testing.T) {
	s := placetest.NewGCS(t)
	file := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(file, []byte(s.Key), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	if _, err := open(t, gcs.Config{Bucket: placetest.BucketName, Endpoint: s.URL}).List(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if _, err := gcs.Open(t.Context(), gcs.Config{Key: redact.FromString(`{"type":"service_account","private_key":"x"}`)}); !errs.Is(err, errs.Invalid) {
		t.Errorf("no key: %v", err)
	}
}

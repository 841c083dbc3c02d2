package azure_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/azure"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/bucket"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/placetest"
)

func open(t *testing.T, c azure.Config) place.Place {
	t.Helper()
	c.HTTP, c.Account = placetest.Client(t), placetest.AzureAccount
	s, err := azure.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return bucket.New(s, placetest.Folder)
}

func run(t *testing.T, good, wrong azure.Config) {
	placetest.Run(t, func(t *testing.T) placetest.World {
		s := placetest.NewAzure(t)
		good, wrong := good, wrong
		good.Endpoint, good.Container = s.URL, placetest.BucketName
		wrong.Endpoint, wrong.Container = s.URL, placetest.BucketName
		missing := good
		missing.Container = "other"
		return placetest.World{Place: open(t, good), Wrong: open(t, wrong), Missing: open(t, missing), Store: s.Store}
	})
}

func TestPlaceByKey(t *testing.T) {
	run(t, azure.Config{Key: redact.FromString(placetest.AzureKey)},
		azure.Config{Key: redact.FromString(base64.StdEncoding.EncodeToString([]byte("another")))})
}

func TestPlaceBySAS(t *testing.T) {
	run(t, azure.Config{SAS: redact.FromString(placetest.AzureSAS)}, azure.Config{SAS: redact.FromString("sig=" + placetest.Canary + "x")})
}

// A SAS is part of the address, and the address of no error.
func TestNobodyThere(t *testing.T) {
	p := open(t, azure.Config{Endpoint: "http://127.0.0.1:1", Container: placetest.BucketName, SAS: redact.FromString(placetest.AzureSAS)})
	if _, err := p.List(t.Context(), ""); !errs.Is(err, errs.Unavailable) || strings.Contains(err.Error(), placetest.Canary) || !strings.Contains(err.Error(), "refused") {
		t.Error(err)
	}
	if _, err := azure.Open(azure.Config{Account: "a", Container: "c", Key: redact.FromString("!")}); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}

package azure_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure"
)

// A place is told by the vault's host, whoever asks, so that two stores that push to it are
// seen as rivals.
func TestPlaces(t *testing.T) {
	w := newWorld(t)
	one, two := w.Open(settings(nil)).(provider.Locator), w.Open(settings(func(s *azure.Settings) {
		bySecret(s)
		s.VaultURL = "https://OTHER.vault.azure.net/"
	})).(provider.Locator)
	db := one.LocateKey("db")
	for key, same := range map[string]bool{"DB": true, "secret/db": true, "cert/db": false, "key/db": false, "db2": false} {
		if at := one.LocateKey(key); at == "" || (at == db) != same {
			t.Errorf("%q is at %q, db at %q", key, at, db)
		}
	}
	if at := two.LocateKey("db"); at != "other.vault.azure.net/secrets/db" {
		t.Errorf("in another vault at %q", at)
	}
	for _, key := range []string{"", "a/b", "secret/../x"} {
		if at := one.LocateKey(key); at != "" {
			t.Errorf("%q is no key, and at %q", key, at)
		}
	}
}

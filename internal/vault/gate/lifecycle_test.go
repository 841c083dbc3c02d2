package gate

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/testenv/base"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// The shares and the root token exist nowhere but in the answer of Init: that
// the new vault cannot be opened at once must not keep them back.
func TestInitAnswersThoughTheVaultStaysSealed(t *testing.T) {
	key, err := keyfile.Generate(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	raw := base.Open(t)
	factory := func(engine.Config) (engine.Engine, error) { return &lab{}, nil }
	types := map[string]engine.Factory{"system": factory, "token": factory, "cubbyhole": factory}
	g := New(Config{Raw: raw, Version: "0.0.0", Config: unsealed.Config{
		Barrier:  seal.New(seal.Config{Store: raw, Wrappers: []seal.Wrapper{key}}),
		Open:     func(raw store.Store, _ *seal.Keyring) (store.Store, error) { return store.Borrow(raw), nil },
		Types:    func(*unsealed.Vault) unsealed.Types { return unsealed.Types{Secrets: types, Systems: types} },
		TTLs:     engine.TTLs{Default: time.Hour, Max: time.Hour},
		Defaults: unsealed.Defaults{Audit: []devices.Device{{Spec: audit.Spec{Path: "broken/", Type: "broken"}}}},
		Now:      time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}, Devices: map[string]audit.Factory{"broken": func(audit.Setup) (audit.Device, error) {
		return nil, errs.New(errs.Unavailable, "no such directory")
	}}})
	t.Cleanup(func() {
		if err := errors.Join(g.Close(), raw.Close()); err != nil {
			t.Error(err)
		}
	})
	made, err := g.Init(t.Context(), seal.InitConfig{Shares: 3, Threshold: 2})
	if err != nil || len(made.Shares) != 3 || made.RootToken.Empty() {
		t.Errorf("Init gave %d shares, %v", len(made.Shares), err)
	}
	if g.Open() {
		t.Error("the vault is open without its audit device")
	}
}

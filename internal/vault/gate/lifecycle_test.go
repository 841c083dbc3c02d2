package gate

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
	"github.com/strongkeep/strongkeep/internal/testenv/base"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// newVault makes a gate over a store that has no vault yet.
func newVault(t *testing.T, key seal.Wrapper, defaults unsealed.Defaults) *Gate {
	t.Helper()
	raw := base.Open(t)
	factory := func(engine.Config) (engine.Engine, error) { return &lab{}, nil }
	types := map[string]engine.Factory{"system": factory, "token": factory, "cubbyhole": factory}
	g := New(Config{Raw: raw, Version: "0.0.0", Config: unsealed.Config{
		Barrier:  seal.New(seal.Config{Store: raw, Wrappers: []seal.Wrapper{key}}),
		Open:     func(raw store.Store, _ *seal.Keyring) (store.Store, error) { return store.Borrow(raw), nil },
		Types:    func(*unsealed.Vault) unsealed.Types { return unsealed.Types{Secrets: types, Systems: types} },
		TTLs:     engine.TTLs{Default: time.Hour, Max: time.Hour},
		Defaults: defaults,
		Now:      time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}, Devices: map[string]audit.Factory{"broken": func(audit.Setup) (audit.Device, error) {
		return nil, errs.New(errs.Unavailable, "no such directory")
	}}})
	t.Cleanup(func() {
		if err := errors.Join(g.Close(), raw.Close()); err != nil {
			t.Error(err)
		}
	})
	return g
}

// hanging is a key that answers until it hangs.
type hanging struct {
	seal.Wrapper
	hangs atomic.Bool
	asked chan struct{} // of each use while it hangs
}

func (h *hanging) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	if !h.hangs.Load() {
		return h.Wrapper.Unwrap(ctx, aad, blob)
	}
	select {
	case h.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return redact.Secret{}, ctx.Err()
}

// People open the vault while its key hangs: the break-glass shares are there for that.
func TestSharesDoNotWaitForAKeyThatHangs(t *testing.T) {
	made, err := keyfile.Generate(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	h := &hanging{Wrapper: made, asked: make(chan struct{}, 1)}
	// Longer than this test may take: nothing but its end ends the asking.
	g := newVault(t, seal.Named{Wrapper: h, Within: time.Hour}, unsealed.Defaults{})
	vault, err := g.Init(t.Context(), seal.InitConfig{Shares: 3, Threshold: 2})
	if err != nil {
		t.Fatal(err)
	}
	g.Seal()
	h.hangs.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- g.AutoUnseal(ctx) }()
	await.Next(t, "the key is asked", h.asked)
	opened := make(chan error, 1)
	go func() {
		_, err := g.Unseal(t.Context(), redact.FromString(hex.EncodeToString(vault.Shares[0].Reveal())))
		if err == nil {
			_, err = g.Unseal(t.Context(), redact.FromString(hex.EncodeToString(vault.Shares[1].Reveal())))
		}
		opened <- err
	}()
	if err, _ := await.Next(t, "shares are taken while a key hangs", opened); err != nil || !g.Open() {
		t.Errorf("%v, open %v", err, g.Open())
	}
	cancel()
	if err, _ := await.Next(t, "the asking ends", ended); err == nil {
		t.Error("a key that hangs has opened the vault")
	}
	if !g.Open() {
		t.Error("a key that failed has sealed the vault")
	}
}

// The shares and the root token exist nowhere but in the answer of Init: that
// the new vault cannot be opened at once must not keep them back.
func TestInitAnswersThoughTheVaultStaysSealed(t *testing.T) {
	key, err := keyfile.Generate(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	g := newVault(t, key, unsealed.Defaults{Audit: []devices.Device{{Spec: audit.Spec{Path: "broken/", Type: "broken"}}}})
	made, err := g.Init(t.Context(), seal.InitConfig{Shares: 3, Threshold: 2})
	if err != nil || len(made.Shares) != 3 || made.RootToken.Empty() {
		t.Errorf("Init gave %d shares, %v", len(made.Shares), err)
	}
	if g.Open() {
		t.Error("the vault is open without its audit device")
	}
}

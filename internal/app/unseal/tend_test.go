package unseal_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/app/unseal"
	keyfile "github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/await"
)

func sealed(t *testing.T, v *testenv.Vault) bool {
	t.Helper()
	s, err := v.Sys().SealStatus()
	if err != nil {
		t.Fatal(err)
	}
	return s.Sealed
}

// The only key cannot even be opened: the server starts, people open the vault, and the key is taken up when it is
// back, by an open vault and by a sealed one.
func TestOnlyKeyIsGone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if _, err := keyfile.Generate(path); err != nil {
		t.Fatal(err)
	}
	v := testenv.Start(t, func(c *app.ServerConfig) { c.Seals = []unseal.Config{{Name: "disk", KeyFile: path}} })
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	v.Restart()
	if !sealed(t, v) {
		t.Fatal("it is open without its key")
	}
	if said := v.Log.String(); !strings.Contains(said, "the vault stays sealed; shares open it") || !strings.Contains(said, "loading the unseal key") {
		t.Error("the log does not say why:\n" + said)
	}
	v.Unseal()
	if sealed(t, v) {
		t.Fatal("shares do not open it")
	}
	if m := v.HTTP(http.MethodGet, "sys/metrics", nil).Body; !strings.Contains(m, `strongkeep_seal_works{name="disk"} 0`) {
		t.Error("no metric tells of it")
	}
	v.Restart()
	if err := os.WriteFile(path, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !sealed(t, v) {
		t.Fatal("it is open without its key")
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the key is back and opens the vault", func() bool { return !sealed(t, v) })
	// Who seals it then means it.
	if err := v.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	v.Unseal()
}

// A vault is not made without the key that it shall have.
func TestNoVaultWithoutItsKey(t *testing.T) {
	c := app.ServerConfig{DataDir: t.TempDir(), Listen: "127.0.0.1:0", UnsealKeyFile: filepath.Join(t.TempDir(), "none")}
	s, err := app.NewServer(t.Context(), c)
	if err == nil {
		err = errors.Join(errors.New("it starts"), s.Close())
	}
	if !strings.Contains(err.Error(), "operator unseal-key") {
		t.Error(err)
	}
}

package transit_test

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// One vault unseals another by its transit engine.
func TestUnseal(t *testing.T) {
	keeper := start(t, "unseal")
	raw, err := json.Marshal(map[string]any{"transit": settings(t, keeper, "unseal")})
	if err != nil {
		t.Fatal(err)
	}
	path := file(t, string(raw))
	v := testenv.Start(t, func(c *app.ServerConfig) { c.UnsealKeyStore, c.Storage = path, "pebble" })
	sealed := func() bool {
		t.Helper()
		status, err := v.Sys().SealStatus()
		if err != nil {
			t.Fatal(err)
		}
		if status.Type != "transit" {
			t.Errorf("the seal is of type %q", status.Type)
		}
		return status.Sealed
	}
	v.Restart()
	if sealed() {
		t.Fatal("the vault does not open by the transit engine")
	}
	write(t, keeper, "transit/keys/unseal/rotate", nil)
	v.Restart()
	if sealed() {
		t.Fatal("the vault does not open by a key that was turned")
	}
	// The keeper is away: shares open it, and it opens by itself when the keeper is back.
	if err := keeper.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	v.Restart()
	if !sealed() {
		t.Fatal("the vault opens without its key")
	}
	if !strings.Contains(v.Log.String(), "stays sealed") {
		t.Error("nobody is told that the vault stays sealed")
	}
	keeper.Unseal()
	for sealed() { // until it has asked again
		runtime.Gosched()
	}
	v.Restart()
	if sealed() {
		t.Fatal("the vault does not open any more")
	}
	if err := keeper.Sys().Seal(); err != nil {
		t.Fatal(err)
	}
	v.Restart()
	v.Unseal()
	if sealed() {
		t.Fatal("shares do not open the vault while its key is away")
	}
}

// A keeper that throttles is asked again.
func TestUnsealThrottled(t *testing.T) {
	keeper := start(t, "unseal")
	raw, err := json.Marshal(map[string]any{"transit": settings(t, keeper, "unseal")})
	if err != nil {
		t.Fatal(err)
	}
	path := file(t, string(raw))
	v := testenv.Start(t, func(c *app.ServerConfig) { c.UnsealKeyStore, c.Storage = path, "pebble" })
	sealed := func() bool {
		t.Helper()
		status, err := v.Sys().SealStatus()
		if err != nil {
			t.Fatal(err)
		}
		return status.Sealed
	}
	write(t, keeper, "sys/quotas/rate-limit/busy", map[string]any{"path": "transit/", "rate": 0.0001})
	for range 100 { // until what it lets through at once is used up
		if _, err = keeper.Logical().Read("transit/keys/unseal"); err != nil {
			break
		}
	}
	if err == nil {
		t.Fatal("the keeper does not throttle")
	}
	if v.Restart(); !sealed() {
		t.Fatal("the vault opens although its key is not given")
	}
	if _, err := keeper.Logical().Delete("sys/quotas/rate-limit/busy"); err != nil {
		t.Fatal(err)
	}
	for sealed() { // until it has asked again
		runtime.Gosched()
	}
}

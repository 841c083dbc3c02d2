package userpass_test

import (
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// §1.1 row 15 with the official client, tuning of the lockout, and who is locked.
func TestOfficialClient(t *testing.T) {
	v := testenv.Start(t, nil)
	if err := v.Sys().EnableAuthWithOptions("up", &vault.EnableAuthOptions{Type: "userpass"}); err != nil {
		t.Fatal(err)
	}
	threshold := "3"
	if err := v.Sys().TuneMount("auth/up", vault.MountConfigInput{UserLockoutConfig: &vault.UserLockoutConfigInput{LockoutThreshold: threshold, LockoutDuration: "10m", LockoutCounterResetDuration: "10m"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Logical().Write("auth/up/users/ann", map[string]any{"password": "canary-right", "token_policies": "default"}); err != nil {
		t.Fatal(err)
	}
	login := func(password string) (*vault.Secret, error) {
		return v.NewClient("").Logical().Write("auth/up/login/ann", map[string]any{"password": password})
	}
	s, err := login("canary-right")
	if err != nil || s.Auth.Metadata["username"] != "ann" || !strings.HasPrefix(s.Auth.ClientToken, "hvs.") {
		t.Fatalf("%+v, %v", s, err)
	}
	if self, err := v.NewClient(s.Auth.ClientToken).Auth().Token().LookupSelf(); err != nil || self.Data["display_name"] != "up-ann" {
		t.Errorf("%+v, %v", self, err)
	}
	for range 3 {
		if _, err := login("canary-wrong"); err == nil || !strings.Contains(err.Error(), "invalid username or password") {
			t.Errorf("%v", err)
		}
	}
	if _, err := login("canary-right"); err == nil {
		t.Error("not locked after three failures")
	}
	locked, err := v.Logical().Read("sys/locked-users")
	if err != nil || locked.Data["total"].(interface{ String() string }).String() != "1" {
		t.Fatalf("%+v, %v", locked, err)
	}
	mounts, err := v.Sys().ListAuth()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Logical().Write("sys/locked-users/"+mounts["up/"].Accessor+"/unlock/ann", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := login("canary-right"); err != nil {
		t.Errorf("after it was unlocked: %v", err)
	}
	if strings.Contains(v.Log.String(), "canary") {
		t.Error("the log holds a password")
	}
}

package approle_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// §1.1 row 16 with the official client; a secret ID of one use is good for one
// login, however many come at once.
func TestOfficialClient(t *testing.T) {
	v := testenv.Start(t, nil)
	must := func(s *vault.Secret, err error) *vault.Secret {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := v.Sys().EnableAuthWithOptions("approle", &vault.EnableAuthOptions{Type: "approle"}); err != nil {
		t.Fatal(err)
	}
	must(v.Logical().Write("auth/approle/role/app", map[string]any{"token_policies": "default", "secret_id_num_uses": 1, "token_ttl": "10m"}))
	roleID := must(v.Logical().Read("auth/approle/role/app/role-id")).Data["role_id"]
	made := must(v.Logical().Write("auth/approle/role/app/secret-id", nil))
	if made.WrapInfo != nil || made.Data["secret_id_ttl"] == nil {
		t.Errorf("made: %+v", made)
	}
	login := map[string]any{"role_id": roleID, "secret_id": made.Data["secret_id"]}
	var (
		wait sync.WaitGroup
		won  atomic.Int64
	)
	clients := make([]*vault.Client, 8)
	for i := range clients {
		clients[i] = v.NewClient("")
	}
	for _, c := range clients {
		wait.Go(func() {
			s, err := c.Logical().Write("auth/approle/login", login)
			if err == nil && s.Auth.Metadata["role_name"] == "app" && s.Auth.LeaseDuration == 600 {
				won.Add(1)
			} else if err == nil || !strings.Contains(err.Error(), "invalid role or secret ID") {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("%d logins with a secret ID of one use", won.Load())
	}
	if strings.Contains(v.Log.String(), made.Data["secret_id"].(string)) {
		t.Error("the log holds a secret ID")
	}
	keys := must(v.Logical().List("auth/approle/role"))
	if len(keys.Data["keys"].([]any)) != 1 {
		t.Errorf("roles: %v", keys.Data)
	}
}

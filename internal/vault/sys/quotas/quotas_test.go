package quotas_test

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

func quotaOf(t *testing.T, v *testenv.Vault, path string, fields map[string]any) {
	t.Helper()
	if _, err := v.Logical().Write("sys/quotas/"+path, fields); err != nil {
		t.Fatal(err)
	}
}

func TestRateLimitQuota(t *testing.T) {
	time := new(clock)
	v, _ := withUsers(t, time.use)
	quotaOf(t, v, "config", map[string]any{"enable_rate_limit_response_headers": true, "enable_rate_limit_audit_logging": true})
	quotaOf(t, v, "rate-limit/users", map[string]any{"path": "users", "rate": 3, "interval": "2h"})
	got, err := v.Logical().Read("sys/quotas/rate-limit/users")
	if err != nil || got.Data["path"] != "users/" || got.Data["type"] != "rate-limit" || got.Data["rate"].(interface{ String() string }).String() != "3" ||
		got.Data["interval"].(interface{ String() string }).String() != "7200" {
		t.Errorf("%v, %v", got, err)
	}
	for i := range 5 {
		got := v.HTTP("GET", "users/creds/a", http.NoBody)
		if i < 3 {
			if got.Status != 200 || got.Header.Get("X-Ratelimit-Limit") != "3" || got.Header.Get("X-Ratelimit-Remaining") != strconv.Itoa(2-i) {
				t.Errorf("request %d: %d %v", i, got.Status, got.Header)
			}
			continue
		}
		after, _ := strconv.Atoi(got.Header.Get("Retry-After"))
		if got.Status != 429 || !strings.Contains(got.Body, "rate limit quota exceeded") || after < 7190 || after > 7200 || got.Header.Get("X-Ratelimit-Reset") == "" {
			t.Errorf("request %d: %d %s %v", i, got.Status, got.Body, got.Header)
		}
	}
	if got := v.HTTP("GET", "cubbyhole/a", http.NoBody); got.Status != 404 || got.Header.Get("X-Ratelimit-Limit") != "" {
		t.Errorf("another mount: %d %v", got.Status, got.Header)
	}
	audit, err := os.ReadFile(v.AuditFile())
	if err != nil || strings.Count(string(audit), "rate limit quota exceeded") != 4 { // two lines each
		t.Errorf("audited %d times, %v", strings.Count(string(audit), "rate limit quota exceeded"), err)
	}
	time.add(7201e9)
	if got := v.HTTP("GET", "users/creds/a", http.NoBody); got.Status != 200 {
		t.Errorf("in the next interval: %d", got.Status)
	}
	quotaOf(t, v, "rate-limit/users", map[string]any{"rate": 1, "block_interval": "3h"})
	for i, want := range []int{200, 429, 429} {
		if got := v.HTTP("GET", "users/creds/a", http.NoBody); got.Status != want {
			t.Errorf("blocking, request %d: %d", i, got.Status)
		}
	}
	quotaOf(t, v, "config", map[string]any{"rate_limit_exempt_paths": []string{"users/creds/free"}})
	if got := v.HTTP("GET", "users/creds/free", http.NoBody); got.Status != 200 {
		t.Errorf("exempt: %d", got.Status)
	}
	list, err := v.Logical().List("sys/quotas/rate-limit")
	if err != nil || len(list.Data["keys"].([]any)) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	time.add(-7201e9) // the server makes its certificate by this clock
	v.Restart()
	v.Unseal()
	if got, err := v.Logical().Read("sys/quotas/config"); err != nil || got.Data["enable_rate_limit_response_headers"] != true {
		t.Errorf("%v, %v", got, err)
	}
	for _, want := range []int{200, 429} {
		if got := v.HTTP("GET", "users/creds/a", http.NoBody); got.Status != want {
			t.Errorf("after a restart: %d, want %d", got.Status, want)
		}
	}
	if _, err := v.Logical().Delete("sys/quotas/rate-limit/users"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := v.HTTP("GET", "users/creds/a", http.NoBody); got.Status != 200 {
			t.Errorf("deleted: %d", got.Status)
		}
	}
}

func TestQuotaRefused(t *testing.T) {
	v, _ := withUsers(t, nil)
	quotaOf(t, v, "rate-limit/one", map[string]any{"path": "users/", "rate": "1.5"})
	for body, want := range map[string]string{
		`{"path":"nowhere/","rate":1}`:             "nothing is mounted there",
		`{"path":"users/","rate":1}`:               "similar properties",
		`{"rate":0}`:                               "rate",
		`{"rate":"x"}`:                             "rate",
		`{"rate":1,"interval":"1ms"}`:              "interval",
		`{"rate":1,"path":"users/*/x"}`:            "*",
		`{"rate":1,"role":"a"}`:                    "role",
		`{"rate":1,"block_interval":-1}`:           "block_interval",
		`{"rate":1e300}`:                           "rate",
		`{"path":"users/creds/*","rate":1,"x":{}}`: "",
	} {
		got := v.HTTP("POST", "sys/quotas/rate-limit/two", strings.NewReader(body))
		v.HTTP("DELETE", "sys/quotas/rate-limit/two", http.NoBody)
		if want == "" && got.Status != 200 || want != "" && (got.Status != 400 || !strings.Contains(got.Body, want)) {
			t.Errorf("%s: %d %s", body, got.Status, got.Body)
		}
	}
	if got := v.HTTP("POST", "sys/quotas/lease-count/x", strings.NewReader(`{"path":"cubbyhole/","max_leases":1}`)); got.Status != 400 {
		t.Errorf("counting leases where there are none: %d %s", got.Status, got.Body)
	}
	if got := v.HTTP("GET", "sys/quotas/lease-count/none", http.NoBody); got.Status != 404 {
		t.Errorf("%d", got.Status)
	}
}

func TestLeaseCountQuota(t *testing.T) {
	v, db := withUsers(t, nil)
	first := creds(t, v.Client, "app").LeaseID
	quotaOf(t, v, "lease-count/all", map[string]any{"path": "users/", "max_leases": 3})
	quotaOf(t, v, "lease-count/app", map[string]any{"path": "users/", "role": "app", "max_leases": 2})
	for _, name := range []string{"all", "app"} {
		eventually(t, "what is there is counted", func() bool {
			got, err := v.Logical().Read("sys/quotas/lease-count/" + name)
			return err == nil && got.Data["counter"].(interface{ String() string }).String() == "1"
		})
	}
	creds(t, v.Client, "app")
	_, err := v.Logical().Read("users/creds/app")
	wantError(t, err, 429, "lease count quota exceeded")
	creds(t, v.Client, "other")
	_, err = v.Logical().Read("users/creds/other")
	wantError(t, err, 429, "lease count quota exceeded")
	if n := len(db.Users()); n != 3 {
		t.Errorf("%d users", n)
	}
	if _, err := v.Logical().Write("sys/leases/revoke", map[string]any{"lease_id": first, "sync": true}); err != nil {
		t.Fatal(err)
	}
	creds(t, v.Client, "app")
	v.Restart()
	v.Unseal()
	eventually(t, "they are counted after a restart", func() bool {
		_, err := v.Logical().Read("users/creds/app")
		return status(err) == 429
	})
}

// A login's role chooses its quota.
func TestRateLimitOfALoginRole(t *testing.T) {
	v, _ := withUsers(t, nil)
	if err := v.Sys().EnableAuthWithOptions("kubernetes", &vault.EnableAuthOptions{Type: "kubernetes"}); err != nil {
		t.Fatal(err)
	}
	quotaOf(t, v, "rate-limit/batch", map[string]any{"path": "auth/kubernetes", "role": "batch", "rate": 1, "interval": "1h"})
	for role, want := range map[string][]int{"batch": {400, 429, 429}, "web": {400, 400, 400}} {
		for i, code := range want {
			got := v.HTTP("POST", "auth/kubernetes/login", strings.NewReader(`{"role":"`+role+`","jwt":"x"}`), "X-Vault-Token", "")
			if (got.Status == 429) != (code == 429) {
				t.Errorf("%s, login %d: %d %s", role, i, got.Status, got.Body)
			}
		}
	}
}

// What comes to be at the path of a deleted namespace or mount later has no
// quotas of its predecessor; those of a mount that moves move with it.
func TestQuotasEndWithWhatTheyHoldFor(t *testing.T) {
	v, _ := withUsers(t, nil)
	team := namespaceWith(t, v, "team")
	quotaOf(t, v, "rate-limit/kept", map[string]any{"path": "", "rate": 1000})
	quotaOf(t, v, "rate-limit/team", map[string]any{"path": "team/", "rate": 1000, "inheritable": true})
	quotaOf(t, v, "rate-limit/team-mount", map[string]any{"path": "team/users/", "rate": 1000})
	quotaOf(t, v, "lease-count/team", map[string]any{"path": "team/users/creds/*", "max_leases": 1})
	quotaOf(t, v, "lease-count/users", map[string]any{"path": "users/creds/app", "max_leases": 1})
	has := func(name, path string) {
		t.Helper()
		got, err := v.Logical().Read("sys/quotas/" + name)
		if err != nil || path == "-" && got != nil || path != "-" && (got == nil || got.Data["path"] != path) {
			t.Errorf("%s: %+v %v, want path %q", name, got, err, path)
		}
	}
	if _, err := team.Logical().Read("users/creds/app"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease of the namespace is counted", func() bool {
		_, err := team.Logical().Read("users/creds/app")
		return status(err) == 429
	})
	if _, err := v.Logical().Delete("sys/namespaces/team"); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"rate-limit/kept": "", "rate-limit/team": "-", "rate-limit/team-mount": "-", "lease-count/team": "-", "lease-count/users": "users/creds/app"} {
		has(name, path)
	}
	team = namespaceWith(t, v, "team")
	for range 2 {
		if _, err := team.Logical().Read("users/creds/app"); err != nil {
			t.Errorf("in the new namespace: %v", err)
		}
	}
	if err := v.Sys().Remount("users", "people"); err != nil {
		t.Fatal(err)
	}
	has("lease-count/users", "people/creds/app")
	if err := v.Sys().Unmount("people"); err != nil {
		t.Fatal(err)
	}
	has("lease-count/users", "-")
	has("rate-limit/kept", "")
}

// namespaceWith makes a namespace that has the engine of leasetest at users/.
func namespaceWith(t *testing.T, v *testenv.Vault, name string) *vault.Client {
	t.Helper()
	if _, err := v.Logical().Write("sys/namespaces/"+name, nil); err != nil {
		t.Fatal(err)
	}
	c, err := v.Client.CloneWithHeaders()
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(v.Token())
	c.SetNamespace(name)
	if err := c.Sys().Mount("users", &vault.MountInput{Type: "users"}); err != nil {
		t.Fatal(err)
	}
	return c
}

package leases_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease/leasetest"
)

// withUsers is a vault with the engine of leasetest at users/.
func withUsers(t *testing.T, change func(*app.ServerConfig)) (*testenv.Vault, *leasetest.Database) {
	t.Helper()
	db := new(leasetest.Database)
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Engines = map[string]engine.Factory{"users": db.Factory}
		if change != nil {
			change(c)
		}
	})
	if err := v.Sys().Mount("users", &vault.MountInput{Type: "users"}); err != nil {
		t.Fatal(err)
	}
	return v, db
}

func creds(t *testing.T, c *vault.Client, role string) *vault.Secret {
	t.Helper()
	s, err := c.Logical().Read("users/creds/" + role)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// eventually waits for background work, which looks at its queue each second.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; {
		if ok() {
			return
		}
		if time.Now().After(end) {
			t.Fatal("not in time:", what)
		}
		<-tick.C
	}
}

// status is the HTTP status behind an error of the client; 0 if there is none.
func status(err error) int {
	var re *vault.ResponseError
	if errors.As(err, &re) {
		return re.StatusCode
	}
	return 0
}

func wantError(t *testing.T, err error, code int, text string) {
	t.Helper()
	if status(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %d with %q", err, code, text)
	}
}

// Facts §1.1 row 23, §2.5.
func TestLeaseLife(t *testing.T) {
	v, db := withUsers(t, nil)
	db.Set("app", engine.Lease{TTL: time.Hour, MaxTTL: 2 * time.Hour, Renewable: true})
	s := creds(t, v.Client, "app")
	if rest, ok := strings.CutPrefix(s.LeaseID, "users/creds/app/"); !ok || len(rest) != 24 {
		t.Errorf("lease id %q", s.LeaseID)
	}
	if s.LeaseDuration != 3600 || !s.Renewable || len(db.Users()) != 1 {
		t.Errorf("%+v, users %q", s, db.Users())
	}
	found, err := v.Sys().Lookup(s.LeaseID)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{"id": s.LeaseID, "renewable": true, "last_renewal": nil, "path": "creds/app"} {
		if found.Data[name] != want {
			t.Errorf("%s = %v, want %v", name, found.Data[name], want)
		}
	}
	for _, name := range []string{"issue_time", "expire_time"} {
		if _, err := time.Parse(time.RFC3339Nano, found.Data[name].(string)); err != nil {
			t.Error(err)
		}
	}
	renewed, err := v.Sys().Renew(s.LeaseID, 1800)
	if err != nil || renewed.LeaseID != s.LeaseID || renewed.LeaseDuration != 1800 || !renewed.Renewable || renewed.Data != nil {
		t.Errorf("renewed: %+v, %v", renewed, err)
	}
	renewed, err = v.Sys().Renew(s.LeaseID, 3*3600)
	if err != nil || renewed.LeaseDuration < 7190 || renewed.LeaseDuration > 7200 || len(renewed.Warnings) != 1 ||
		!strings.Contains(renewed.Warnings[0], `TTL of "3h0m0s" exceeded the effective max_ttl of "2h0m0s"; TTL value is capped accordingly`) {
		t.Errorf("capped: %+v, %v", renewed, err)
	}
	if found, err = v.Sys().Lookup(s.LeaseID); err != nil || found.Data["last_renewal"] == nil {
		t.Errorf("after the renewal: %v, %v", found, err)
	}
	if err := v.Sys().Revoke(s.LeaseID); err != nil {
		t.Fatal(err)
	}
	_, err = v.Sys().Lookup(s.LeaseID)
	wantError(t, err, 400, "invalid lease")
	_, err = v.Sys().Renew(s.LeaseID, 0)
	wantError(t, err, 400, "lease not found")
	eventually(t, "the user is dropped", func() bool { return len(db.Users()) == 0 })
	if err := v.Sys().Revoke(s.LeaseID); err != nil {
		t.Error("revoking again:", err)
	}
}

// Facts §1.1 row 23: 202 unless sync; the lease in the body or the path; the
// names of older clients (§2.1, end).
func TestLeaseForms(t *testing.T) {
	v, db := withUsers(t, nil)
	for _, c := range []struct {
		path, body string
		want       int
	}{
		{"sys/leases/revoke", `{"lease_id":"ID"}`, 202},
		{"sys/leases/revoke", `{"lease_id":"ID","sync":true}`, 204},
		{"sys/leases/revoke/ID", `{"sync":"true"}`, 204},
		{"sys/leases/revoke/ID", ``, 202},
		{"sys/revoke", `{"lease_id":"ID","sync":true}`, 204},
		{"sys/revoke/ID", `{"sync":true}`, 204},
		{"sys/leases/revoke-prefix/users", `{"sync":true}`, 204},
		{"sys/leases/revoke-prefix/users/creds/x", ``, 202},
		{"sys/leases/revoke-prefix/ID", `{"sync":true}`, 204},
		{"sys/leases/revoke-force/users/creds", ``, 204},
		{"sys/revoke-prefix/users/creds", `{"sync":true}`, 204},
		{"sys/revoke-force/users", ``, 204},
	} {
		id := creds(t, v.Client, "x").LeaseID
		for _, renew := range [][2]string{{"sys/leases/renew", `{"lease_id":"ID","increment":60}`}, {"sys/leases/renew/ID", ""}, {"sys/renew", `{"lease_id":"ID"}`}, {"sys/renew/ID", ""}} {
			got := v.HTTP("PUT", strings.ReplaceAll(renew[0], "ID", id), strings.NewReader(strings.ReplaceAll(renew[1], "ID", id)))
			if got.Status != 200 || !strings.Contains(got.Body, `"lease_id":"`+id+`"`) || !strings.Contains(got.Body, `"data":null`) {
				t.Errorf("%s: %d %s", renew[0], got.Status, got.Body)
			}
		}
		got := v.HTTP("PUT", strings.ReplaceAll(c.path, "ID", id), strings.NewReader(strings.ReplaceAll(c.body, "ID", id)))
		if got.Status != c.want {
			t.Errorf("%s %s: %d %s, want %d", c.path, c.body, got.Status, got.Body, c.want)
		}
		if _, err := v.Sys().Lookup(id); status(err) != 400 {
			t.Errorf("%s: the lease is still there: %v", c.path, err)
		}
		if c.want == 204 && len(db.Users()) != 0 {
			t.Errorf("%s: 204 and the user is still there", c.path)
		}
		eventually(t, c.path, func() bool { return len(db.Users()) == 0 })
	}
	for _, path := range []string{"sys/leases/revoke", "sys/leases/renew", "sys/leases/lookup"} {
		if got := v.HTTP("PUT", path, strings.NewReader(`{}`)); got.Status != 400 || !strings.Contains(got.Body, "lease_id") {
			t.Errorf("%s without a lease: %d %s", path, got.Status, got.Body)
		}
	}
	if got := v.HTTP("PUT", "sys/leases/revoke-prefix", http.NoBody); got.Status != 400 {
		t.Errorf("an empty prefix: %d %s", got.Status, got.Body)
	}
}

func TestListLeases(t *testing.T) {
	v, _ := withUsers(t, nil)
	var ids []string
	for range 3 {
		ids = append(ids, creds(t, v.Client, "a/b").LeaseID)
	}
	for path, want := range map[string]int{"": 1, "/users": 1, "/users/creds/": 1, "/users/creds/a/b": 3, "/users/creds/none": 0} {
		s, err := v.Logical().List("sys/leases/lookup" + path)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if s != nil {
			n = len(s.Data["keys"].([]any))
		}
		if n != want {
			t.Errorf("%q: %d, want %d", path, n, want)
		}
	}
	after := ""
	for i := range 3 {
		got := v.HTTP("GET", "sys/leases/lookup/users/creds/a/b?list=true&limit=1&after="+after, http.NoBody)
		if got.Status != 200 {
			t.Fatal(got)
		}
		_, rest, _ := strings.Cut(got.Body, `"keys":["`)
		after, _, _ = strings.Cut(rest, `"`)
		if !strings.Contains(strings.Join(ids, " "), after) || len(after) != 24 {
			t.Errorf("page %d: %s", i, got.Body)
		}
	}
	token := v.Policy("lookup", `path "sys/leases/lookup" { capabilities = ["update", "list"] } path "sys/leases/lookup/*" { capabilities = ["list"] }`)
	for _, path := range []string{"sys/leases/lookup", "sys/leases/lookup/users"} {
		if _, err := v.NewClient(token).Logical().List(path); status(err) != 403 {
			t.Errorf("%s without sudo: %v", path, err)
		}
	}
}

// The leases of logins are tokens: what was logged in by a method ends with a
// prefix below auth/, children and all, and nothing else does.
func TestRevokePrefixOfLogins(t *testing.T) {
	v := testenv.Start(t, nil)
	for _, path := range []string{"people", "people2"} {
		if err := v.Sys().EnableAuthWithOptions(path, &vault.EnableAuthOptions{Type: "approle"}); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Logical().Write("auth/"+path+"/role/r", map[string]any{"bind_secret_id": false, "secret_id_bound_cidrs": "127.0.0.0/8", "role_id": path, "token_policies": "default"}); err != nil {
			t.Fatal(err)
		}
	}
	login := func(path string) *vault.Client {
		t.Helper()
		s, err := v.NewClient("").Logical().Write("auth/"+path+"/login", map[string]any{"role_id": path})
		if err != nil {
			t.Fatal(err)
		}
		return v.NewClient(s.Auth.ClientToken)
	}
	alive := func(c *vault.Client) bool { _, err := c.Auth().Token().LookupSelf(); return err == nil }
	for _, path := range []string{"sys/leases/revoke-prefix/auth/people", "sys/revoke-force/auth/people/login", "sys/leases/revoke-prefix/auth/people/"} {
		one, other := login("people"), login("people2")
		plain := v.NewClient(v.Policy("plain", `path "sys/*" { capabilities = ["update"] }`))
		if _, err := plain.Logical().Write(path, nil); status(err) != 403 || !alive(one) {
			t.Errorf("%s without sudo: %v", path, err)
		}
		if _, err := v.Logical().Write(path, nil); err != nil || alive(one) || !alive(other) {
			t.Errorf("%s: %v; %v, %v", path, err, alive(one), alive(other))
		}
	}
	// Who logged in before the method moved is found where it is now, and not where
	// something else is now.
	moved := login("people")
	if err := v.Sys().Remount("auth/people", "auth/elsewhere"); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Logical().Write("sys/leases/revoke-prefix/auth/people", nil); err != nil || !alive(moved) {
		t.Errorf("the old path of a method that moved: %v, %v", err, alive(moved))
	}
	if _, err := v.Logical().Write("sys/leases/revoke-prefix/auth/elsewhere", nil); err != nil || alive(moved) {
		t.Errorf("the new path of a method that moved: %v, %v", err, alive(moved))
	}
}

// The names of old must not be a way around a policy on the names of today.
func TestCVE202645808LegacyPathsObeyThePolicyOfToday(t *testing.T) {
	v, db := withUsers(t, nil)
	id := creds(t, v.Client, "x").LeaseID
	c := v.NewClient(v.Policy("old", `
path "sys/*" { capabilities = ["update", "sudo"] }
path "sys/leases/revoke" { capabilities = ["deny"] }
path "sys/leases/revoke/*" { capabilities = ["deny"] }
path "sys/leases/renew" { capabilities = ["deny"] }
path "sys/leases/revoke-prefix/*" { capabilities = ["deny"] }
path "sys/leases/revoke-force/*" { capabilities = ["deny"] }`))
	for path, data := range map[string]map[string]any{
		"sys/revoke": {"lease_id": id}, "sys/renew": {"lease_id": id}, "sys/revoke/" + id: nil,
		"sys/revoke-prefix/users": nil, "sys/revoke-force/users": nil,
	} {
		if _, err := c.Logical().Write(path, data); status(err) != 403 {
			t.Errorf("%s: %v", path, err)
		}
	}
	plain := v.NewClient(v.Policy("plain", `path "sys/*" { capabilities = ["update"] }`))
	for _, path := range []string{"sys/revoke-prefix/users", "sys/revoke-force/users", "sys/leases/revoke-prefix/users", "sys/leases/revoke-force/users"} {
		if _, err := plain.Logical().Write(path, nil); status(err) != 403 {
			t.Errorf("%s without sudo: %v", path, err)
		}
	}
	if _, err := v.Sys().Lookup(id); err != nil || len(db.Users()) != 1 {
		t.Errorf("the lease did not survive: %v", err)
	}
}

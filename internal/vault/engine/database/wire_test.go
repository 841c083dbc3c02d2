package database_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
)

// write, read: the official client, which must succeed.
func write(t *testing.T, v *testenv.Vault, path string, data map[string]any) {
	t.Helper()
	if _, err := v.Logical().Write(path, data); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, v *testenv.Vault, path string) *vault.Secret {
	t.Helper()
	s, err := v.Logical().Read(path)
	if err != nil || s == nil {
		t.Fatalf("%s: %v, %v", path, s, err)
	}
	return s
}

func text(s *vault.Secret, name string) string { v, _ := s.Data[name].(string); return v }

// serve runs a vault whose engine knows the server under config/db.
func serve(t *testing.T, db *dbtest.Server, plugin, create string) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("database", &vault.MountInput{Type: "database"}); err != nil {
		t.Fatal(err)
	}
	write(t, v, "database/config/db", map[string]any{
		"plugin_name": plugin, "connection_url": db.URL("{{username}}", "{{password}}"),
		"username": db.User, "password": db.Password, "allowed_roles": "*",
	})
	write(t, v, "database/roles/app", map[string]any{"db_name": "db", "creation_statements": create, "default_ttl": "1h", "max_ttl": "24h"})
	return v
}

// §1.1 row 25 and §2.7, through the official client, from the lease to its end,
// over a restart of the vault.
func TestWirePostgreSQL(t *testing.T) {
	pg := dbtest.PostgreSQL(t)
	v := serve(t, pg, "postgresql-database-plugin", create)
	s := read(t, v, "database/creds/app")
	username, password := text(s, "username"), text(s, "password")
	if !strings.HasPrefix(s.LeaseID, "database/creds/app/") || s.LeaseDuration != 3600 || !s.Renewable || len(s.Data) != 2 {
		t.Errorf("lease %q of %d s, renewable %v, data %d", s.LeaseID, s.LeaseDuration, s.Renewable, len(s.Data))
	}
	if err := login(pg, username, password); err != nil {
		t.Fatal(err)
	}
	if r, err := v.Sys().Renew(s.LeaseID, 7200); err != nil || r.LeaseDuration != 7200 {
		t.Errorf("renew: %+v, %v", r, err)
	}
	v.Restart()
	v.Unseal()
	if err := v.Sys().RevokeWithOptions(&vault.RevokeOptions{LeaseID: s.LeaseID, Sync: true}); err != nil {
		t.Fatal(err)
	}
	if err := login(pg, username, password); err == nil {
		t.Error("the user can log in after the end of the lease")
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"database/creds/none":        {400, "unknown role: none"},
		"database/static-creds/none": {400, "unknown role: none"},
		"database/config/none":       {404, ""},
		"database/roles/none":        {404, ""},
	} {
		got := v.HTTP("GET", path, nil)
		if got.Status != want.status || !strings.Contains(got.Body, want.text) {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	write(t, v, "database/config/db", map[string]any{"allowed_roles": "other"})
	_, err := v.Logical().Read("database/creds/app")
	var res *vault.ResponseError
	if !errors.As(err, &res) || res.StatusCode != 500 || !strings.Contains(err.Error(), `"app" is not an allowed role`) {
		t.Errorf("a role that is not allowed: %v", err)
	}
}

// Leases end by themselves, on time.
func TestWireExpiry(t *testing.T) {
	pg := dbtest.PostgreSQL(t)
	v := serve(t, pg, "postgresql-database-plugin", create)
	s := read(t, v, "database/creds/app")
	username, password := text(s, "username"), text(s, "password")
	if err := login(pg, username, password); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Sys().Renew(s.LeaseID, 1); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(time.Minute)
	for login(pg, username, password) == nil {
		select {
		case <-deadline:
			t.Fatal("the user outlives the lease")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// The other databases, and static roles that the vault rotates by itself.
func TestWireOthers(t *testing.T) {
	for plugin, c := range map[string]struct {
		server func(testing.TB) *dbtest.Server
		create string
	}{
		"mysql-database-plugin":  {dbtest.MariaDB, "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"},
		"redis-database-plugin":  {dbtest.Redis, `["~app:*", "+@read", "+@connection"]`},
		"valkey-database-plugin": {dbtest.Redis, `["~app:*", "+@read"]`},
	} {
		t.Run(plugin, func(t *testing.T) {
			v := serve(t, c.server(t), plugin, c.create)
			s := read(t, v, "database/creds/app")
			write(t, v, "database/static-roles/fixed", map[string]any{"db_name": "db", "username": text(s, "username"), "rotation_period": "5s"})
			first := read(t, v, "database/static-creds/fixed")
			if text(first, "password") == text(s, "password") || text(first, "username") != text(s, "username") {
				t.Error("the static role did not take its user over")
			}
			deadline := time.After(time.Minute)
			for text(read(t, v, "database/static-creds/fixed"), "password") == text(first, "password") {
				select {
				case <-deadline:
					t.Fatal("the password did not change by itself")
				case <-time.After(100 * time.Millisecond):
				}
			}
			if err := v.Sys().RevokeWithOptions(&vault.RevokeOptions{LeaseID: s.LeaseID, Sync: true}); err != nil {
				t.Error(err)
			}
		})
	}
}

// No log of ours, the audit log included, holds a password, whatever fails.
func TestWireCanaries(t *testing.T) {
	pg := dbtest.PostgreSQL(t)
	v := serve(t, pg, "postgresql-database-plugin", create)
	var secrets []string
	for range 3 {
		secrets = append(secrets, text(read(t, v, "database/creds/app"), "password"))
	}
	write(t, v, "database/roles/bad", map[string]any{"db_name": "db", "creation_statements": create + "; SELECT '{{password}}'::int"})
	if _, err := v.Logical().Read("database/creds/bad"); err == nil {
		t.Error("bad statements make a user")
	}
	const canary = "canary-0a7f"
	_, err := v.Logical().Write("database/config/bad", map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": "postgresql://u:" + canary + "@" + pg.Address + "/x", "username": "u", "password": canary,
	})
	if err == nil || strings.Contains(err.Error(), canary) {
		t.Errorf("a wrong password: %v", err)
	}
	secrets = append(secrets, canary, pg.Password)
	log := v.Log.String()
	for i, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds secret %d", i)
		}
	}
}

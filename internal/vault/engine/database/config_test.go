package database_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

// paper is a database that agrees to everything.
type paper struct{}

func (paper) Ping(ctx context.Context) error                      { return ctx.Err() }
func (paper) Create(ctx context.Context, _ *driver.Account) error { return ctx.Err() }
func (paper) Update(ctx context.Context, _ *driver.Account) error { return ctx.Err() }
func (paper) Delete(ctx context.Context, _ *driver.Account) error { return ctx.Err() }
func (paper) Close()                                              {}

func (paper) Lock(ctx context.Context, _ string) error        { return ctx.Err() }
func (paper) Unlock(ctx context.Context, _ string) error      { return ctx.Err() }
func (paper) EndSessions(ctx context.Context, _ string) error { return ctx.Err() }

func (paper) Sessions(ctx context.Context, _ string) ([]driver.Session, string, error) {
	return []driver.Session{{Address: "192.0.2.9", Client: "app"}}, "", ctx.Err()
}

func paperType() driver.Type {
	return driver.Type{
		Names: []string{"paper-database-plugin", "leaf"}, MaxUsername: 40,
		Fields:   []engine.Field{{Name: "private_key", Secret: true, Help: "A key."}, {Name: "colour", Help: "A colour."}},
		Username: `{{ printf "%s-%s-%s" .DisplayName .RoleName (random 8) }}`,
		Open: func(c driver.Config) (driver.Database, error) {
			if strings.Contains(c.URL, "refuse") {
				return nil, errs.New(errs.Invalid, "that is refused")
			}
			return paper{}, nil
		},
		Where: func(c driver.Config) (driver.Where, error) {
			return driver.Where{Server: c.URL, Username: c.Username}, nil
		},
	}
}

func TestEngineSuite(t *testing.T) {
	const c = enginetest.Canary
	enginetest.Run(t, enginetest.Suite{
		Factory: database.New(paperType()),
		Steps: []enginetest.Step{
			{Op: engine.Update, Path: "config/p", Body: `{"plugin_name":"leaf","connection_url":"paper://u:` + c + `@host/","username":"u","password":"` + c + `","private_key":"` + c + `","allowed_roles":"r*,s,a,b"}`},
			{Op: engine.Update, Path: "config/p", Body: `{"colour":"red","rotation_schedule":"0 0 * * *"}`},
			{Op: engine.Read, Path: "config/p"},
			{Op: engine.List, Path: "config"},
			{Op: engine.Update, Path: "config/bad name", Body: `{}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "config/q", Body: `{"plugin_name":"` + c + `x"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "reset/p"},
			{Op: engine.Update, Path: "reset/q", Fails: errs.Invalid},
			{Op: engine.Update, Path: "rotate-root/p"},
			{Op: engine.Update, Path: "roles/r", Body: `{"db_name":"p","creation_statements":"make {{name}}","default_ttl":"1h"}`},
			{Op: engine.Update, Path: "roles/r", Body: `{"max_ttl":7200}`},
			{Op: engine.Read, Path: "roles/r"},
			{Op: engine.List, Path: "roles"},
			{Op: engine.Read, Path: "creds/r"},
			{Op: engine.Update, Path: "static-roles/s", Body: `{"db_name":"p","username":"app","rotation_period":"1h","skip_import_rotation":true,"password":"` + c + `"}`},
			{Op: engine.Update, Path: "static-roles/s", Body: `{"rotation_period":7200}`},
			{Op: engine.Read, Path: "static-roles/s"},
			{Op: engine.List, Path: "static-roles"},
			{Op: engine.Read, Path: "static-creds/s", Reveals: true},
			{Op: engine.Update, Path: "static-roles/r", Body: `{"db_name":"p","username":"u","rotation_period":"1h"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "rotate-role/s"},
			{Op: engine.Delete, Path: "static-roles/s"},
			{Op: engine.Delete, Path: "roles/r"},
			{Op: engine.Update, Path: "alternating-roles/a", Body: `{"db_name":"p","usernames":"x,y","credential_config":{"password_policy":"strict"},"holder":"n/a"}`},
			{Op: engine.Update, Path: "alternating-roles/a", Body: `{"holder":"","rotation_statements":"set {{name}}"}`},
			{Op: engine.Read, Path: "alternating-roles/a"},
			{Op: engine.List, Path: "alternating-roles"},
			{Op: engine.Read, Path: "alternating-creds/a", Fails: errs.NotExist},
			{Op: engine.Update, Path: "alternating-roles/a/stage", Body: `{"turn":1,"holder":"n/a"}`},
			{Op: engine.Update, Path: "alternating-roles/a/stage", Body: `{"turn":2,"holder":"n/a"}`, Fails: errs.Conflict},
			{Op: engine.Update, Path: "alternating-roles/a/stage", Body: `{"turn":1,"holder":"n/b"}`, Fails: errs.Conflict},
			{Op: engine.Update, Path: "alternating-roles/a/publish", Body: `{"turn":1,"holder":"n/a","side":"new"}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "alternating-roles/a/publish", Body: `{"turn":1,"holder":"n/a","side":"old"}`},
			{Op: engine.Update, Path: "alternating-roles/a/close", Body: `{"turn":1,"holder":"n/a"}`},
			{Op: engine.Update, Path: "alternating-roles/a/reopen", Body: `{"turn":1,"holder":"n/a"}`},
			{Op: engine.Read, Path: "alternating-roles/a/state"},
			{Op: engine.Read, Path: "alternating-roles/a/sessions"},
			{Op: engine.Update, Path: "alternating-roles/a/retire", Body: `{"turn":1,"holder":"n/a","side":"new"}`},
			{Op: engine.Update, Path: "alternating-roles/b", Body: `{"db_name":"p","usernames":["z","w"],"password":"` + c + `"}`},
			{Op: engine.Read, Path: "alternating-creds/b", Reveals: true},
			{Op: engine.Update, Path: "alternating-roles/r", Body: `{"db_name":"p","usernames":"m,n"}`},
			{Op: engine.Read, Path: "alternating-staged/r", Body: `{"turn":1,"holder":"n/a"}`, Fails: errs.Conflict},
			{Op: engine.Update, Path: "alternating-roles/r/stage", Body: `{"turn":1,"holder":"n/a"}`, Finish: true},
			{Op: engine.Read, Path: "alternating-staged/r", Body: `{"turn":1,"holder":"n/b"}`, Fails: errs.Conflict},
			{Op: engine.Read, Path: "alternating-staged/r", Body: `{"turn":1,"holder":"n/a"}`},
			{Op: engine.Delete, Path: "alternating-roles/r"},
			{Op: engine.Delete, Path: "alternating-roles/b"},
			{Op: engine.Delete, Path: "alternating-roles/a"},
			{Op: engine.Delete, Path: "config/p"},
		},
	})
}

// §2.7: what a connection shows, and what not.
func TestConfigShows(t *testing.T) {
	m := pgMount(t)
	m.configure(`"root_rotation_statements":["ALTER ROLE x"],"password_policy":"strict","private_key":"","max_open_connections":3,"max_connection_lifetime":"5s"`)
	got := m.ok(engine.Read, "config/pg", "")
	details := got["connection_details"].(map[string]any)
	if details["connection_url"] != m.pg.URL("{{username}}", "{{password}}") || details["username"] != m.pg.User || details["max_open_connections"] != 3.0 {
		t.Errorf("connection_details: %v", details)
	}
	if _, has := details["password"]; has {
		t.Error("the password is shown")
	}
	if got["plugin_name"] != "postgresql-database-plugin" || got["password_policy"] != "strict" || got["root_credentials_rotate_statements"].([]any)[0] != "ALTER ROLE x" || got["allowed_roles"].([]any)[0] != "*" {
		t.Errorf("config: %v", got)
	}
	if keys := m.ok(engine.List, "config", "")["keys"].([]any); len(keys) != 1 || keys[0] != "pg" {
		t.Errorf("list: %v", keys)
	}
}

func TestVerifyConnection(t *testing.T) {
	m := pgMount(t)
	body := object("plugin_name", "postgresql-database-plugin", "connection_url", m.pg.URL("{{username}}", "{{password}}"), "username", "nobody", "password", "canary-pw")
	_, err := m.Do(engine.Update, "config/wrong", body)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "error verifying connection") || strings.Contains(err.Error(), "canary") {
		t.Errorf("a wrong password: %v", err)
	}
	if m.ok(engine.Read, "config/wrong", "") != nil {
		t.Error("it is stored all the same")
	}
	m.ok(engine.Update, "config/wrong", body[:len(body)-1]+`,"verify_connection":false}`)
}

func TestAllowedRoles(t *testing.T) {
	m := pgMount(t)
	for patterns, want := range map[string]bool{
		"*": true, "readonly": true, "read*": true, "*only": true, "r*d*y": true, "other,readonly": true,
		"": false, "READONLY": false, "read": false, "*x": false, "readonly*y": false, "r*x*y": false,
	} {
		m.ok(engine.Update, "config/pg", object("allowed_roles", patterns))
		res, err := m.Do(engine.Read, "creds/readonly", "")
		if err != nil {
			t.Fatal(err)
		}
		refused := res.Raw != nil && res.Raw.Status == 500 && strings.Contains(string(res.Raw.Body), `\"readonly\" is not an allowed role`)
		if refused == want || want != (res.Lease != nil) {
			t.Errorf("allowed_roles %q: %v", patterns, !refused)
		}
		if want {
			if err := m.Revoke(res.Lease.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// §5.4 and §2.7: the database down when a user is made and when it is removed.
func TestDatabaseDown(t *testing.T) {
	m := pgMount(t)
	username, password, lease := m.creds("readonly")
	m.pg.Kill(t)
	if _, err := m.Do(engine.Read, "creds/readonly", ""); !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), `connection "pg"`) {
		t.Errorf("creds: %v", err)
	}
	if err := m.Revoke(lease); !errs.Is(err, errs.Unavailable) {
		t.Errorf("revoke: %v", err)
	}
	if n := len(m.Leases()); n != 1 {
		t.Errorf("%d leases are kept, want that of the user: the other was surely not made", n)
	}
	m.pg.Start(t)
	if err := login(m.pg, username, password); err != nil {
		t.Error(err)
	}
	for _, id := range m.Leases() {
		if err := m.Revoke(id); err != nil {
			t.Error(err)
		}
	}
	if m.exists(username) {
		t.Error("the user is still there")
	}
	if strings.Contains(m.Logs(), password) {
		t.Error("the log holds a password")
	}
}

// A crash after the commit and in the middle of making the user: the lease is
// there, and its revocation leaves nothing.
func TestCrashWhileMakingAUser(t *testing.T) {
	for _, point := range []string{"before create", "after create"} {
		m := pgMount(t)
		m.faults.crashAt(point, 0)
		if _, err := m.Do(engine.Read, "creds/readonly", ""); err == nil {
			t.Fatalf("%s: it succeeded", point)
		}
		m.faults.restart()
		leases := m.Leases()
		if len(leases) != 1 {
			t.Fatalf("%s: %d leases", point, len(leases))
		}
		if err := m.Revoke(leases[0]); err != nil {
			t.Error(err)
		}
		if n := m.sql(`SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'`); n != "0" {
			t.Errorf("%s: %s users are left", point, n)
		}
	}
}

// A creation that was surely refused leaves nothing to revoke, for that could fail
// for ever, as DROP ROLE does here. In doubt what was made is removed.
func TestRefusedCreationLeavesNothing(t *testing.T) {
	m := pgMount(t)
	for _, more := range []string{`; GRANT nobody TO "{{name}}"`, `; NONSENSE`, `; COMMIT; NONSENSE`, `; COMMIT; SELECT 1/0`} {
		m.ok(engine.Update, "roles/refused", object("db_name", "pg", "creation_statements", create+more, "revocation_statements", `DROP ROLE "{{name}}"`))
		if _, err := m.Do(engine.Read, "creds/refused", ""); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", more, err)
		}
		if users := m.sql(`SELECT count(*) FROM pg_roles WHERE rolname LIKE 'v-%'`); users != "0" || len(m.Leases()) > 0 {
			t.Errorf("%s: %s users and %d leases are left", more, users, len(m.Leases()))
		}
	}
}

// A hanging database blocks its own requests, and those for no longer than they say.
func TestHangingDatabaseBlocksNobodyElse(t *testing.T) {
	m := pgMount(t)
	m.ok(engine.Update, "config/other", object("plugin_name", "postgresql-database-plugin", "connection_url", "postgresql://u:p@127.0.0.1:1/x", "verify_connection", false, "allowed_roles", "*"))
	m.ok(engine.Update, "roles/other", object("db_name", "other", "creation_statements", create))
	m.pg.Pause(t)
	defer m.pg.Resume(t)
	start := time.Now()
	if _, err := m.Do(engine.Read, "creds/other", ""); !errs.Is(err, errs.Unavailable) || time.Since(start) > time.Minute {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	m.ok(engine.Read, "config/pg", "")
	m.ok(engine.List, "roles", "")
}

// Role changes mend revocation; what was there when the role is gone still works.
func TestRevocationStatements(t *testing.T) {
	m := pgMount(t)
	m.ok(engine.Update, "roles/own", object("db_name", "pg", "creation_statements", create, "revocation_statements", `DROP ROLE "no such {{name}}"`))
	username, _, lease := m.creds("own")
	if err := m.Revoke(lease); !errs.Is(err, errs.Invalid) {
		t.Errorf("with statements that fail: %v", err)
	}
	m.ok(engine.Update, "roles/own", object("revocation_statements", `DROP ROLE "{{name}}"`))
	if err := m.Revoke(lease); err != nil || m.exists(username) {
		t.Errorf("with mended statements: %v", err)
	}
	username, _, lease = m.creds("own")
	m.ok(engine.Delete, "roles/own", "")
	if _, err := m.Renew(lease, 0); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "could not find role") {
		t.Errorf("renewing without the role: %v", err)
	}
	if err := m.Revoke(lease); err != nil || m.exists(username) {
		t.Errorf("without the role: %v", err)
	}
}

// A template whose names come again is refused, for making a user whose name is
// somebody's fails, and what is then revoked would be that somebody.
func TestUsernameTemplateRemovesNobodyElse(t *testing.T) {
	m := pgMount(t)
	m.user("bystander", "pw")
	for _, template := range []string{`{{.DisplayName}}`, `{{printf "%s-%s" .DisplayName (random 20) | truncate 9}}`} {
		_, err := m.Do(engine.Update, "config/pg", object("username_template", template))
		if err == nil {
			_, err = m.Do(engine.Read, "creds/readonly", "", func(r *engine.Request) { r.Caller.DisplayName = "bystander" })
		}
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", template, err)
		}
		if !m.exists("bystander") {
			t.Fatalf("%s: the bystander is gone", template)
		}
	}
}

// What a display name holds can end no quote (CVE-2026-39946).
func TestCVE202639946DisplayNames(t *testing.T) {
	m := pgMount(t)
	m.user("bystander", "pw")
	m.ok(engine.Update, "config/pg", object("username_template", `{{.DisplayName}}-{{random 6}}`))
	for _, name := range []string{`x"; DROP ROLE bystander; --`, `x'; DROP ROLE bystander; --`, `$$`, `{{password}}`, `\`, `a "b" 'c'`} {
		res, err := m.Do(engine.Read, "creds/readonly", "", func(r *engine.Request) { r.Caller.DisplayName = name })
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if err := m.Revoke(res.Lease.ID); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	if !m.exists("bystander") {
		t.Error("the bystander is gone")
	}
	if n := m.sql(`SELECT count(*) FROM pg_roles WHERE rolname ~ '-[A-Za-z0-9]{6}$'`); n != "0" {
		t.Errorf("%s users are left", n)
	}
}

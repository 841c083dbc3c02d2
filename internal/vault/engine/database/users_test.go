package database_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// The stored password is sent to no server that it was not given for.
func TestStoredPasswordStaysWithItsServer(t *testing.T) {
	m := pgMount(t)
	refused := func(what string, pairs ...any) {
		t.Helper()
		before := m.Stored(t)["config/pg"]
		_, err := m.Do(engine.Update, "config/pg", object(append(pairs, "verify_connection", false)...))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "give password") {
			t.Errorf("%s: %v", what, err)
		}
		if m.Stored(t)["config/pg"] != before {
			t.Errorf("%s: it is stored", what)
		}
	}
	host, port, _ := strings.Cut(m.pg.Address, ":")
	refused("another port", "connection_url", "postgresql://{{username}}:{{password}}@"+host+":1/postgres")
	refused("another host", "connection_url", "postgresql://{{username}}:{{password}}@evil.example:"+port+"/postgres")
	refused("a host more", "connection_url", "host=evil.example,"+host+" port="+port+","+port+" user={{username}}")
	refused("the password as a host", "connection_url", "postgresql://{{username}}:x@{{password}}.evil.example/postgres")
	refused("a host in the query", "connection_url", "postgresql://{{username}}:{{password}}@"+m.pg.Address+"/postgres?host=evil.example")
	refused("a user name that is a host", "disable_escaping", true, "username", "x:y@evil.example/postgres#", "connection_url", "postgresql://{{username}}@"+m.pg.Address+"/postgres")
	m.ok(engine.Update, "config/pg", object("connection_url", "postgresql://{{username}}:{{password}}@"+m.pg.Address+"/template1?sslmode=disable"))
	m.ok(engine.Update, "config/pg", object("allowed_roles", "*"))
	m.ok(engine.Update, "config/pg", object("connection_url", "postgresql://{{username}}:{{password}}@"+host+":1/postgres", "password", "another", "verify_connection", false))
}

// A static role has its user alone: neither another role nor the vault itself has it.
func TestStaticUsersAreOnes(t *testing.T) {
	m := pgMount(t)
	m.user("alone", "by-hand")
	role := func(name, username string) error {
		_, err := m.Do(engine.Update, "static-roles/"+name, object("db_name", "pg", "username", username, "rotation_period", "1h"))
		return err
	}
	if err := role("vaults", m.pg.User); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "rotate-root/pg") {
		t.Errorf("the vault's own user: %v", err)
	}
	if err := role("first", "alone"); err != nil {
		t.Fatal(err)
	}
	if err := role("second", "alone"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `static role "first" has this user`) {
		t.Errorf("another role's user: %v", err)
	}
	if err := role("first", "alone"); err != nil {
		t.Errorf("the role itself: %v", err)
	}
	if _, err := m.Do(engine.Update, "config/pg", object("username", "alone", "password", m.current("first", "alone"))); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `static role "first"`) {
		t.Errorf("the vault as a role's user: %v", err)
	}
	m.ok(engine.Update, "config/other", object("plugin_name", "postgresql-database-plugin", "connection_url", "postgresql://alone:p@127.0.0.1:1/x", "verify_connection", false, "allowed_roles", "*"))
	if _, err := m.Do(engine.Update, "static-roles/url", object("db_name", "other", "username", "alone", "rotation_period", "1h")); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "itself") {
		t.Errorf("the user of a connection_url: %v", err)
	}
	m.ok(engine.Delete, "static-roles/first", "")
	if err := role("second", "alone"); err != nil {
		t.Errorf("after the first is gone: %v", err)
	}
	if err := role("third", "not-there"); err == nil {
		t.Error("nobody is taken over")
	}
	for key, value := range m.Stored(t) {
		if strings.HasPrefix(key, "user/") && value != "second" {
			t.Errorf("%s is left for %q", key, value)
		}
	}
}

// What runs what is in quotes (EXECUTE) gets no value that would change it.
func TestCVE202639946DollarQuotes(t *testing.T) {
	m := pgMount(t)
	m.user("bystander", "pw")
	m.ok(engine.Update, "config/pg", object("username_template", `{{.DisplayName}}-{{random 6}}`))
	try := func(statements, display string) (string, error) {
		t.Helper()
		m.ok(engine.Update, "roles/dollar", object("db_name", "pg", "creation_statements", statements))
		res, err := m.Do(engine.Read, "creds/dollar", "", func(r *engine.Request) { r.Caller.DisplayName = display })
		if err != nil {
			return "", err
		}
		return res.Lease.ID, nil
	}
	const safe = `DO $$ BEGIN EXECUTE 'CREATE ROLE "{{name}}" LOGIN PASSWORD ''{{password}}'' VALID UNTIL ''{{expiration}}'''; END $$`
	for _, display := range []string{"plain", "a -- b", "x@y.z"} {
		lease, err := try(safe, display)
		if err == nil {
			err = m.Revoke(lease)
		}
		if err != nil {
			t.Errorf("%q: %v", display, err)
		}
	}
	const bare, executed = `DO $$ BEGIN DROP ROLE {{name}} ; END $$`, `DO $$ BEGIN EXECUTE 'DROP ROLE {{name}} '; END $$`
	for _, statements := range []string{safe, bare, executed} {
		for _, display := range []string{`bystander"; --`, `bystander' --`, `bystander; -- $$`} {
			if _, err := try(statements, display); !errs.Is(err, errs.Invalid) {
				t.Errorf("%s for %q: %v", statements, display, err)
			}
		}
	}
	if _, err := try(executed, "bystander--"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "quotes of its own") {
		t.Errorf("a comment: %v", err)
	}
	if _, err := try(bare, "bystander--"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "no plain word") {
		t.Errorf("a bare comment: %v", err)
	}
	if !m.exists("bystander") || len(m.Leases()) != 0 {
		t.Errorf("the bystander is gone, or %d leases are left", len(m.Leases()))
	}
}

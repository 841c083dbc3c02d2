package database_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// refuse writes an alternating role that must be refused.
func (m *turning) refuse(what, name, want string, pairs ...any) {
	m.t.Helper()
	_, err := m.Do(engine.Update, "alternating-roles/"+name, object(pairs...))
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
		m.t.Errorf("%s: %v, want %q", what, err, want)
	}
}

// A role has its users alone, and the vault itself is none of them.
func TestAlternatingUsersAreOnes(t *testing.T) {
	m := newTurning(t, shapes["PostgreSQL, there"])
	m.refuse("the vault's own user", "other", "logs in as this user itself", "db_name", "db", "usernames", []string{"x", m.server.User})
	m.refuse("another role's user", "other", `alternating role "app" has this user`, "db_name", "db", "usernames", []string{"x", "turn_b"})
	if _, err := m.Do(engine.Update, "static-roles/s", object("db_name", "db", "username", "turn_a", "rotation_period", "1h")); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `alternating role "app"`) {
		t.Errorf("a static role with a role's user: %v", err)
	}
	m.ok(engine.Update, "static-roles/s", object("db_name", "db", "username", "fixed", "rotation_period", "1h", "skip_import_rotation", true))
	m.refuse("a static role's user", "other", `static role "s"`, "db_name", "db", "usernames", []string{"x", "fixed"})
	if _, err := m.Do(engine.Update, "config/db", object("username", "turn_a", "password", "p", "verify_connection", false)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `alternating role "app"`) {
		t.Errorf("the vault as a role's user: %v", err)
	}
	m.ok(engine.Update, "alternating-roles/app", object("usernames", []string{"turn_a", "turn_c"}))
	m.ok(engine.Update, "alternating-roles/other", object("db_name", "db", "usernames", []string{"turn_b", "x"}))
	m.ok(engine.Delete, "alternating-roles/other", "")
	m.ok(engine.Delete, "alternating-roles/app", "")
	for key := range m.Stored(t) {
		if strings.HasPrefix(key, "alternating/") || strings.HasPrefix(key, "user/db/") && m.Stored(t)[key] != "s" {
			t.Errorf("%s is left", key)
		}
	}
}

func TestRefusedAlternatingRoles(t *testing.T) {
	m := newTurning(t, shapes["PostgreSQL, made"])
	two := []string{"x", "y"}
	m.refuse("two passwords where there is one", "r", "Redis and Valkey", "db_name", "db", "usernames", "x", "overlap", "passwords")
	m.refuse("a name too long", "r", "the database takes 63", "db_name", "db", "usernames", []string{"x", strings.Repeat("y", 64)})
	m.refuse("no connection", "r", "db_name", "db_name", "none", "usernames", two)
	m.refuse("another kind of credential", "r", "unsupported credential_type", "db_name", "db", "usernames", two, "credential_type", "client_certificate")
	m.refuse("a holder with a blank", "r", "without blanks", "db_name", "db", "usernames", two, "holder", "a b")
	m.refuse("a password that is wrong", "r", "a login fails", "db_name", "db", "usernames", two, "password", "canary-wrong")
	m.refuse("an odd name", "a b", "a name here", "db_name", "db", "usernames", two)
	m.acts(1, "stage")
	m.refuse("users under way", "app", "turn 1 is under way (staged)", "usernames", two)
	for what, body := range map[string]string{
		"no turn": `{"holder":"apps/app","side":"new"}`, "no side": `{"turn":1,"holder":"apps/app"}`, "an odd side": `{"turn":1,"holder":"apps/app","side":"left"}`,
	} {
		if _, err := m.Do(engine.Update, "alternating-roles/app/publish", body); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, path := range []string{"stage", "publish", "close", "reopen", "retire"} {
		if _, err := m.Do(engine.Update, "alternating-roles/none/"+path, `{"turn":1,"side":"new"}`); !errs.Is(err, errs.NotExist) {
			t.Errorf("%s of a role that is not there: %v", path, err)
		}
	}
	my := newTurning(t, shapes["MariaDB, made"])
	my.refuse("two passwords in MariaDB", "r", "one password only", "db_name", "db", "usernames", "x", "overlap", "passwords")
	m.ok(engine.Update, "config/db", object("allowed_roles", "other"))
	if res, err := m.Do(engine.Read, "alternating-creds/app", ""); err != nil || res.Raw == nil || res.Raw.Status != 500 {
		t.Errorf("a role that is not allowed: %v", err)
	}
}

// A user who is in use is taken over with the password it has, and the first turn
// already overlaps.
func TestTakingOverWithOverlap(t *testing.T) {
	for name := range shapes {
		if !strings.HasSuffix(name, "there") && !strings.HasSuffix(name, "passwords") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := newTurning(t, shapes[name])
			m.acts(1, "stage", "publish new")
			inUse := m.shown(1)
			m.ok(engine.Delete, "alternating-roles/app", "")
			overlap := "users"
			if len(m.users) == 1 {
				overlap = "passwords"
			}
			m.ok(engine.Update, "alternating-roles/app", object("db_name", "db", "usernames", m.users, "overlap", overlap, "password", inUse.password))
			if m.shown(0) != inUse {
				t.Error("readers are not given what is in use")
			}
			m.acts(1, "stage", "publish new")
			m.works("what was in use", inUse)
			m.works("the new one", m.shown(1))
			m.acts(1, "close", "retire old")
			m.refused("what was in use", inUse)
			m.refuse("a password for a role that is there", "app", "before the role is made", "password", "x")
		})
	}
}

// A user of the same name whom somebody else has made is neither taken over nor
// removed.
func TestStageTakesNobodyOver(t *testing.T) {
	for name, s := range shapes {
		if s.create == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := newTurning(t, s)
			theirs := cred{"turn_a", "somebody-elses"}
			m.must(m.admin().Create(t.Context(), account(theirs.user, theirs.password, s.create)))
			for range 2 {
				if err := m.act("stage", 1, ""); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "making the new user") {
					t.Errorf("staging: %v", err)
				}
			}
			if got := m.state(); got["step"] != "staging" || !strings.Contains(got["last_error"].(string), "making the new user") {
				t.Errorf("the state: %v", got)
			}
			m.acts(1, "retire new")
			m.works("the other's user", theirs)
			m.must(m.admin().Delete(t.Context(), account(theirs.user, "", s.drop)))
			m.acts(2, "stage", "publish new")
			m.works("once it is gone", m.shown(2))
		})
	}
}

// The database dies amid staging: the old one works on, and staging goes on with
// the same password.
func TestDatabaseDiesAmidTurn(t *testing.T) {
	eachShape(t, func(m *turning) {
		m.acts(1, "stage", "publish new", "close", "retire old")
		old := m.shown(1)
		m.server.Kill(m.t)
		if err := m.act("stage", 2, ""); !errs.Is(err, errs.Unavailable) {
			m.t.Errorf("staging without a database: %v", err)
		}
		pending := passwordIn(m.t, m.Stored(m.t)["alternating/app"])
		if m.shown(1) != old {
			m.t.Error("readers need the database")
		}
		m.server.Start(m.t)
		if strings.HasPrefix(m.server.Kind, "redis") { // it has forgotten its users, as it is configured
			return
		}
		m.acts(2, "stage", "publish new")
		if m.shown(2).password != pending {
			m.t.Error("another password was drawn")
		}
		m.works("the old one", old)
		for _, c := range []struct{ verb, step, then string }{{"close", "closing", "close"}, {"retire", "retiring-old", "retire old"}} {
			m.server.Kill(m.t)
			if err := m.act(c.verb, 2, "old"); !errs.Is(err, errs.Unavailable) {
				m.t.Errorf("%s without a database: %v", c.verb, err)
			}
			m.at(2, c.step)
			m.server.Start(m.t)
			m.acts(2, c.then)
		}
		m.refused("the old one", old)
	})
}

// side is one side of sessions.
func (m *turning) side(name string) (user string, sessions []any, partial string) {
	m.t.Helper()
	got := m.ok(engine.Read, "alternating-roles/app/sessions", "")
	side := got[name].(map[string]any)
	return side["user"].(string), side["sessions"].([]any), got["partial"].(string)
}

// Who is logged in as whom, in each database.
func TestTurnSessions(t *testing.T) {
	eachShape(t, func(m *turning) {
		m.acts(1, "stage", "publish new", "close", "retire old")
		old := m.shown(1)
		session := m.open(old.user, old.password)
		m.must(session.Ping(m.t.Context()))
		m.acts(2, "stage", "publish new")
		deadline := time.After(time.Minute) // the proofs' own sessions take their time to end
		for settled := false; !settled; {
			_, newer, _ := m.side("new")
			_, older, _ := m.side("old")
			settled = len(newer)+len(older) == 1
			select {
			case <-deadline:
				m.t.Fatalf("sessions: new %v, old %v", newer, older)
			case <-time.After(10 * time.Millisecond):
			}
		}
		if len(m.users) == 1 {
			if user, all, partial := m.side("new"); user != old.user || len(all) != 1 || !strings.Contains(partial, "does not tell") {
				m.t.Errorf("%s %v %q", user, all, partial)
			}
			return
		}
		user, all, partial := m.side("old")
		one, _ := all[0].(map[string]any)
		if user != old.user || one["address"] != "127.0.0.1" || partial != "" {
			m.t.Errorf("the old side: %s %v %q", user, all, partial)
		}
		if user, all, _ := m.side("new"); user != m.shown(2).user || len(all) != 0 {
			m.t.Errorf("the new side: %s %v", user, all)
		}
		if _, err := m.Do(engine.Read, "alternating-roles/app/sessions", `{"turn":1}`); !errs.Is(err, errs.Conflict) || engine.StatusOf(err) != 409 {
			m.t.Errorf("of another turn: %v", err)
		}
		m.acts(2, "close")
		m.must(session.Ping(m.t.Context()))
		m.acts(2, "retire old")
		if err := session.Ping(m.t.Context()); err == nil { // it logs in anew if its session has ended
			m.t.Error("the old session goes on after retiring")
		}
	})
}

// terminate_sessions=false leaves the sessions of a user who stays.
func TestRetireKeepsSessions(t *testing.T) {
	m := newTurning(t, shapes["PostgreSQL, there"])
	m.acts(1, "stage", "publish new", "close", "retire old")
	old := m.shown(1)
	session := m.open(old.user, old.password)
	m.must(session.Ping(t.Context()))
	m.acts(2, "stage", "publish new", "close")
	if _, err := m.Do(engine.Update, "alternating-roles/app/retire", object("turn", 2, "side", "old", "holder", holder, "terminate_sessions", false)); err != nil {
		t.Fatal(err)
	}
	m.must(session.Ping(t.Context()))
	m.refused("the old one", old)
}

// A vault's user who may make roles, and nothing else, turns them; what it does
// not see is said.
func TestTurnsOfACreator(t *testing.T) {
	for _, name := range []string{"PostgreSQL, made", "PostgreSQL, there"} {
		t.Run(name, func(t *testing.T) {
			m := newTurning(t, shapes[name])
			m.user("creator", "creator-pw")
			m.sql(`ALTER ROLE creator CREATEROLE`)
			if shapes[name].create == "" { // who makes a role may do so by itself
				m.sql(`GRANT turn_a, turn_b TO creator WITH ADMIN OPTION`)
			}
			m.ok(engine.Update, "config/db", object("username", "creator", "password", "creator-pw"))
			m.acts(1, "stage", "publish new", "close", "retire old")
			old := m.shown(1)
			session := m.open(old.user, old.password)
			m.must(session.Ping(t.Context()))
			m.acts(2, "stage", "publish new", "close", "reopen")
			_, all, partial := m.side("old")
			if len(all) == 0 || !strings.Contains(partial, "pg_read_all_stats") || strings.Contains(partial, "insufficient") {
				t.Errorf("sessions: %v, %q", all, partial)
			}
			m.acts(2, "close", "retire old")
			if err := session.Ping(t.Context()); err == nil {
				t.Error("the old session goes on")
			}
			m.refused("the old one", old)
			m.works("the new one", m.shown(2))
		})
	}
}

// The holder is noted by the first stage, and another one is let in by a write.
func TestHolderIsHandedOver(t *testing.T) {
	m := newTurning(t, shapes["PostgreSQL, made"])
	m.acts(1, "stage", "publish new", "close", "retire old")
	other := func() error {
		_, err := m.Do(engine.Update, "alternating-roles/app/stage", object("turn", 2, "holder", "apps/other"))
		return err
	}
	if err := other(); !errs.Is(err, errs.Conflict) || engine.StatusOf(err) != 409 || !strings.Contains(err.Error(), holder) {
		t.Errorf("another holder: %v", err)
	}
	m.ok(engine.Update, "alternating-roles/app", object("holder", ""))
	m.must(other())
	if got := m.state()["holder"]; got != "apps/other" {
		t.Errorf("the holder is %v", got)
	}
	if err := m.act("publish", 2, "new"); !errs.Is(err, errs.Conflict) {
		t.Errorf("the holder of before: %v", err)
	}
}

// What changes is announced, and what does not is not.
func TestTurnEvents(t *testing.T) {
	m := newTurning(t, shapes["PostgreSQL, made"])
	m.Events()
	m.acts(1, "stage", "stage", "publish new", "publish new", "close", "retire old", "retire old")
	var got []string
	for _, e := range m.Events() {
		got = append(got, e.Type+" "+e.Metadata["data_path"])
	}
	want := "database/alternating-stage , database/alternating-publish alternating-creds/app, database/alternating-retire "
	if strings.Join(got, ", ") != want {
		t.Errorf("events: %q", got)
	}
}

// A password that is set by a policy, and statements that set it.
func TestTurnSettings(t *testing.T) {
	m := newTurning(t, shapes["PostgreSQL, there"], "rotation_statements", `ALTER ROLE "{{name}}" PASSWORD '{{password}}' CONNECTION LIMIT 7`, "credential_config", map[string]any{"password_policy": "strict"})
	m.acts(1, "stage", "publish new")
	if limit := m.sql(`SELECT rolconnlimit FROM pg_roles WHERE rolname = 'turn_a'`); limit != "7" {
		t.Errorf("the connection limit is %s: rotation_statements did not run", limit)
	}
	got := m.ok(engine.Read, "alternating-roles/app", "")
	if got["overlap"] != "users" || got["holder"] != holder || got["credential_config"].(map[string]any)["password_policy"] != "strict" || len(got["usernames"].([]any)) != 2 {
		t.Errorf("the role: %v", got)
	}
}

// Users who may do everything are not turned, by whatever they may, and are left as
// they were.
func TestRootIsNotTurned(t *testing.T) {
	for name, root := range map[string]struct {
		shape string
		grant []string
	}{
		"superuser":                 {"PostgreSQL, there", []string{`ALTER ROLE turn_b SUPERUSER`}},
		"who can become one":        {"PostgreSQL, there", []string{`CREATE ROLE "root of all" SUPERUSER`, `GRANT "root of all" TO turn_b`}},
		"SUPER":                     {"MariaDB, there", []string{`GRANT SUPER ON *.* TO 'turn_b'@'%'`}},
		"who can give it to others": {"MariaDB, there", []string{`GRANT CREATE USER ON *.* TO 'turn_b'@'%' WITH GRANT OPTION`}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newTurning(t, shapes[root.shape])
			admin := m.admin()
			t.Cleanup(func() {
				_ = admin.Delete(context.Background(), account("root of all", "", `DROP ROLE IF EXISTS "{{name}}"`))
			})
			m.must(admin.Update(t.Context(), account("turn_b", "", root.grant...)))
			err := m.act("stage", 1, "")
			if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `the user "turn_b" may do everything`) || !strings.Contains(err.Error(), "static role") {
				t.Errorf("staging: %v", err)
			}
			m.must(m.act("retire", 1, "new"))
			m.must(admin.(driver.Gatekeeper).Unlock(t.Context(), "turn_a"))
			m.works("who was not touched", cred{"turn_a", "by-hand"})
		})
	}
}

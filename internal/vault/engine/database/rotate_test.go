package database_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// user makes a user in the database by hand, and removes it at the end.
func (m *mount) user(name, password string) {
	m.t.Helper()
	m.sql(fmt.Sprintf(`DROP ROLE IF EXISTS %q`, name))
	m.sql(fmt.Sprintf(`CREATE ROLE %q LOGIN PASSWORD '%s'`, name, password))
}

// current asks for a static role's password, which must work.
func (m *mount) current(role, username string) string {
	m.t.Helper()
	got := m.ok(engine.Read, "static-creds/"+role, "")
	password, _ := got["password"].(string)
	if got["username"] != username || password == "" {
		m.t.Fatalf("static-creds: %v", got["username"])
	}
	if err := login(m.pg, username, password); err != nil {
		m.t.Fatalf("the password that static-creds gives does not work: %v", err)
	}
	return password
}

// work has the engine do what is due, and returns when it wants to be called next.
func (m *mount) work() time.Time {
	m.t.Helper()
	next, err := m.Work()
	if err != nil {
		m.t.Fatal(err)
	}
	return next
}

// §2.7: static roles by period.
func TestStaticRoleByPeriod(t *testing.T) {
	m := pgMount(t)
	m.user("app", "by-hand")
	m.ok(engine.Update, "static-roles/app", object("db_name", "pg", "username", "app", "rotation_period", "1h"))
	first := m.current("app", "app")
	if err := login(m.pg, "app", "by-hand"); err == nil {
		t.Error("the password from before the role still works")
	}
	made := m.Now()
	m.Advance(20*time.Minute + time.Second/2)
	got := m.ok(engine.Read, "static-creds/app", "")
	if got["ttl"] != 2400.0 || got["rotation_period"] != 3600.0 || got["last_vault_rotation"] != made.UTC().Format(time.RFC3339Nano) {
		t.Errorf("static-creds: ttl %v, period %v, last %v", got["ttl"], got["rotation_period"], got["last_vault_rotation"])
	}
	if next := m.work(); next.After(made.Add(time.Hour)) || next.Before(made.Add(59*time.Minute)) {
		t.Errorf("Work wants to be called at %v, made at %v", next, made)
	}
	if m.current("app", "app") != first {
		t.Error("the password changed before its time")
	}
	m.Advance(41 * time.Minute)
	m.work()
	second := m.current("app", "app")
	if second == first {
		t.Error("the password did not change on time")
	}
	m.ok(engine.Update, "rotate-role/app", "")
	if third := m.current("app", "app"); third == second {
		t.Error("rotate-role changed nothing")
	}
	if got := m.ok(engine.Read, "static-creds/app", "")["ttl"]; got != 3600.0 {
		t.Errorf("after rotate-role the ttl is %v", got)
	}
	m.ok(engine.Delete, "static-roles/app", "")
	for key := range m.Stored(t) {
		if strings.HasPrefix(key, "due/") || strings.HasPrefix(key, "static/") {
			t.Errorf("%s is left", key)
		}
	}
	if !m.exists("app") {
		t.Error("the user is gone with the role")
	}
}

// openbao#3637: schedules, with a window.
func TestStaticRoleBySchedule(t *testing.T) {
	m := pgMount(t)
	m.user("weekly", "by-hand")
	m.ok(engine.Update, "static-roles/weekly", object("db_name", "pg", "username", "weekly", "rotation_schedule", "30 3 * * SAT", "rotation_window", "2h"))
	first := m.current("weekly", "weekly")
	got := m.ok(engine.Read, "static-roles/weekly", "")
	next, err := time.Parse(time.RFC3339, got["next_vault_rotation"].(string))
	if err != nil || next.Weekday() != time.Saturday || next.Hour() != 3 || next.Minute() != 30 || got["rotation_window"] != 7200.0 {
		t.Fatalf("static-roles: %v", got)
	}
	if _, has := got["rotation_period"]; has {
		t.Error("a scheduled role shows a period")
	}
	m.Advance(next.Sub(m.Now()) + time.Second)
	m.pg.Kill(t)
	m.work()
	m.pg.Start(t)
	m.Advance(3 * time.Hour) // the window has passed
	m.work()
	if m.current("weekly", "weekly") != first {
		t.Error("the password changed outside of its window")
	}
	m.Advance(7*24*time.Hour - 3*time.Hour)
	m.work()
	if m.current("weekly", "weekly") == first {
		t.Error("the password did not change in the next window")
	}
}

// A crash between any two steps loses neither password: there is always one
// that static-creds gives and that works, and Work brings the change to its end.
func TestCrashDuringStaticRotation(t *testing.T) {
	for i, c := range []struct {
		point string
		skip  int
	}{
		{"before update", 0}, // between steps 1 and 2
		{"after update", 0},  // between steps 2 and 3
		{"before ping", 1},   // as above, at the login; the first ping is the one before step 1
		{"after ping", 1},    // between steps 3 and 4
	} {
		for _, by := range []string{"rotate-role", "work"} {
			t.Run(by+" "+c.point, func(t *testing.T) {
				m := pgMount(t)
				name := fmt.Sprintf("crash%d", i)
				m.user(name, "by-hand")
				m.ok(engine.Update, "static-roles/app", object("db_name", "pg", "username", name, "rotation_period", "24h"))
				first := m.current("app", name)
				m.faults.crashAt(c.point, c.skip)
				if by == "work" {
					m.Advance(25 * time.Hour)
					m.Work()
				} else if _, err := m.Do(engine.Update, "rotate-role/app", ""); !errs.Is(err, errs.Unavailable) {
					t.Errorf("rotate-role: %v", err)
				}
				if !m.faults.restart() {
					t.Fatal("there was no crash")
				}
				m.current("app", name)
				m.Advance(2 * time.Minute)
				m.work()
				second := m.current("app", name)
				if second == first {
					t.Error("the change was not brought to its end")
				}
				got := m.ok(engine.Read, "static-roles/app", "")
				if got["rotation_pending"] != nil || got["last_error"] != nil {
					t.Errorf("after the change: %v", got)
				}
				m.Advance(2 * time.Hour)
				m.work()
				if m.current("app", name) != second {
					t.Error("the password changed twice")
				}
			})
		}
	}
}

// The same for the user the vault itself logs in as: the vault must not lock
// itself out.
func TestCrashDuringRootRotation(t *testing.T) {
	for i, c := range []struct {
		point string
		skip  int
	}{{"before update", 0}, {"after update", 0}, {"before ping", 1}, {"after ping", 1}} {
		t.Run(c.point, func(t *testing.T) {
			m := pgMount(t)
			name := fmt.Sprintf("root%d", i)
			m.user(name, "first-root")
			m.sql(fmt.Sprintf("ALTER ROLE %q SUPERUSER", name))
			m.ok(engine.Update, "config/pg", object("username", name, "password", "first-root"))
			m.faults.crashAt(c.point, c.skip)
			if _, err := m.Do(engine.Update, "rotate-root/pg", ""); !errs.Is(err, errs.Unavailable) {
				t.Errorf("rotate-root: %v", err)
			}
			if !m.faults.restart() {
				t.Fatal("there was no crash")
			}
			m.ok(engine.Update, "reset/pg", "")
			if _, _, lease := m.creds("readonly"); m.Revoke(lease) != nil {
				t.Error("revoking while the vault's own password changes")
			}
			m.Advance(2 * time.Minute)
			m.work()
			m.ok(engine.Update, "reset/pg", "")
			username, password, lease := m.creds("readonly")
			if err := login(m.pg, username, password); err != nil {
				t.Error(err)
			}
			if err := m.Revoke(lease); err != nil {
				t.Error(err)
			}
			if err := login(m.pg, name, "first-root"); err == nil {
				t.Error("the first password still works: the change was not brought to its end")
			}
		})
	}
}

// Root rotation on a schedule (hashicorp/vault#7143), and switched off.
func TestRootRotationOnSchedule(t *testing.T) {
	m := pgMount(t)
	m.user("timed", "first-root")
	m.sql(`ALTER ROLE timed SUPERUSER`)
	m.ok(engine.Update, "config/pg", object("username", "timed", "password", "first-root", "rotation_period", "24h"))
	m.Advance(25 * time.Hour)
	m.ok(engine.Update, "config/pg", object("disable_automated_rotation", true))
	m.work()
	if err := login(m.pg, "timed", "first-root"); err != nil {
		t.Fatalf("it rotated although it was switched off: %v", err)
	}
	m.ok(engine.Update, "config/pg", object("disable_automated_rotation", false))
	m.Advance(25 * time.Hour)
	m.work()
	if err := login(m.pg, "timed", "first-root"); err == nil {
		t.Error("the password did not change on time")
	}
	if _, _, lease := m.creds("readonly"); m.Revoke(lease) != nil {
		t.Error("revoking after the rotation")
	}
	if got := m.ok(engine.Read, "config/pg", ""); got["last_vault_rotation"] == nil || got["rotation_period"] != 86400.0 {
		t.Errorf("config: %v", got)
	}
}

// The database down at rotation: the old password is served at once, the state
// is visible, the pauses grow, and it is caught up with later.
func TestRotationWhileTheDatabaseIsDown(t *testing.T) {
	m := pgMount(t)
	for _, name := range []string{"down1", "down2", "down3"} {
		m.user(name, "by-hand")
		m.ok(engine.Update, "static-roles/"+name, object("db_name", "pg", "username", name, "rotation_period", "1h"))
	}
	first := m.current("down1", "down1")
	m.pg.Kill(t)
	m.Advance(61 * time.Minute)
	m.faults.took()
	for _, pause := range []time.Duration{5, 10, 20, 40} {
		before := m.Now()
		next := m.work()
		if got := next.Sub(before); got > pause*time.Second {
			t.Errorf("the next try is after %v, want %v", got, pause*time.Second)
		}
		m.Advance(pause * time.Second)
	}
	asked := strings.Join(m.faults.took(), " ")
	if n := strings.Count(asked, "before ping"); n != 4 {
		t.Errorf("a database that is down was asked %d times in 4 rounds of 3 roles", n)
	}
	if got := m.ok(engine.Read, "static-creds/down1", "")["password"]; got != first {
		t.Error("the old password is not served")
	}
	if asked := m.faults.took(); len(asked) != 0 {
		t.Errorf("serving the old password waited for the database: %q", asked)
	}
	got := m.ok(engine.Read, "static-roles/down1", "")
	if got["failures"] != 4.0 || !strings.Contains(fmt.Sprint(got["last_error"]), "cannot be reached") || got["next_attempt"] == nil {
		t.Errorf("static-roles: %v", got)
	}
	m.pg.Start(t)
	m.Advance(time.Minute)
	m.work()
	if m.current("down1", "down1") == first {
		t.Error("the change was not caught up with")
	}
	if got := m.ok(engine.Read, "static-roles/down1", ""); got["last_error"] != nil {
		t.Errorf("the error stayed: %v", got)
	}
}

// A new static role whose user cannot be taken over is not made.
func TestStaticRoleThatCannotBe(t *testing.T) {
	m := pgMount(t)
	body := object("db_name", "pg", "username", "not-there", "rotation_period", "1h")
	_, err := m.Do(engine.Update, "static-roles/gone", body)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "is not made") || !strings.Contains(err.Error(), `role "not-there" does not exist`) {
		t.Errorf("a user who is not there: %v", err)
	}
	m.pg.Kill(t)
	_, err = m.Do(engine.Update, "static-roles/gone", body)
	m.pg.Start(t)
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("a database that is down: %v", err)
	}
	for key := range m.Stored(t) {
		if strings.HasPrefix(key, "static/") || strings.HasPrefix(key, "due/") {
			t.Errorf("%s is stored", key)
		}
	}
}

func TestSkippedImportAndSelfManaged(t *testing.T) {
	m := pgMount(t)
	m.user("imported", "by-hand")
	m.ok(engine.Update, "static-roles/imported", object("db_name", "pg", "username", "imported", "rotation_period", "1h", "skip_import_rotation", true, "password", "by-hand"))
	if got := m.current("imported", "imported"); got != "by-hand" {
		t.Error("the import was not skipped")
	}
	m.user("self", "by-hand")
	m.ok(engine.Update, "static-roles/self", object("db_name", "pg", "username", "self", "rotation_period", "1h", "self_managed_password", "by-hand"))
	first := m.current("self", "self")
	// A session is over for its client before it is for the server.
	left := "?"
	for deadline := time.Now().Add(2 * time.Minute); left != "0" && time.Now().Before(deadline); {
		left = m.sql(`SELECT count(*) FROM pg_stat_activity, pg_sleep(0.02) WHERE usename = 'self'`)
	}
	if left != "0" {
		t.Errorf("%s sessions of the user are left", left)
	}
	m.Advance(61 * time.Minute)
	m.work()
	if m.current("self", "self") == first || m.current("imported", "imported") == "by-hand" {
		t.Error("no change on time")
	}
}

// The clock leaps ahead by years and back: one change, and no more.
func TestClockJumps(t *testing.T) {
	m := pgMount(t)
	m.user("leap", "by-hand")
	m.ok(engine.Update, "static-roles/leap", object("db_name", "pg", "username", "leap", "rotation_period", "1h"))
	first := m.current("leap", "leap")
	m.Advance(3 * 365 * 24 * time.Hour)
	m.work()
	second := m.current("leap", "leap")
	m.work()
	if second == first || m.current("leap", "leap") != second {
		t.Error("a leap ahead must change the password once")
	}
	m.Advance(-3 * 365 * 24 * time.Hour)
	m.work()
	if got := m.ok(engine.Read, "static-creds/leap", "")["ttl"]; m.current("leap", "leap") != second || got != 3600.0 {
		t.Errorf("after a leap back: ttl %v", got)
	}
}

func TestRefusedRotations(t *testing.T) {
	m := pgMount(t)
	m.user("app", "by-hand")
	for want, more := range map[string][]any{
		"only one of them":                 {"rotation_period", "1h", "rotation_schedule", "0 0 * * *"},
		"one of rotation_schedule":         {},
		"5 seconds or more":                {"rotation_period", "4s"},
		"five cron fields":                 {"rotation_schedule", "canary"},
		"never comes true":                 {"rotation_schedule", "0 0 30 2 *"},
		"3600 seconds or more":             {"rotation_schedule", "0 0 * * *", "rotation_window", "1m"},
		"invalid with use of rotation_per": {"rotation_period", "1h", "rotation_window", "1h"},
		"unsupported credential_type":      {"rotation_period", "1h", "credential_type", "rsa_private_key"},
		"is a required field":              {"rotation_period", "1h", "username", ""},
	} {
		_, err := m.Do(engine.Update, "static-roles/app", object(append([]any{"db_name", "pg", "username", "app"}, more...)...))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v: %v, want %q", more, err, want)
		}
	}
	for path, want := range map[string]string{"static-creds/none": "unknown role: none", "creds/none": "unknown role: none", "rotate-role/none": "no static role found"} {
		op := engine.Read
		if strings.HasPrefix(path, "rotate") {
			op = engine.Update
		}
		if _, err := m.Do(op, path, ""); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

package postgresql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/drivertest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

func TestSuite(t *testing.T) {
	drivertest.Run(t, drivertest.Suite{Type: Type(), Server: dbtest.PostgreSQL(t), Creation: []string{create}, Names: hostile})
}

// connect opens the test's server, with details as JSON.
func connect(t testing.TB, s *dbtest.Server, username, password, details string) driver.Database {
	t.Helper()
	body, err := engine.ParseBody([]byte(details))
	if err != nil {
		t.Fatal(err)
	}
	db, err := open(driver.Config{
		URL: s.URL("{{username}}", "{{password}}"), Username: username, Password: redact.FromString(password),
		Details: body, Pool: driver.Pool{MaxOpen: 4, MaxIdle: 4},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func admin(t testing.TB, s *dbtest.Server, details string) driver.Database {
	t.Helper()
	return connect(t, s, s.User, s.Password, details)
}

// query runs sql as the superuser, in a database, and returns the rows' first column.
func query(t testing.TB, s *dbtest.Server, database, sql string, args ...any) []string {
	t.Helper()
	conf, err := pgx.ParseConfig(s.URL("x", "x"))
	if err != nil {
		t.Fatal(err)
	}
	conf.User, conf.Password, conf.Database = s.User, s.Password, database
	conn, err := pgx.ConnectConfig(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if len(args) == 0 {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if !strings.HasPrefix(sql, "SELECT") {
			return nil
		}
	}
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var v any
		err := row.Scan(&v)
		return fmt.Sprint(v), err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func exists(t testing.TB, s *dbtest.Server, role string) bool {
	t.Helper()
	return len(query(t, s, "postgres", `SELECT 1 FROM pg_roles WHERE rolname = $1`, role)) > 0
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

const create = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';`

func account(name, password string, statements ...string) *driver.Account {
	return &driver.Account{
		Username: name, Password: redact.FromString(password),
		Expires: time.Now().Add(time.Hour), Statements: statements,
	}
}

// The names that people have tried: each must be made, log in and be removed,
// and nothing else must happen (CVE-2026-39946: revocation that does not quote).
var hostile = []string{
	`plain`, `with space`, `v-"quoted"-role`, `it's`, `back\slash`, `x"; DROP ROLE bystander; --`,
	`x'; DROP ROLE bystander; --`, `$$; DROP ROLE bystander; $$`, "new\nline", `Ünïcode`, `{{password}}`, `%s%d`, `a.b.c`, `"`, `"" --`,
}

// A server may read backslashes in strings as escapes: a value must not end its
// string there either (CVE-2026-39946).
func TestCVE202639946BackslashesAreNoEscapes(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	query(t, s, "postgres", `CREATE ROLE old_bystander`)
	query(t, s, "postgres", fmt.Sprintf(`ALTER ROLE %q SET standard_conforming_strings = off`, s.User))
	defer func() {
		query(t, s, "postgres", fmt.Sprintf(`ALTER ROLE %q RESET standard_conforming_strings`, s.User))
		query(t, s, "postgres", `DROP ROLE IF EXISTS old_bystander`)
	}()
	db := admin(t, s, "")
	const password = `\'; DROP ROLE old_bystander; --`
	for _, statements := range [][]string{{create}, {"SET LOCAL work_mem = '4MB'", create}} {
		if err := db.Create(within(t, 2*time.Minute), account("old_server", password, statements...)); err != nil {
			t.Fatal(err)
		}
		if !exists(t, s, "old_bystander") {
			t.Fatal("the password was run as a statement")
		}
		if err := connect(t, s, "old_server", password, "").Ping(within(t, 2*time.Minute)); err != nil {
			t.Errorf("the password is another: %v", err)
		}
		if err := db.Delete(within(t, 2*time.Minute), account("old_server", "")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCVE202639946RoleNamesAreQuoted(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db := admin(t, s, "")
	query(t, s, "postgres", `CREATE ROLE bystander`)
	query(t, s, "postgres", `CREATE SCHEMA "odd ""schema""; DROP ROLE bystander; --"`)
	query(t, s, "postgres", `CREATE TABLE "odd ""schema""; DROP ROLE bystander; --"."t'able" (c int)`)
	for _, name := range hostile {
		t.Run(name, func(t *testing.T) {
			ctx := within(t, 2*time.Minute)
			password := `p'a"s\s;$$ ` + name
			grant := `GRANT USAGE ON SCHEMA "odd ""schema""; DROP ROLE bystander; --" TO "{{name}}";
				GRANT SELECT ON ALL TABLES IN SCHEMA "odd ""schema""; DROP ROLE bystander; --" TO "{{name}}"`
			if err := db.Create(ctx, account(name, password, create, grant)); err != nil {
				t.Fatal(err)
			}
			if err := connect(t, s, name, password, "").Ping(ctx); err != nil {
				t.Errorf("the new user cannot log in: %v", err)
			}
			if err := db.Update(ctx, &driver.Account{Username: name, Expires: time.Now().Add(2 * time.Hour)}); err != nil {
				t.Errorf("renewing: %v", err)
			}
			if err := db.Update(ctx, &driver.Account{Username: name, Password: redact.FromString("o'ther")}); err != nil {
				t.Errorf("rotating: %v", err)
			}
			if err := connect(t, s, name, "o'ther", "").Ping(ctx); err != nil {
				t.Errorf("with the new password: %v", err)
			}
			for range 2 {
				if err := db.Delete(ctx, &driver.Account{Username: name}); err != nil {
					t.Fatal(err)
				}
			}
			if exists(t, s, name) || !exists(t, s, "bystander") {
				t.Error("the wrong role is gone")
			}
		})
	}
}

// Grants in every schema and database go, whoever gave them; data does not.
func TestDeleteRevokesEverywhere(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db := admin(t, s, "")
	ctx := within(t, 2*time.Minute)
	query(t, s, "postgres", `CREATE DATABASE "Other Base"`)
	for _, base := range []string{"postgres", "Other Base"} {
		query(t, s, base, `CREATE SCHEMA app; CREATE TABLE app.t (a int, b int); CREATE SEQUENCE app.s; CREATE FUNCTION app.f() RETURNS int LANGUAGE sql AS 'SELECT 1'`)
	}
	if err := db.Create(ctx, account("everywhere", "pw", create)); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"postgres", "Other Base"} {
		query(t, s, base, `GRANT USAGE ON SCHEMA app TO everywhere; GRANT SELECT (a), UPDATE (b) ON app.t TO everywhere; GRANT ALL ON app.s TO everywhere;
			GRANT EXECUTE ON FUNCTION app.f() TO everywhere; ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO everywhere;
			GRANT CONNECT, TEMPORARY ON DATABASE "Other Base" TO everywhere`)
	}
	if err := db.Delete(ctx, &driver.Account{Username: "everywhere"}); err != nil {
		t.Fatal(err)
	}
	if exists(t, s, "everywhere") {
		t.Error("the role is still there")
	}
	for _, base := range []string{"postgres", "Other Base"} {
		if got := query(t, s, base, `SELECT relname FROM pg_class WHERE relname IN ('t', 's') AND $1`, true); len(got) != 2 {
			t.Errorf("in %s only %v is left", base, got)
		}
	}
}

// What a user made is not thrown away, and the user cannot come back meanwhile.
func TestDeleteKeepsData(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db := admin(t, s, "")
	ctx := within(t, 2*time.Minute)
	query(t, s, "postgres", `CREATE SCHEMA work`)
	if err := db.Create(ctx, account("owner", "pw", create, `GRANT ALL ON SCHEMA work TO "{{name}}"`)); err != nil {
		t.Fatal(err)
	}
	query(t, s, "postgres", `CREATE TABLE work.precious (a int); ALTER TABLE work.precious OWNER TO owner`)
	err := db.Delete(ctx, &driver.Account{Username: "owner"})
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "table work.precious") || !strings.Contains(err.Error(), "REASSIGN OWNED") {
		t.Errorf("an owner: %v", err)
	}
	if err := connect(t, s, "owner", "pw", "").Ping(ctx); err == nil {
		t.Error("a revoked user who owns a table can still log in")
	}
	own := `REASSIGN OWNED BY "{{name}}" TO admin; DROP OWNED BY "{{name}}"; DROP ROLE IF EXISTS "{{name}}"`
	if err := db.Delete(ctx, &driver.Account{Username: "owner", Statements: []string{own}}); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s, "postgres", `SELECT tableowner FROM pg_tables WHERE tablename = $1`, "precious"); len(got) != 1 || got[0] != "admin" || exists(t, s, "owner") {
		t.Errorf("the table belongs to %v", got)
	}
}

func TestDeleteEndsSessions(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	for details, ended := range map[string]bool{"": true, `{"terminate_sessions":false}`: false} {
		ctx := within(t, 2*time.Minute)
		db := admin(t, s, details)
		if err := db.Create(ctx, account("sitting", "pw", create)); err != nil {
			t.Fatal(err)
		}
		conf, err := pgx.ParseConfig(s.URL("sitting", "pw"))
		if err != nil {
			t.Fatal(err)
		}
		session, err := pgx.ConnectConfig(ctx, conf)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Delete(ctx, &driver.Account{Username: "sitting"}); err != nil {
			t.Fatal(err)
		}
		if err := session.Ping(ctx); (err != nil) != ended {
			t.Errorf("with %q the session: %v", details, err)
		}
		session.Close(ctx)
	}
}

// A vault need not be superuser: CREATEROLE is enough.
func TestWithoutSuperuser(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	ctx := within(t, 2*time.Minute)
	query(t, s, "postgres", `CREATE ROLE modest LOGIN CREATEROLE PASSWORD 'pw'; CREATE TABLE public.shared (a int); GRANT SELECT ON public.shared TO modest WITH GRANT OPTION`)
	db := connect(t, s, "modest", "pw", "")
	if err := db.Create(ctx, account("temp", "pw", create, `GRANT SELECT ON public.shared TO "{{name}}"`)); err != nil {
		t.Fatal(err)
	}
	if err := db.Delete(ctx, &driver.Account{Username: "temp"}); err != nil {
		t.Fatal(err)
	}
	if exists(t, s, "temp") {
		t.Error("the role is still there")
	}
}

func TestCreateIsAllOrNothing(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db := admin(t, s, "")
	ctx := within(t, 2*time.Minute)
	const canary = "canary-pw-7c2"
	for name, second := range map[string]string{
		"no such table":     `GRANT SELECT ON nowhere TO "{{name}}"`,
		"syntax":            `GRANT '{{password}}' nonsense`,
		"password unquoted": `SELECT {{password}}x`,
		"commit":            `ROLLBACK`,
		"raises it":         `DO $$ BEGIN RAISE EXCEPTION 'it is {{password}}'; END $$`,
	} {
		err := db.Create(ctx, account("half", canary, create, second))
		if !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error holds the password: %v", name, err)
		}
		if exists(t, s, "half") {
			t.Fatalf("%s: half a user is left", name)
		}
	}
	if err := db.Create(ctx, account("half", "pw")); !errs.Is(err, errs.Invalid) {
		t.Errorf("without statements: %v", err)
	}
}

// One hundred at once who all grant on one table: none may fail.
func TestConcurrentGrants(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db := admin(t, s, "")
	query(t, s, "postgres", `CREATE SCHEMA crowd; CREATE TABLE crowd.t (a int)`)
	var wait sync.WaitGroup
	for i := range 100 {
		wait.Go(func() {
			ctx := within(t, time.Minute)
			name := fmt.Sprintf("crowd-%d", i)
			if err := db.Create(ctx, account(name, "pw", create+`GRANT USAGE ON SCHEMA crowd TO "{{name}}"; GRANT SELECT ON ALL TABLES IN SCHEMA crowd TO "{{name}}"`)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if err := db.Delete(ctx, &driver.Account{Username: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wait.Wait()
}

// In a batch each has its own fate: those that fail take nobody with them, and
// one that the transaction must not be shared with is not in it.
func TestBatchesKeepFatesApart(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db := admin(t, s, "")
	db.(*database).serial.Store(time.Now().Add(time.Minute).UnixNano())
	scripts := map[string]string{
		"good": create, "refused": create + `; GRANT nobody_here TO "{{name}}"`, "syntax": create + `; GRANT GRANT`,
		"commits": create + `; COMMIT; BEGIN`, "rolls-back": create + `; ROLLBACK`, "selects": create + `; SELECT 1/0`,
	}
	var wait sync.WaitGroup
	for what, script := range scripts {
		for i := range 12 {
			wait.Go(func() {
				name := fmt.Sprintf("fate-%s-%d", what, i)
				err := db.Create(within(t, time.Minute), account(name, "pw", script))
				if good := what == "good" || what == "commits"; good != (err == nil) || !good && !errs.Is(err, errs.Invalid) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	wait.Wait()
	for what := range scripts {
		want := what == "good" || what == "commits"
		for i := range 12 {
			name := fmt.Sprintf("fate-%s-%d", what, i)
			if exists(t, s, name) != want {
				t.Errorf("%s is there: %v", name, !want)
			}
			if err := db.Delete(within(t, time.Minute), &driver.Account{Username: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Who gives up while waiting holds up nobody, though it was its turn to lead.
func TestLeavingABatch(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db := admin(t, s, "")
	d := db.(*database)
	d.serial.Store(time.Now().Add(time.Minute).UnixNano())
	var wait sync.WaitGroup
	for i := range 60 {
		wait.Go(func() {
			name := fmt.Sprintf("leaver-%d", i)
			ctx := within(t, time.Minute)
			if i%3 == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*time.Millisecond/4)
				defer cancel()
			}
			err := db.Create(ctx, account(name, "pw", create))
			if err != nil && (i%3 != 0 || !errs.Is(err, errs.Unavailable)) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	wait.Wait()
	for i := range 60 {
		if err := db.Delete(within(t, time.Minute), &driver.Account{Username: fmt.Sprintf("leaver-%d", i)}); err != nil {
			t.Error(err)
		}
	}
	if len(d.queue) != 0 || d.leading {
		t.Errorf("%d are left in the queue, leading %v", len(d.queue), d.leading)
	}
}

// With SCRAM neither the server's log nor its tables see a password.
func TestScramKeepsPasswordsFromTheServer(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	ctx := within(t, 2*time.Minute)
	db := admin(t, s, `{"password_authentication":"scram-sha-256"}`)
	first, second := "canary-scram-first", "canary-scram-second"
	if err := db.Create(ctx, account("scrammed", first, create)); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, s, "scrammed", first, "").Ping(ctx); err != nil {
		t.Errorf("logging in: %v", err)
	}
	if err := db.Update(ctx, &driver.Account{Username: "scrammed", Password: redact.FromString(second)}); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, s, "scrammed", second, "").Ping(ctx); err != nil {
		t.Errorf("logging in: %v", err)
	}
	if log := s.Log(t); strings.Contains(log, "canary-scram") || !strings.Contains(log, "SCRAM-SHA-256$4096:") {
		t.Error("the server's log holds a password, or no verifier")
	}
	if err := db.Create(ctx, account("scrammed2", "pässword", create)); !errs.Is(err, errs.Invalid) {
		t.Errorf("a password beyond ASCII: %v", err)
	}
	if err := db.Delete(ctx, &driver.Account{Username: "scrammed"}); err != nil {
		t.Fatal(err)
	}
}

// RFC 7677 has no such vector: this is what PostgreSQL 15 stored for the password.
func TestScramIsWhatTheServerComputes(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	query(t, s, "postgres", `CREATE ROLE computed PASSWORD 'pen cil'`)
	stored := query(t, s, "postgres", `SELECT rolpassword FROM pg_authid WHERE rolname = $1`, "computed")[0]
	salt := strings.Split(strings.Split(stored, ":")[1], "$")[0]
	got, err := scramSHA256("pen cil", decode64(t, salt))
	if err != nil || got != stored {
		t.Errorf("we say %s, the server %s, %v", got, stored, err)
	}
}

func TestFailures(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	const canary = "canary/pw%41"
	wrong := connect(t, s, "nobody-here", canary, "").Ping(within(t, 2*time.Minute))
	if !errors.Is(wrong, driver.ErrPassword) || !errs.Is(wrong, errs.Invalid) {
		t.Errorf("a wrong password: %v", wrong)
	}
	db := admin(t, s, "")
	if err := db.Ping(within(t, 2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	s.Pause(t)
	slow := db.Create(within(t, 300*time.Millisecond), account("late", canary, create))
	s.Resume(t)
	s.Kill(t)
	dead := db.Create(within(t, 5*time.Second), account("late", canary, create))
	gone := connect(t, s, "x", canary, "").Ping(within(t, 5*time.Second))
	s.Start(t)
	for name, err := range map[string]error{"hanging": slow, "killed": dead, "refused": gone} {
		if !errs.Is(err, errs.Unavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "adm:n")) {
			t.Errorf("%s: the error holds a password: %v", name, err)
		}
	}
	if err := db.Create(within(t, 2*time.Minute), account("late", canary, create)); err != nil {
		t.Errorf("after all that: %v", err)
	}
	if err := db.Delete(within(t, 2*time.Minute), &driver.Account{Username: "late"}); err != nil {
		t.Error(err)
	}
}

// The server's own timeout is shorter than ours: what we gave up does not happen later.
func TestWhatTimedOutDoesNotHappen(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db := admin(t, s, "")
	err := db.Create(within(t, 500*time.Millisecond), account("sleeper", "pw", create, "SELECT pg_sleep(5)"))
	if !errs.Is(err, errs.Unavailable) {
		t.Errorf("%v", err)
	}
	if exists(t, s, "sleeper") {
		t.Error("the user was made although we were told otherwise")
	}
}

// Whether something may have been made decides whether it is removed.
func TestUnmade(t *testing.T) {
	pg := dbtest.PostgreSQL(t)
	db := admin(t, pg, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	const role = `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`
	for statements, want := range map[string]bool{
		"":                                      true,
		"CREATE NONSENSE":                       true,
		"CREATE ROLE '":                         true,
		role + "; GRANT nobody TO \"{{name}}\"": true,
		role + "; " + role:                      true,
		role + "; COMMIT; NONSENSE":             true,
		role + "; COMMIT; SELECT 1/0":           false,
		role + "; COMMIT":                       false,
		"SELECT 1/0":                            false, // a function may do what no transaction undoes
	} {
		a := &driver.Account{Username: "perhaps", Password: redact.FromString("pw")}
		if statements != "" {
			a.Statements = []string{statements}
		}
		err := db.Create(ctx, a)
		if err == nil || engine.IsUnmade(err) != want {
			t.Errorf("%q: %v, certain: %v", statements, err, !want)
		}
		if there := connect(t, pg, "perhaps", "pw", "").Ping(ctx) == nil; there && engine.IsUnmade(err) {
			t.Errorf("%q is said to have made nothing, and has", statements)
		}
		if err := db.Delete(ctx, &driver.Account{Username: "perhaps"}); err != nil {
			t.Error(err)
		}
	}
	a := &driver.Account{Username: "x", Password: redact.FromString("pw"), Statements: []string{role}}
	if err := connect(t, pg, "nobody-here", "wrong", "").Create(ctx, a); !engine.IsUnmade(err) {
		t.Errorf("a login that is refused: %v", err)
	}
}

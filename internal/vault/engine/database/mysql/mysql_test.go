package mysql

import (
	"context"
	"database/sql"
	"os"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-sql-driver/mysql"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/drivertest"
)

func TestMain(m *testing.M) { os.Exit(dbtest.Main(m)) }

const create = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON *.* TO '{{name}}'@'%'"

func suite(t *testing.T) drivertest.Suite {
	return drivertest.Suite{
		Type: Type(), Server: dbtest.MariaDB(t), Creation: []string{create},
		Names: []string{"v-quoted'-role", `x'; DROP USER admin; -- `, `back\slash`, `end\`, `"double"`, "`tick`", "Ünïcode", "with space", "#hash", "50%"},
	}
}

func TestSuite(t *testing.T) { drivertest.Run(t, suite(t)) }

func connect(t *testing.T, s *dbtest.Server, username, password string) *sql.Conn {
	t.Helper()
	conf, err := gomysql.ParseDSN(s.URL("x", "x"))
	if err != nil {
		t.Fatal(err)
	}
	conf.User, conf.Passwd = username, password
	connector, err := gomysql.NewConnector(conf)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// A session outlives its user in MariaDB, with all rights.
func TestDeleteEndsSessions(t *testing.T) {
	s := suite(t)
	db := s.Admin(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, statements := range [][]string{nil, {"DROP USER '{{name}}'@'%'"}} {
		if err := db.Create(ctx, &driver.Account{Username: "sitting", Password: redact.FromString("pw"), Statements: s.Creation}); err != nil {
			t.Fatal(err)
		}
		session := connect(t, s.Server, "sitting", "pw")
		if err := db.Delete(ctx, &driver.Account{Username: "sitting", Statements: statements}); err != nil {
			t.Fatal(err)
		}
		if _, err := session.ExecContext(ctx, "SELECT 1"); err == nil {
			t.Error("the session goes on")
		}
	}
}

// A user may be known from several hosts, none of them "%".
func TestUsersOfHosts(t *testing.T) {
	s := suite(t)
	db := s.Admin(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	make := []string{"CREATE USER '{{name}}'@'127.0.0.1' IDENTIFIED BY '{{password}}'; CREATE USER '{{name}}'@'10.%' IDENTIFIED BY '{{password}}'"}
	if err := db.Create(ctx, &driver.Account{Username: "hosted", Password: redact.FromString("pw"), Statements: make}); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(ctx, &driver.Account{Username: "hosted", Password: redact.FromString("pw2")}); err != nil {
		t.Fatal(err)
	}
	if err := s.Login(t, "hosted", "pw2"); err != nil {
		t.Error(err)
	}
	if err := db.Delete(ctx, &driver.Account{Username: "hosted"}); err != nil {
		t.Fatal(err)
	}
	admin := connect(t, s.Server, s.Server.User, s.Server.Password)
	var left int
	if err := admin.QueryRowContext(ctx, "SELECT COUNT(*) FROM mysql.user WHERE User = 'hosted'").Scan(&left); err != nil || left != 0 {
		t.Errorf("%d users are left, %v", left, err)
	}
}

func TestParse(t *testing.T) {
	got, err := parse(driver.Config{URL: "{{username}}:{{password}}@tcp(db:3306)/app?allowAllFiles=true&multiStatements=true", Username: "a@b", Password: redact.FromString("p@ss:/w")})
	if err != nil {
		t.Fatal(err)
	}
	if got.User != "a@b" || got.Passwd != "p@ss:/w" || got.Addr != "db:3306" || got.AllowAllFiles || got.MultiStatements {
		t.Errorf("user %q, address %q, files %v, statements %v", got.User, got.Addr, got.AllowAllFiles, got.MultiStatements)
	}
	for _, url := range []string{"", "u:canary@db", "u:canary@tcp(db:1)/x?tls=canary"} {
		_, err := parse(driver.Config{URL: url})
		if !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// What waits for a lock is given up by the server before we give up: it must not
// be done later, behind the back of who was told that it was not.
func TestWhatIsGivenUpIsNotDoneLater(t *testing.T) {
	s := suite(t)
	db := s.Admin(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := db.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	admin := connect(t, s.Server, s.Server.User, s.Server.Password)
	exec := func(query string) {
		t.Helper()
		if _, err := admin.ExecContext(ctx, query); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	exec("FLUSH TABLES WITH READ LOCK")
	// The server's word is on its way for as long as it is: with more time there
	// is more between its limit and ours.
	for _, limit := range []time.Duration{2 * time.Second, time.Minute} {
		short, end := context.WithTimeout(t.Context(), limit)
		err := db.Create(short, &driver.Account{Username: "belated", Password: redact.FromString("pw"), Statements: s.Creation})
		late := short.Err() != nil
		end()
		if late && limit < time.Minute {
			continue
		}
		if !errs.Is(err, errs.Unavailable) || engine.IsUnmade(err) || late {
			t.Errorf("%v; the server is to say it before the deadline", err)
		}
		break
	}
	exec("UNLOCK TABLES")
	exec("CREATE USER after_it") // who waited before has had the lock by then
	exec("DROP USER after_it")
	var n int
	if err := admin.QueryRowContext(ctx, "SELECT COUNT(*) FROM mysql.user WHERE User = 'belated'").Scan(&n); err != nil || n != 0 {
		t.Errorf("the user was made later: %d, %v", n, err)
	}
}

// A server that hangs is waited for no longer than asked, and what it was not
// given is not done when it goes on.
func TestPausedServer(t *testing.T) {
	s := suite(t)
	db := s.Admin(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := db.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	s.Server.Pause(t)
	start := time.Now()
	short, end := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer end()
	err := db.Create(short, &driver.Account{Username: "belated", Password: redact.FromString("pw"), Statements: s.Creation})
	took := time.Since(start)
	s.Server.Resume(t)
	if !errs.Is(err, errs.Unavailable) || took > 30*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	if !engine.IsUnmade(err) {
		t.Errorf("the server was sent nothing but a limit of time: %v", err)
	}
	if err := s.Login(t, "belated", "pw"); !errs.Is(err, errs.Invalid) {
		t.Errorf("the user was made later: %v", err)
	}
}

// Whether something may have been made decides whether it is removed.
func TestUnmade(t *testing.T) {
	s := suite(t)
	db := s.Admin(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	made := func(name string) *driver.Account {
		return &driver.Account{Username: name, Password: redact.FromString("pw"), Statements: s.Creation}
	}
	for statements, want := range map[string]bool{
		"CREATE NONSENSE":                true,
		"CREATE TABLE nowhere.t (a INT)": true,
		"CREATE USER '{{name}}":          true,
		"":                               true,
		create + "; NONSENSE":            false,
		"CALL nowhere.f()":               false,
		"CREATE USER '{{name}}', ''@'%%' , '{{name}}'": false,
	} {
		a := made("perhaps")
		a.Statements = []string{statements}
		if statements == "" {
			a.Statements = nil
		}
		err := db.Create(ctx, a)
		if err == nil || engine.IsUnmade(err) != want {
			t.Errorf("%q: %v, certain %v", statements, err, !want)
		}
		if err := db.Delete(ctx, &driver.Account{Username: a.Username}); err != nil {
			t.Error(err)
		}
	}
	if err := s.Open(t, "nobody-here", "wrong", "").Create(ctx, made("x")); !engine.IsUnmade(err) {
		t.Errorf("a login that is refused: %v", err)
	}
}

// Where a login goes is what Open would dial.
func TestWhere(t *testing.T) {
	for url, want := range map[string]driver.Where{
		"{{username}}:{{password}}@tcp(h:3306)/":        {Server: "tcp(h:3306)", Username: "vault"},
		"mysql://{{username}}:{{password}}@tcp(h)/db":   {Server: "tcp(h:3306)", Username: "vault"},
		"x:y@unix(/run/mysqld.sock)/":                   {Server: "unix(/run/mysqld.sock)", Username: "vault"},
		"{{username}}:x@tcp({{password}}.evil:3306)/db": {Server: "tcp(" + passwordMark + ".evil:3306)", Username: "vault"},
	} {
		if got, err := where(driver.Config{URL: url, Username: "vault", Password: redact.FromString("pw")}); err != nil || got != want {
			t.Errorf("%s: %v, %v", url, got, err)
		}
	}
	if got, err := where(driver.Config{URL: "x:y@tcp(h)/"}); err != nil || got.Username != "x" {
		t.Errorf("the URL's own user: %v, %v", got, err)
	}
	if _, err := where(driver.Config{}); !errs.Is(err, errs.Invalid) {
		t.Errorf("nowhere: %v", err)
	}
}

// Where the server does not show sessions of others, none is said to have ended,
// and who looks is told.
func TestSessionsNeedProcess(t *testing.T) {
	s := suite(t)
	admin := s.Admin(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	make := func(name string, more ...string) {
		t.Helper()
		a := &driver.Account{Username: name, Password: redact.FromString("pw"), Statements: append([]string{"CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'"}, more...)}
		if err := admin.Create(ctx, a); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = admin.Delete(context.Background(), &driver.Account{Username: name}) })
	}
	make("watched")
	make("o'creator", "GRANT CREATE USER, CONNECTION ADMIN ON *.* TO '{{name}}'@'%'")
	session := s.Open(t, "watched", "pw", "")
	if err := session.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	db := s.Open(t, "o'creator", "pw", "").(*database)
	if all, partial, err := db.Sessions(ctx, "watched"); err != nil || len(all) != 0 || !strings.Contains(partial, "GRANT PROCESS") {
		t.Errorf("sessions: %v, %q, %v", all, partial, err)
	}
	if err := db.EndSessions(ctx, "watched"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "GRANT PROCESS") {
		t.Errorf("ending sessions: %v", err)
	}
	if err := admin.Update(ctx, &driver.Account{Username: "o'creator", Statements: []string{"GRANT PROCESS ON *.* TO '{{name}}'@'%'"}}); err != nil {
		t.Fatal(err)
	}
	db = s.Open(t, "o'creator", "pw", "").(*database)
	if all, partial, err := db.Sessions(ctx, "watched"); err != nil || len(all) != 1 || partial != "" {
		t.Errorf("sessions with PROCESS: %v, %q, %v", all, partial, err)
	}
	for what, err := range map[string]error{"locking": db.Lock(ctx, "watched"), "ending": db.EndSessions(ctx, "watched")} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.7:4711": "10.0.0.7", "localhost": "localhost", "[::1]:99": "::1", "::1:99": "::1", "": "", "db-client:1": "db-client"} {
		if got := address(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

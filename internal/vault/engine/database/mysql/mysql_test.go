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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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

package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/internal/testenv/port"
)

// The password of the users who may do everything. It needs escaping in a URL.
const adminPassword = "adm:n/p@ss w%rd"

// PostgreSQL returns the PostgreSQL of this test binary. It logs every statement.
func PostgreSQL(t testing.TB) *Server {
	t.Helper()
	return all.get(t, "postgres", postgres("", loggedPostgres...))
}

// loggedPostgres logs every statement, and may lose some in a power cut.
var loggedPostgres = []string{"-c", "log_statement=all", "-c", "log_connections=on", "-c", "fsync=off"}

// Open runs a database, "postgres" or "mariadb", that listens on host too, where
// others than this machine reach it (Server.Outside), and takes logins with a
// password from anywhere. It needs no test: the caller calls Close at the end, or
// Main does. Only the first call for a kind says on which host. The error of a
// database that is not installed names its package.
func Open(kind, host string) (*Server, error) {
	start := map[string]func(string) (*Server, error){"postgres": postgres(host, loggedPostgres...), "mariadb": mariadb(host)}[kind]
	if start == nil {
		return nil, fmt.Errorf("there is no database %q: use postgres or mariadb", kind)
	}
	all.mu.Lock()
	defer all.mu.Unlock()
	kind += "@" + host
	if s := all.servers[kind]; s != nil {
		return s, s.start()
	}
	s, err := all.make(kind, start)
	if err == nil {
		all.servers[kind] = s
	}
	return s, err
}

// DurablePostgreSQL is PostgreSQL as it is in production, for a benchmark. The
// caller calls Close at the end.
func DurablePostgreSQL() (*Server, error) {
	all.mu.Lock()
	defer all.mu.Unlock()
	s, err := all.make("postgres", postgres(""))
	if err == nil {
		all.servers["postgres"] = s
	}
	return s, err
}

// Close ends all databases of this program, where it is no test that Main runs.
func Close() { all.close() }

// hosts is the loopback, and host unless it is empty.
func hosts(host string) string { return strings.TrimSuffix(port.Host()+","+host, ",") }

func postgres(host string, flags ...string) func(dir string) (*Server, error) {
	return func(dir string) (*Server, error) {
		server, err := program("postgresql", "/usr/lib/postgresql/*/bin/postgres")
		if err != nil {
			return nil, err
		}
		s := &Server{User: "admin", Password: adminPassword, path: server}
		if s.as, err = unprivileged(dir, "postgres"); err != nil {
			return nil, err
		}
		secret := filepath.Join(dir, "password")
		if err := os.WriteFile(secret, []byte(adminPassword+"\n"), 0o644); err != nil {
			return nil, err
		}
		data := filepath.Join(dir, "data")
		if err := run(dir, s.as, filepath.Join(filepath.Dir(server), "initdb"), "-D", data, "-U", s.User, "--pwfile="+secret,
			"-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"); err != nil {
			return nil, err
		}
		if err := letIn(filepath.Join(data, "pg_hba.conf"), host); err != nil {
			return nil, err
		}
		at, err := s.place(host)
		if err != nil {
			return nil, err
		}
		s.args = []string{"-D", data, "-p", at, "-k", "", "-c", "listen_addresses=" + hosts(host),
			"-c", "shared_buffers=16MB", "-c", "restart_after_crash=off"}
		s.args = append(s.args, flags...)
		s.ping = func(ctx context.Context) error {
			conf, err := pgx.ParseConfig(s.URL(s.User, "x"))
			if err != nil {
				return err
			}
			conf.Password = adminPassword
			conn, err := pgx.ConnectConfig(ctx, conf)
			if err != nil && !strings.Contains(err.Error(), "28P01") { // a test may have changed it
				return err
			}
			if conn != nil {
				return conn.Close(ctx)
			}
			return nil
		}
		return s, nil
	}
}

// letIn has PostgreSQL take passwords from everywhere, if it listens on host.
func letIn(rules, host string) error {
	if host == "" {
		return nil
	}
	f, err := os.OpenFile(rules, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("host all all 0.0.0.0/0 scram-sha-256\n")
	return errors.Join(err, f.Close())
}

// MariaDB returns the MariaDB of this test binary. It logs every statement.
func MariaDB(t testing.TB) *Server {
	t.Helper()
	return all.get(t, "mariadb", mariadb(""))
}

func mariadb(host string) func(dir string) (*Server, error) {
	return func(dir string) (*Server, error) {
		server, err := program("mariadb-server", "/usr/sbin/mariadbd")
		if err != nil {
			return nil, err
		}
		s := &Server{User: "admin", Password: adminPassword, path: server}
		if s.as, err = unprivileged(dir, "mysql"); err != nil {
			return nil, err
		}
		data := filepath.Join(dir, "data")
		if err := run(dir, s.as, "/usr/bin/mariadb-install-db", "--no-defaults", "--datadir="+data, "--skip-test-db", "--auth-root-authentication-method=normal"); err != nil {
			return nil, err
		}
		first := filepath.Join(dir, "first.sql")
		script := fmt.Sprintf("CREATE USER IF NOT EXISTS 'admin'@'%%' IDENTIFIED BY '%s';\nGRANT ALL PRIVILEGES ON *.* TO 'admin'@'%%' WITH GRANT OPTION;\n", adminPassword)
		if err := os.WriteFile(first, []byte(script), 0o644); err != nil {
			return nil, err
		}
		at, err := s.place(host)
		if err != nil {
			return nil, err
		}
		s.args = []string{"--no-defaults", "--datadir=" + data, "--socket=" + filepath.Join(dir, "sock"), "--pid-file=" + filepath.Join(dir, "pid"),
			"--port=" + at, "--bind-address=" + hosts(host), "--init-file=" + first, "--skip-name-resolve",
			"--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--general-log", "--general-log-file=" + filepath.Join(dir, "log")}
		s.ping = dial(s)
		return s, nil
	}
}

// Redis returns the Redis of this test binary.
func Redis(t testing.TB) *Server {
	t.Helper()
	return all.get(t, "redis", func(dir string) (*Server, error) {
		server, err := program("redis-server", "/usr/bin/redis-server", "/usr/bin/valkey-server")
		if err != nil {
			return nil, err
		}
		s := &Server{User: "default", Password: adminPassword, path: server}
		if s.as, err = unprivileged(dir, "redis"); err != nil {
			return nil, err
		}
		users := filepath.Join(dir, "users.acl")
		if err := os.WriteFile(users, []byte("user default on nopass ~* &* +@all\n"), 0o666); err != nil {
			return nil, err
		}
		if err := os.Chmod(users, 0o666); err != nil {
			return nil, err
		}
		at, err := s.place("")
		if err != nil {
			return nil, err
		}
		s.args = []string{"--port", at, "--bind", port.Host(), "--dir", dir, "--save", "", "--aclfile", users}
		s.ping = dial(s)
		return s, nil
	})
}

// dial returns a ping that is content when the server greets or accepts.
func dial(s *Server) func(context.Context) error {
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", s.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

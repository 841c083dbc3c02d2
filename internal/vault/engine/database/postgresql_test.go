package database_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/postgresql"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

// TestMain has this test binary be strongkeep, too, for the example.
func TestMain(m *testing.M) {
	testscript.Main(withDatabases{m}, map[string]func(){
		"strongkeep": func() { os.Exit(cli.Main(os.Args[1:], session.System())) },
	})
}

type withDatabases struct{ *testing.M }

func (w withDatabases) Run() int { return dbtest.Main(w.M) }

// The examples work as they stand.
func TestExamples(t *testing.T) {
	for script, says := range map[string]string{"database.sh": "database works", "alternating.sh": "alternating works"} {
		t.Run(script, func(t *testing.T) {
			pg := dbtest.PostgreSQL(t)
			v := testenv.Start(t, nil)
			cmd := exec.CommandContext(t.Context(), "sh", "../../../../examples/vault/"+script)
			cmd.Env = append(os.Environ(), "VAULT_ADDR="+v.Server.URL(), "VAULT_TOKEN="+v.Root, "VAULT_CACERT="+v.Server.CAFile(),
				"PGADDRESS="+pg.Address, "PGUSER="+pg.User, "PGPASSWORD="+pg.Password,
				"GORACE=atexit_sleep_ms=10") // a race build sleeps a second at the end of each command
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), says) {
				t.Errorf("%v\n%s", err, out)
			}
			if strings.Contains(pg.Log(t), "PASSWORD 'SCRAM") == false {
				t.Error("the example's passwords are not hashed")
			}
			(&mount{t: t, pg: pg}).sql(`DROP ROLE IF EXISTS orders_a, orders_b`)
		})
	}
}

// mount is the engine over a real database.
type mount struct {
	*enginetest.Harness
	t      *testing.T
	pg     *dbtest.Server
	faults *faults
}

const create = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'`

// pgMount mounts the engine and configures the connection "pg" and the role
// "readonly".
func pgMount(t *testing.T) *mount {
	t.Helper()
	pg := dbtest.PostgreSQL(t)
	f := &faults{}
	m := &mount{enginetest.New(t, database.New(f.wrap(postgresql.Type())), f.option), t, pg, f}
	m.Advance(time.Since(m.Now())) // the database has a clock of its own
	m.configure("")
	m.ok(engine.Update, "roles/readonly", object("db_name", "pg", "creation_statements", create, "default_ttl", "1h", "max_ttl", "2h"))
	return m
}

// configure writes config/pg; more is further members as JSON.
func (m *mount) configure(more string) {
	m.t.Helper()
	body := object("plugin_name", "postgresql-database-plugin", "connection_url", m.pg.URL("{{username}}", "{{password}}"),
		"username", m.pg.User, "password", m.pg.Password, "allowed_roles", "*")
	if more != "" {
		body = body[:len(body)-1] + "," + more + "}"
	}
	m.ok(engine.Update, "config/pg", body)
}

// object makes JSON of names and values in turn.
func object(pairs ...any) string {
	all := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = pairs[i+1]
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func (m *mount) ok(op engine.Operation, path, body string) map[string]any {
	m.t.Helper()
	res, err := m.Do(op, path, body)
	if err != nil {
		m.t.Fatalf("%s %s: %v", op, path, err)
	}
	if res == nil || res.Data == nil {
		return nil
	}
	var data map[string]any
	if err := json.Unmarshal(res.Data, &data); err != nil {
		m.t.Fatal(err)
	}
	return data
}

// creds makes a user, with the ID of the lease.
func (m *mount) creds(role string) (username, password, lease string) {
	m.t.Helper()
	res, err := m.Do(engine.Read, "creds/"+role, "")
	if err != nil {
		m.t.Fatal(err)
	}
	var data struct{ Username, Password string }
	if err := json.Unmarshal(res.Data, &data); err != nil {
		m.t.Fatal(err)
	}
	return data.Username, data.Password, res.Lease.ID
}

// login returns why a user cannot log in, nil if it can.
func login(pg *dbtest.Server, username, password string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conf, err := pgx.ParseConfig(pg.URL("x", "x"))
	if err != nil {
		return err
	}
	conf.User, conf.Password = username, password
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// sql runs a query as the superuser and returns its first value as text.
func (m *mount) sql(query string, args ...any) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conf, err := pgx.ParseConfig(m.pg.URL("x", "x"))
	if err != nil {
		m.t.Fatal(err)
	}
	conf.User, conf.Password = m.pg.User, m.pg.Password
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		m.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		m.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	text := ""
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			m.t.Fatal(err)
		}
		text = fmt.Sprint(values[0])
	}
	if err := rows.Err(); err != nil {
		m.t.Fatalf("%s: %v", query, err)
	}
	return text
}

func (m *mount) exists(username string) bool {
	m.t.Helper()
	return m.sql(`SELECT count(*) FROM pg_roles WHERE rolname = $1`, username) == "1"
}

// §2.7: a user that lasts as long as its lease, five seconds longer in the database.
func TestDynamicUser(t *testing.T) {
	m := pgMount(t)
	username, password, lease := m.creds("readonly")
	if !strings.HasPrefix(username, "v-token-te-readonly-") || len(username) > 63 {
		t.Errorf("the user is called %q", username)
	}
	if err := login(m.pg, username, password); err != nil {
		t.Fatal(err)
	}
	until := func() string {
		return m.sql(`SELECT extract(epoch FROM rolvaliduntil)::bigint FROM pg_roles WHERE rolname = $1`, username)
	}
	if want := fmt.Sprint(m.Now().Add(time.Hour + 5*time.Second).Unix()); until() != want {
		t.Errorf("valid until %s, want %s", until(), want)
	}
	m.Advance(30 * time.Minute)
	renewed, err := m.Renew(lease, 0)
	if err != nil || renewed.TTL != time.Hour {
		t.Fatalf("renewing: %+v, %v", renewed, err)
	}
	if want := fmt.Sprint(m.Now().Add(time.Hour + 5*time.Second).Unix()); until() != want {
		t.Errorf("renewed until %s, want %s", until(), want)
	}
	m.Advance(time.Hour)
	if _, err := m.Renew(lease, 5*time.Hour); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(m.Now().Add(30*time.Minute + 5*time.Second).Unix()); until() != want {
		t.Errorf("renewed beyond max_ttl until %s, want %s", until(), want)
	}
	if err := m.Revoke(lease); err != nil {
		t.Fatal(err)
	}
	if m.exists(username) {
		t.Error("the user is still there")
	}
}

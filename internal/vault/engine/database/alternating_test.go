package database_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/mysql"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/postgresql"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/redis"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

// turning is an alternating role over a real database.
type turning struct {
	*mount
	kind   driver.Type
	server *dbtest.Server
	users  []string
}

// shape is one way of turning.
type shape struct {
	server func(testing.TB) *dbtest.Server
	kind   func() driver.Type
	create string // "" = the users are there
	make   string // makes a user who is there
	drop   string
	one    bool // one user with two passwords
}

var shapes = map[string]shape{
	"PostgreSQL, made":  {server: dbtest.PostgreSQL, kind: postgresql.Type, create: `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`, drop: `DROP ROLE IF EXISTS "{{name}}"`},
	"PostgreSQL, there": {server: dbtest.PostgreSQL, kind: postgresql.Type, make: `CREATE ROLE "{{name}}" NOLOGIN PASSWORD '{{password}}'`, drop: `DROP ROLE IF EXISTS "{{name}}"`},
	"MariaDB, made":     {server: dbtest.MariaDB, kind: mysql.Type, create: `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT ON mysql.* TO '{{name}}'@'%'`, drop: `DROP USER IF EXISTS '{{name}}'@'%'`},
	"MariaDB, there":    {server: dbtest.MariaDB, kind: mysql.Type, make: `CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' ACCOUNT LOCK`, drop: `DROP USER IF EXISTS '{{name}}'@'%'`},
	"Redis, made":       {server: dbtest.Redis, kind: redis.Type, create: `["~*","+@all"]`},
	"Redis, there":      {server: dbtest.Redis, kind: redis.Type, make: `["~*","+@all"]`},
	"Redis, passwords":  {server: dbtest.Redis, kind: redis.Type, make: `["~*","+@all"]`, one: true},
}

// eachShape runs f for all ways of turning.
func eachShape(t *testing.T, f func(*turning)) {
	for name, s := range shapes {
		t.Run(name, func(t *testing.T) { f(newTurning(t, s)) })
	}
}

// newTurning mounts the engine with the role "app".
func newTurning(t *testing.T, s shape, more ...any) *turning {
	t.Helper()
	server, f := s.server(t), &faults{}
	kind := s.kind()
	m := &turning{
		mount: &mount{Harness: enginetest.New(t, database.New(f.wrap(kind)), f.option), t: t, faults: f, pg: server},
		kind:  kind, server: server, users: []string{"turn_a", "turn_b"},
	}
	m.Advance(time.Since(m.Now()))
	m.ok(engine.Update, "config/db", object("plugin_name", kind.Names[0], "connection_url", server.URL("{{username}}", "{{password}}"),
		"username", server.User, "password", server.Password, "allowed_roles", "*"))
	pairs := append([]any{"db_name", "db"}, more...)
	if s.one {
		m.users = m.users[:1]
		pairs = append(pairs, "overlap", "passwords")
	}
	admin := m.admin()
	for _, u := range []string{"turn_a", "turn_b"} {
		m.must(admin.Delete(t.Context(), account(u, "", s.drop)))
		if s.make != "" {
			m.must(admin.Create(t.Context(), account(u, "by-hand", s.make)))
		}
		t.Cleanup(func() { _ = admin.Delete(context.Background(), account(u, "", s.drop)) })
	}
	if s.create != "" {
		pairs = append(pairs, "creation_statements", s.create)
	}
	m.ok(engine.Update, "alternating-roles/app", object(append(pairs, "usernames", m.users)...))
	return m
}

func account(name, password string, statements ...string) *driver.Account {
	a := &driver.Account{Username: name, Password: redact.FromString(password)}
	for _, s := range statements {
		if s != "" {
			a.Statements = append(a.Statements, s)
		}
	}
	return a
}

func (m *turning) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// open logs in, at the first call.
func (m *turning) open(username, password string) driver.Database {
	m.t.Helper()
	db, err := m.kind.Open(driver.Config{
		URL: m.server.URL("{{username}}", "{{password}}"), Username: username, Password: redact.FromString(password), Pool: driver.Pool{MaxOpen: 2, MaxIdle: 2},
	})
	m.must(err)
	m.t.Cleanup(db.Close)
	return db
}

func (m *turning) admin() driver.Database { return m.open(m.server.User, m.server.Password) }

type cred struct{ user, password string }

func (m *turning) login(c cred) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db := m.open(c.user, c.password)
	defer db.Close()
	return db.Ping(ctx)
}

// works and refused say whether a credential logs in.
func (m *turning) works(what string, c cred) {
	m.t.Helper()
	if err := m.login(c); err != nil {
		m.t.Errorf("%s does not log in: %v", what, err)
	}
}

func (m *turning) refused(what string, c cred) {
	m.t.Helper()
	if err := m.login(c); !errs.Is(err, errs.Invalid) {
		m.t.Errorf("%s: a login gives %v, want a refusal", what, err)
	}
}

const holder = "apps/app"

// act asks for one act of a turn.
func (m *turning) act(verb string, turn int, side string) error {
	_, err := m.Do(engine.Update, "alternating-roles/app/"+verb, object("turn", turn, "side", side, "holder", holder))
	return err
}

// acts does acts that must succeed: "stage", "publish new", ...
func (m *turning) acts(turn int, all ...string) {
	m.t.Helper()
	for _, a := range all {
		verb, side, _ := strings.Cut(a, " ")
		if err := m.act(verb, turn, side); err != nil {
			m.t.Fatalf("turn %d: %s: %v", turn, a, err)
		}
	}
}

// shown is what readers are given.
func (m *turning) shown(version int) cred {
	m.t.Helper()
	got := m.ok(engine.Read, "alternating-creds/app", "")
	if got["version"] != float64(version) {
		m.t.Fatalf("readers are given version %v, want %d", got["version"], version)
	}
	return cred{got["username"].(string), got["password"].(string)}
}

func (m *turning) state() map[string]any {
	m.t.Helper()
	return m.ok(engine.Read, "alternating-roles/app/state", "")
}

// at checks the step of the present turn.
func (m *turning) at(turn int, step string) {
	m.t.Helper()
	if s := m.state(); s["turn"] != float64(turn) || s["step"] != step {
		m.t.Errorf("the state is %v at %v, want %d at %s", s["turn"], s["step"], turn, step)
	}
}

// Whole turns, each act asked for twice, in every database and shape.
func TestTurns(t *testing.T) {
	eachShape(t, func(m *turning) {
		if _, err := m.Do(engine.Read, "alternating-creds/app", ""); !errs.Is(err, errs.NotExist) || !strings.Contains(err.Error(), "alternating-roles/app/stage") {
			m.t.Errorf("before the first turn: %v", err)
		}
		m.acts(1, "stage", "stage")
		if _, err := m.Do(engine.Read, "alternating-creds/app", ""); !errs.Is(err, errs.NotExist) {
			m.t.Errorf("staged and not published: %v", err)
		}
		m.acts(1, "publish new", "publish new", "close", "reopen", "close", "retire old", "retire old")
		m.at(1, "done")
		old := m.shown(1)
		m.works("the first", old)
		for turn := 2; turn < 5; turn++ {
			m.acts(turn, "stage", "stage")
			if m.shown(turn-1) != old {
				m.t.Error("staging changed what readers are given")
			}
			m.works("the old one while staged", old)
			m.acts(turn, "publish new", "publish new")
			newer := m.shown(turn)
			if newer.password == old.password || (newer.user == old.user) != (len(m.users) == 1) {
				m.t.Error("it is not another credential")
			}
			m.works("the old one while published", old)
			session := m.open(old.user, old.password)
			m.must(session.Ping(t.Context()))
			m.acts(turn, "close", "close")
			m.refused("the old one while closed", old)
			m.must(session.Ping(t.Context()))
			m.acts(turn, "reopen", "reopen")
			m.works("the old one reopened", old)
			m.acts(turn, "close", "retire old", "retire old")
			m.refused("the old one", old)
			m.works("the new one", newer)
			m.at(turn, "done")
			old = m.shown(turn)
		}
		for key, value := range m.Stored(m.t) {
			if strings.Contains(value, "by-hand") {
				m.t.Errorf("%s holds a password that was never ours", key)
			}
		}
	})
}

// A turn that goes back, from each place where it can, and the next one.
func TestTurnsBack(t *testing.T) {
	for name, back := range map[string][]string{
		"staged":    {"stage", "retire new"},
		"published": {"stage", "publish new", "publish old", "retire new", "retire new"},
		"closed":    {"stage", "publish new", "close", "reopen", "publish old", "publish old", "retire new"},
	} {
		t.Run(name, func(t *testing.T) {
			eachShape(t, func(m *turning) {
				m.acts(1, "stage", "publish new", "close", "retire old")
				old := m.shown(1)
				var newer cred
				for _, a := range back {
					m.acts(2, a)
					if a == "publish new" {
						newer = m.shown(2)
					}
				}
				m.at(2, "discarded")
				if m.shown(1) != old {
					m.t.Error("readers are not given the old one")
				}
				m.works("the old one", old)
				if newer.user != "" {
					m.refused("the new one", newer)
				}
				m.acts(3, "stage", "publish new", "close", "retire old")
				m.refused("the old one", old)
				m.works("the third", m.shown(3))
			})
		})
	}
}

// The first turn goes back: readers are given nothing again.
func TestFirstTurnBack(t *testing.T) {
	eachShape(t, func(m *turning) {
		m.acts(1, "stage", "publish new")
		first := m.shown(1)
		m.acts(1, "publish old", "retire new")
		m.refused("the first", first)
		if _, err := m.Do(engine.Read, "alternating-creds/app", ""); !errs.Is(err, errs.NotExist) {
			m.t.Errorf("after going back: %v", err)
		}
		m.acts(2, "stage", "publish new", "close", "retire old")
		m.works("the second", m.shown(2))
	})
}

// No user is left but the one in use, where turns make them.
func TestOldUsersAreGone(t *testing.T) {
	m := newTurning(t, shapes["PostgreSQL, made"])
	for turn := 1; turn < 4; turn++ {
		m.acts(turn, "stage", "publish new", "close", "retire old")
		if left := m.sql(`SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolname LIKE 'turn\_%'`); left != m.shown(turn).user {
			t.Errorf("after turn %d there are %q", turn, left)
		}
	}
}

// Fifty turns while readers work who use what alternating-creds gives, and keep
// their connections until they are told of another: no query fails.
func TestFiftyTurnsUnderLoad(t *testing.T) {
	turns := 50
	if testing.Short() {
		turns = 5
	}
	m := newTurning(t, shapes["PostgreSQL, made"])
	m.acts(1, "stage", "publish new", "close", "retire old")
	var mu sync.Mutex // the harness belongs to one goroutine
	given := m.shown(1)
	read := func() cred { mu.Lock(); defer mu.Unlock(); return given }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wait sync.WaitGroup
	queries := make([]int, 4)
	using := make([]chan cred, len(queries))
	for i := range queries {
		using[i] = make(chan cred, 1)
		wait.Go(func() { queries[i] = m.reader(ctx, read, using[i]) })
	}
	for turn := 2; turn <= turns+1; turn++ {
		m.acts(turn, "stage", "publish new")
		newer := m.shown(turn)
		mu.Lock()
		given = newer
		mu.Unlock()
		for _, seen := range using { // the proof that nobody is on the old one
			for c := range seen {
				if c == newer {
					break
				}
			}
		}
		m.acts(turn, "close", "retire old")
	}
	stop()
	wait.Wait()
	total := 0
	for _, n := range queries {
		total += n
	}
	if total < turns*len(queries) {
		t.Errorf("%d queries in %d turns", total, turns)
	}
	t.Logf("%d turns, %d queries", turns, total)
}

// reader queries without a pause until ctx ends, and tells which credential it
// uses each time that it takes another.
func (m *turning) reader(ctx context.Context, given func() cred, using chan<- cred) (queries int) {
	var conn *pgx.Conn
	var mine cred
	bg := context.Background()
	for ctx.Err() == nil {
		if c := given(); c != mine {
			if conn != nil {
				_ = conn.Close(bg)
			}
			conf, err := pgx.ParseConfig(m.server.URL("x", "x"))
			if err != nil {
				m.t.Error(err)
				return queries
			}
			conf.User, conf.Password = c.user, c.password
			if conn, err = pgx.ConnectConfig(bg, conf); err != nil {
				m.t.Errorf("a reader cannot log in: %v", err)
				return queries
			}
			mine = c
			select {
			case using <- c:
			case <-ctx.Done():
			}
		}
		var one int
		if err := conn.QueryRow(bg, "SELECT 1").Scan(&one); err != nil {
			m.t.Errorf("a query failed: %v", err)
			return queries
		}
		queries++
	}
	_ = conn.Close(bg)
	return queries
}

// A crash at any point of any act: what readers are given works, no password is
// drawn anew, and asking again brings the turn to its end.
func TestCrashDuringTurn(t *testing.T) {
	acts := []string{"stage", "publish new", "close", "reopen", "close", "retire old"}
	eachShape(t, func(m *turning) {
		m.acts(1, "stage", "publish new", "close", "retire old")
		crashes := 0
		for turn := 2; ; turn++ {
			// In turn N the process ends at the Nth point that is passed.
			m.faults.crashAt("any", turn-2)
			crashed := false
			for _, a := range acts {
				verb, side, _ := strings.Cut(a, " ")
				err := m.act(verb, turn, side)
				if m.faults.down() {
					m.faults.restart()
					crashed = true
					crashes++
					if err == nil {
						m.t.Errorf("turn %d, %s: a crash, and no error", turn, a)
					}
					m.ok(engine.Update, "reset/db", "")
					m.works(fmt.Sprintf("turn %d, %s: what readers are given", turn, a), m.any())
					pending := m.Stored(m.t)["alternating/app"]
					err = m.act(verb, turn, side)
					if verb == "stage" && !strings.Contains(m.Stored(m.t)["alternating/app"], passwordIn(m.t, pending)) {
						m.t.Error("another password was drawn")
					}
				}
				if err != nil {
					m.t.Fatalf("turn %d, %s: %v", turn, a, err)
				}
			}
			m.faults.restart()
			m.at(turn, "done")
			m.works("the new one", m.shown(turn))
			if !crashed {
				break
			}
		}
		if crashes < 25 {
			m.t.Errorf("%d crashes", crashes)
		}
	})
}

// A crash on the way back.
func TestCrashDuringTurnBack(t *testing.T) {
	eachShape(t, func(m *turning) {
		m.acts(1, "stage", "publish new", "close", "retire old")
		old := m.shown(1)
		for turn := 2; ; turn++ {
			m.faults.crashAt("any", turn-2)
			_ = m.act("stage", turn, "")
			crashed := m.faults.restart()
			if crashed { // amid staging: it is given up
				m.ok(engine.Update, "reset/db", "")
			}
			m.faults.crashAt("any", turn-2)
			if err := m.act("retire", turn, "new"); m.faults.restart() {
				crashed = true
				if err == nil {
					m.t.Errorf("turn %d: a crash, and no error", turn)
				}
				m.ok(engine.Update, "reset/db", "")
				m.acts(turn, "retire new")
			} else if err != nil {
				m.t.Fatalf("turn %d: %v", turn, err)
			}
			m.at(turn, "discarded")
			m.works("the old one", old)
			if !crashed {
				m.acts(turn+1, "stage", "publish new", "close", "retire old")
				m.works("the last", m.shown(turn+1))
				return
			}
		}
	})
}

// any is what readers are given, of whatever version.
func (m *turning) any() cred {
	m.t.Helper()
	got := m.ok(engine.Read, "alternating-creds/app", "")
	return cred{got["username"].(string), got["password"].(string)}
}

// passwordIn is the password of the turn in a stored role.
func passwordIn(t *testing.T, stored string) string {
	t.Helper()
	_, rest, found := strings.Cut(stored, `"New":{`)
	_, rest, also := strings.Cut(rest, `"Password":"`)
	password, _, _ := strings.Cut(rest, `"`)
	if !found || !also || password == "" {
		t.Fatal("the stored role holds no password for its turn")
	}
	return password
}

// Package database has one of two nodes stand still amid what it does in a PostgreSQL, until the
// other has done it over and gone on, and then continues it: real processes, a real etcd, a real
// PostgreSQL, and a wire between them that holds each change at one point.
package database_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/format"
	"github.com/strongkeep/strongkeep/test/nodes/fleet"
)

func TestMain(m *testing.M) {
	code := fleet.Main(m)
	dbtest.Close()
	os.Exit(code)
}

// patience is how long a client waits for a node that stands still.
const patience = 5 * time.Minute

// world is two nodes and a database.
type world struct {
	*testing.T
	fleet *fleet.Fleet
	pg    *dbtest.Server
	wire  *proxy
	admin *pgx.Conn

	paused, other *fleet.Node // the one that stands still leads first
	asked         sync.WaitGroup
	acts          []*act
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, pg: dbtest.PostgreSQL(t), fleet: fleet.New(t, etcdtest.Shared(t), "one", "two")}
	w.wire = newProxy(t, w.pg.Address)
	w.fleet.Start(fleet.Program(t, t.TempDir(), format.Program{Version: "0.1.0"}))
	w.paused = w.fleet.Leader()
	for _, n := range w.fleet.Nodes {
		if n != w.paused {
			w.other = n
		}
	}
	var err error
	if w.admin, err = w.login(w.pg.User, w.pg.Password); err != nil {
		t.Fatal(err)
	}
	fleet.Asked(t, "a mount", func() error {
		return w.paused.Client().Sys().MountWithContext(t.Context(), "database", &vault.MountInput{Type: "database"})
	})
	w.connection("db", w.pg.User, w.pg.Password)
	return w
}

// connection has the vault know the database, as a user.
func (w *world) connection(name, username, password string) {
	w.Helper()
	url := fmt.Sprintf("postgresql://{{username}}:{{password}}@%s/postgres?sslmode=disable", w.wire.address)
	w.write(w.paused, "config/"+name, map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": url, "username": username, "password": password,
		"allowed_roles": "*", "max_open_connections": 32,
	})
}

func (w *world) login(username, password string) (*pgx.Conn, error) {
	conf, err := pgx.ParseConfig("postgresql://" + w.pg.Address + "/postgres?sslmode=disable")
	if err != nil {
		return nil, err
	}
	conf.User, conf.Password = username, password
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, fmt.Errorf("%s does not log in: %w", username, err)
	}
	w.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn, nil
}

func (w *world) sql(statement string) {
	w.Helper()
	if _, err := w.admin.Exec(w.Context(), statement); err != nil {
		w.Fatal(statement, ": ", err)
	}
}

// users is how many the database has whose name is like that.
func (w *world) users(like string) (n int) {
	w.Helper()
	if err := w.admin.QueryRow(w.Context(), "SELECT count(*) FROM pg_roles WHERE rolname LIKE $1", like).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) write(n *fleet.Node, path string, data map[string]any) {
	w.Helper()
	fleet.Asked(w, path+" on "+n.Name, func() error {
		_, err := n.Client().Logical().WriteWithContext(w.Context(), "database/"+path, data)
		return err
	})
}

// on is eventually: node n does what is asked.
func (w *world) on(n *fleet.Node, path string, data map[string]any) {
	w.Helper()
	client := n.Client()
	fleet.Eventually(w, n.Name+" does "+path, func() error {
		_, err := client.Logical().WriteWithContext(w.Context(), "database/"+path, data)
		return err
	})
}

// credential is what a node gives at a path.
func (w *world) credential(n *fleet.Node, path string) (username, password string, err error) {
	s, err := n.Client().Logical().ReadWithContext(w.Context(), "database/"+path)
	if err != nil {
		return "", "", fmt.Errorf("reading %s on %s: %w", path, n.Name, err)
	}
	if s == nil {
		return "", "", fmt.Errorf("reading %s on %s: it is not there", path, n.Name)
	}
	username, _ = s.Data["username"].(string)
	password, _ = s.Data["password"].(string)
	return username, password, nil
}

// given is nil if a node gives a credential at a path, and the database takes it.
func (w *world) given(n *fleet.Node, path string) error {
	user, password, err := w.credential(n, path)
	if err != nil {
		return err
	}
	_, err = w.login(user, password)
	return err
}

// same is nil if both nodes give one credential at a path, and the database takes it.
func (w *world) same(path string) error {
	user, password, err := w.credential(w.paused, path)
	if err != nil {
		return err
	}
	user2, password2, err := w.credential(w.other, path)
	if err != nil {
		return err
	}
	if user2 != user || password2 != password {
		return fmt.Errorf("the nodes give two credentials at %s: of %s and %s", path, user, user2)
	}
	_, err = w.login(user, password)
	return err
}

// act is something that the leading node does when it is asked, amid which the wire holds it.
type act struct {
	*hold
	answered chan error // capacity 1
}

// held reports whether the wire holds the change.
func (a *act) held() bool {
	select {
	case <-a.caught:
		return true
	default:
		return false
	}
}

// act asks something of the leading node, and has the wire hold the change in which the word occurs.
func (w *world) act(word string, at point, do func(*vault.Client) error) *act {
	a := w.catch(word, at)
	client := w.paused.Client()
	client.SetClientTimeout(patience)
	w.asked.Go(func() {
		for {
			err := do(client)
			if !fleet.Deaf(err) || a.held() {
				a.answered <- err
				return
			}
			<-time.After(50 * time.Millisecond)
		}
	})
	return a
}

// catch has the wire hold a change that is asked for otherwise.
func (w *world) catch(word string, at point) *act {
	a := &act{hold: w.wire.hold(newHold(word, at)), answered: make(chan error, 1)}
	w.acts = append(w.acts, a)
	w.Cleanup(a.letGo)
	return a
}

// caught waits until the wire holds all acts, and then until it holds each at its point.
func (w *world) caught() {
	w.Helper()
	w.all("asked of the database", func(a *act) chan struct{} { return a.caught })
	for _, a := range w.acts {
		a.goOn()
	}
	w.all("held at its point", func(a *act) chan struct{} { return a.reached })
}

// all waits until something is so of all acts.
func (w *world) all(what string, is func(*act) chan struct{}) {
	w.Helper()
	late := time.After(time.Minute)
	for _, a := range w.acts {
		select {
		case <-is(a):
		case <-late:
			w.Fatalf("%s at the %s: not %s within a minute", a.word, a.at, what)
		}
	}
}

// freeze stops the leading node amid all acts.
func (w *world) freeze() {
	w.Helper()
	w.paused.Freeze()
	for _, a := range w.acts {
		select {
		case err := <-a.answered:
			w.Fatalf("%s at the %s: answered before the node stood still: %v", a.word, a.at, err)
		default:
		}
	}
}

// ask is for act: a write.
func ask(ctx context.Context, path string, data map[string]any) func(*vault.Client) error {
	return func(c *vault.Client) error {
		_, err := c.Logical().WriteWithContext(ctx, path, data)
		return err
	}
}

// resume lets all go, continues the node, and waits until it has answered all that it was asked.
func (w *world) resume() {
	for _, a := range w.acts {
		a.letGo()
	}
	w.paused.Thaw()
	w.asked.Wait()
}

var points = []point{statement, answer, commit, done}

// What one node did in the database when it was stopped, the other does over; and whatever the
// first does late, at the end the database and the vault say the same.
func TestPaused(t *testing.T) {
	w := newWorld(t)
	subjects := []subject{&ended{how: byID}, &ended{how: byPrefix}, &static{}, &root{}, &turning{}, &made{}, &ended{how: byToken}}
	for _, s := range subjects {
		s.prepare(w)
	}
	kept := w.keep(w.fleet.Nodes...)
	for _, at := range points { // all at once: the expirer takes up what is due when what it took up before is over
		for _, s := range subjects {
			s.begin(w, at)
		}
	}
	w.caught()
	w.freeze()
	fleet.Eventually(t, "the other node leads", func() error {
		if w.fleet.Leader() != w.other {
			return fmt.Errorf("%s does", w.paused.Name)
		}
		return nil
	})
	kept = append(kept, w.keep(w.other)...)
	for _, s := range subjects {
		s.takeOver(w)
	}
	for _, s := range slices.Backward(subjects) { // the first wait for a minute to be over
		s.goOn(w)
	}
	w.resume()
	for _, s := range subjects {
		for _, at := range points {
			fleet.Eventually(t, fmt.Sprintf("%T held at the %s is well", s, at), func() error { return s.well(w, at) })
		}
	}
	for _, k := range kept {
		if _, err := w.login(k[0], k[1]); err != nil {
			t.Error("a credential that was given for an hour:", err)
		}
	}
	w.nobodyLeft()
}

// nobodyLeft is that each user of a lease has one: none is there when all leases have ended.
func (w *world) nobodyLeft() {
	w.Helper()
	fleet.Asked(w, "all leases are ended", func() error {
		_, err := w.paused.Client().Logical().WriteWithContext(w.Context(), "sys/leases/revoke-prefix/database/creds", map[string]any{"sync": true})
		return err
	})
	if n := w.users("v-%"); n != 0 {
		w.Errorf("%d users are left that no lease knows", n)
	}
}

// keep is credentials of these nodes that are to live on.
func (w *world) keep(nodes ...*fleet.Node) (all [][2]string) {
	w.Helper()
	w.on(nodes[0], "roles/kept", map[string]any{"db_name": "db", "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`, "default_ttl": "1h"})
	for range 3 {
		for _, n := range nodes {
			var user, password string
			fleet.Eventually(w, "a credential", func() (err error) { user, password, err = w.credential(n, "creds/kept"); return err })
			all = append(all, [2]string{user, password})
		}
	}
	return all
}

// subject is one kind of thing that is done in the database, once for each point.
type subject interface {
	prepare(w *world)
	begin(w *world, at point) // by the node that is stopped then
	takeOver(w *world)        // by the other, all of them
	goOn(w *world)            // by the other, as far as it can without the first
	well(w *world, at point) error
}

func create(name string) string { return fmt.Sprintf(`CREATE ROLE %s LOGIN PASSWORD 'first'`, name) }

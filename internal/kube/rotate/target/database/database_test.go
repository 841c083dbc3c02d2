package database_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/database"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/targettest"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/testenv/invault"
)

// policy is what a turn needs, as docs/rotation/database.md has it.
const policy = `
path "database/alternating-roles/app/+" { capabilities = ["read", "update"] }
path "database/alternating-staged/app" { capabilities = ["read"] }
`

// world is a vault with the alternating role "app" on a real PostgreSQL.
type world struct {
	*testenv.Vault
	server *dbtest.Server
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{testenv.Start(t, func(c *app.ServerConfig) { c.Storage = "mem" }), dbtest.PostgreSQL(t)}
	if err := w.Sys().Mount("database", &api.MountInput{Type: "database"}); err != nil {
		t.Fatal(err)
	}
	a, b := strings.ToLower(fmt.Sprintf("t%d_a", os.Getpid())), strings.ToLower(fmt.Sprintf("t%d_b", os.Getpid()))
	t.Cleanup(func() { w.drop(t, a, b) })
	w.drop(t, a, b)
	w.write(t, "database/config/pg", map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": w.server.URL("{{username}}", "{{password}}"),
		"username": w.server.User, "password": w.server.Password, "allowed_roles": "*",
	})
	w.write(t, "database/alternating-roles/app", map[string]any{
		"db_name": "pg", "usernames": []string{a, b}, "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
	})
	return w
}

func (w *world) write(t *testing.T, path string, data map[string]any) {
	t.Helper()
	if _, err := w.Logical().Write(path, data); err != nil {
		t.Fatal(err)
	}
}

func (w *world) connect(user, password string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(w.server.URL("user", "password") + "&application_name=suite")
	if err != nil {
		return nil, err
	}
	cfg.User, cfg.Password = user, password
	return pgx.ConnectConfig(context.Background(), cfg)
}

// drop removes users that a broken-off test may have left.
func (w *world) drop(t *testing.T, users ...string) {
	t.Helper()
	c, err := w.connect(w.server.User, w.server.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	for _, u := range users {
		if _, err := c.Exec(context.Background(), fmt.Sprintf("DROP ROLE IF EXISTS %q", u)); err != nil {
			t.Error(err)
		}
	}
}

func (w *world) read(t *testing.T) (targettest.Credential, bool) {
	t.Helper()
	answer := w.HTTP("GET", "database/alternating-creds/app", nil)
	if answer.Status == 404 {
		return targettest.Credential{}, false
	}
	s, err := w.Logical().Read("database/alternating-creds/app")
	if err != nil {
		t.Fatal(err)
	}
	return targettest.Credential{Public: fmt.Sprint(s.Data["username"]), Secret: fmt.Sprint(s.Data["password"])}, true
}

// login returns a session, or nil when it is refused.
func (w *world) login(t *testing.T, c targettest.Credential) *pgx.Conn {
	t.Helper()
	session, err := w.connect(c.Public, c.Secret)
	if err != nil {
		return nil
	}
	t.Cleanup(func() { _ = session.Close(context.Background()) })
	return session
}

func (w *world) works(t *testing.T, c targettest.Credential) bool {
	t.Helper()
	session := w.login(t, c)
	if session == nil {
		return false
	}
	_ = session.Close(context.Background())
	return true
}

func (w *world) logs() string {
	audit, err := os.ReadFile(w.AuditFile())
	if err != nil {
		return err.Error()
	}
	return w.Log.String() + string(audit)
}

// users are those of the role that can log in.
func (w *world) users(t *testing.T) []string {
	t.Helper()
	c, err := w.connect(w.server.User, w.server.Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	rows, err := c.Query(context.Background(), "SELECT rolname FROM pg_roles WHERE rolname LIKE $1 AND rolcanlogin ORDER BY 1", fmt.Sprintf("t%d\\_%%", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func spec() v1alpha1.Target {
	return v1alpha1.Target{Database: &v1alpha1.DatabaseTarget{Role: "app"}}
}

func (w *world) open(t *testing.T) target.Target {
	t.Helper()
	made, err := database.Kind{}.Open(target.Config{Spec: spec(), Vault: invault.Open(t, w.Vault, w.Policy("turns", policy))})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		w := start(t)
		return targettest.Fixture{
			Kind: database.Kind{}, Config: target.Config{Spec: spec(), Vault: invault.Open(t, w.Vault, w.Policy("turns", policy))},
			Read: w.read, Works: w.works, Logs: w.logs, Left: w.users,
		}
	})
}

// The backend's word: who is logged in with which credential.
func TestSessions(t *testing.T) {
	w := start(t)
	to := w.open(t)
	turn := func(n int64) target.Turn { return target.Turn{Number: n, Rotation: "team/r"} }
	publish := func(n int64) {
		t.Helper()
		if _, err := to.Stage(t.Context(), turn(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Publish(t.Context(), turn(n), target.New); err != nil {
			t.Fatal(err)
		}
	}
	publish(1)
	if err := to.Retire(t.Context(), turn(1), target.Old); err != nil {
		t.Fatal(err)
	}
	old, _ := w.read(t)
	if w.login(t, old) == nil {
		t.Fatal("the first credential does not log in")
	}
	publish(2)
	fresh, _ := w.read(t)
	for range 2 {
		if w.login(t, fresh) == nil {
			t.Fatal("the second credential does not log in")
		}
	}
	seen, err := to.(target.Witness).Sessions(t.Context(), turn(2))
	if err != nil || len(seen.Old) != 1 || len(seen.New) != 2 {
		t.Fatalf("%d old and %d new sessions (%v), want 1 and 2", len(seen.Old), len(seen.New), err)
	}
	if s := seen.Old[0]; s.Client != "suite" || s.Since.IsZero() {
		t.Errorf("a session is seen as %+v", s)
	}
	if _, err := to.(target.Witness).Sessions(t.Context(), turn(1)); !errs.Is(err, errs.Conflict) {
		t.Errorf("sessions of another turn: %v", err)
	}
	if err := to.Close(t.Context(), turn(2)); err != nil {
		t.Fatal(err)
	}
	if err := to.Retire(t.Context(), turn(2), target.Old); err != nil {
		t.Fatal(err)
	}
	if seen, err = to.(target.Witness).Sessions(t.Context(), turn(2)); err != nil || len(seen.Old) != 0 {
		t.Errorf("after the end %d old sessions (%v)", len(seen.Old), err)
	}
}

func TestObserve(t *testing.T) {
	w := start(t)
	to := w.open(t)
	seen, err := to.(target.Observer).Observe(t.Context())
	at := strings.TrimPrefix(w.Server.URL(), "https://") + "/database/alternating-creds/app"
	if err != nil || seen.Version != "" || !seen.Changed.IsZero() || seen.Turn != 0 || seen.Location != at {
		t.Errorf("before any turn: %+v, %v", seen, err)
	}
	none, err := database.Kind{}.Open(target.Config{Spec: v1alpha1.Target{Database: &v1alpha1.DatabaseTarget{Role: "none"}}, Vault: invault.Open(t, w.Vault, w.Root)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.(target.Observer).Observe(t.Context()); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("a role that is not there: %v", err)
	}
}

func TestBadSpecs(t *testing.T) {
	for want, s := range map[string]*v1alpha1.DatabaseTarget{
		"is missing":                          nil,
		`role "" is not`:                      {},
		`role "a/b" is not`:                   {Role: "a/b"},
		`role "a?b" is not`:                   {Role: "a?b"},
		`mount "a/../b" is not the path of a`: {Mount: "a/../b", Role: "a"},
	} {
		if _, err := (database.Kind{}).Open(target.Config{Spec: v1alpha1.Target{Database: s}}); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want invalid with %q", err, want)
		}
	}
}

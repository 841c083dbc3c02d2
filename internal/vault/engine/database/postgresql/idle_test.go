package postgresql

import (
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
)

// A node that is stopped between the statements of a change and their commit does not keep others
// from changing the same user, and its commit does nothing when it goes on.
func TestStoppedBeforeCommit(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	query(t, s, "postgres", `CREATE ROLE stopped LOGIN PASSWORD 'first'`)
	defer query(t, s, "postgres", `DROP ROLE stopped`)
	db, ok := admin(t, s, "{}").(*database)
	if !ok {
		t.Fatal("another kind of database")
	}
	conn, err := db.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	stopped := conn.Conn().PgConn()
	script := strings.Join(append(begin(t.Context()), `ALTER ROLE stopped PASSWORD 'late'`), ";")
	if _, err := stopped.Exec(t.Context(), script).ReadAll(); err != nil {
		t.Fatal(err)
	}
	if err := admin(t, s, "{}").Update(within(t, time.Minute), account("stopped", "second")); err != nil {
		t.Error("another node cannot change the user:", err)
	}
	if err := db.commit(t.Context(), stopped); err == nil {
		t.Error("what was given up is committed")
	}
	if err := connect(t, s, "stopped", "second", "{}").Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

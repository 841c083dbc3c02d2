package postgresql

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// A role that another node drops while this one is about to is one that is dropped.
func TestDroppedByAnotherMeanwhile(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	db, ok := admin(t, s, "{}").(*database)
	if !ok {
		t.Fatal("another kind of database")
	}
	query(t, s, "postgres", `CREATE ROLE twofold LOGIN`)
	r := &removal{database: db, name: "twofold", quoted: pgx.Identifier{"twofold"}.Sanitize()}
	if simple, err := r.look(t.Context()); err != nil || !simple {
		t.Fatal(simple, err)
	}
	query(t, s, "postgres", `DROP ROLE twofold`)
	if err := r.thorough(t.Context()); err != nil {
		t.Error(err)
	}
}

// Two nodes that drop the same roles at once are in nobody's way.
func TestDeletedByTwo(t *testing.T) {
	s := dbtest.PostgreSQL(t)
	nodes := []driver.Database{admin(t, s, ""), admin(t, s, "")}
	ctx := within(t, time.Minute)
	for range 30 {
		if err := nodes[0].Create(ctx, account("twice", "pw", create)); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		for _, db := range nodes {
			both.Go(func() {
				if err := db.Delete(ctx, &driver.Account{Username: "twice"}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if exists(t, s, "twice") {
			t.Fatal("the role is still there")
		}
	}
}

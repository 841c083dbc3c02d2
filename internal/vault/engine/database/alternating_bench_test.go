package database_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

// What every reader of a published credential costs; no database is asked.
func BenchmarkAlternatingCreds(b *testing.B) {
	h := enginetest.New(b, database.New(paperType()))
	do := func(op engine.Operation, path, body string) {
		if _, err := h.Do(op, path, body); err != nil {
			b.Fatal(path, err)
		}
	}
	do(engine.Update, "config/p", `{"plugin_name":"leaf","connection_url":"paper://h","username":"u","password":"p","allowed_roles":"*"}`)
	do(engine.Update, "alternating-roles/a", `{"db_name":"p","usernames":"x,y"}`)
	do(engine.Update, "alternating-roles/a/stage", `{"turn":1}`)
	do(engine.Update, "alternating-roles/a/publish", `{"turn":1,"side":"new"}`)
	b.ReportAllocs()
	for b.Loop() {
		do(engine.Read, "alternating-creds/a", "")
	}
}

package gate

import (
	"context"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// A route that says ReadOnly speaks of Read and List; its writes are writes.
func TestWritesOfAReadOnlyRouteCommit(t *testing.T) {
	b := newBench(t)
	b.lab.on("update ro/x", func(_ context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		tx.Put("ro/x", []byte("v"))
		return nil, nil
	})
	b.lab.on("read ro/x", func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		e, err := tx.Get(ctx, "ro/x")
		if err == nil && string(e.Value) != "v" {
			t.Errorf("the write is not there: %q", e.Value)
		}
		return nil, err
	})
	for _, op := range []engine.Operation{engine.Update, engine.Read} {
		if _, err := b.do(op, "lab/ro/x", b.root); err != nil {
			t.Fatalf("%v: %v", op, err)
		}
	}
}

func TestHelpOfAPathWithoutARoute(t *testing.T) {
	b := newBench(t)
	if _, err := b.do(engine.Help, "lab/unknown", b.root); err != nil {
		t.Fatal(err)
	}
}

package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// tx is the transaction of one run of a request over the whole store; mounts
// see it confined. It implements engine.Tx.
type tx struct {
	*store.Txn
	events []engine.Event
}

func begin(s store.Store) *tx {
	t := &struct { // one piece of memory for both
		tx
		txn store.Txn
	}{txn: *store.Begin(s)}
	t.Txn = &t.txn
	return &t.tx
}

func (t *tx) Emit(e engine.Event) { t.events = append(t.events, e) }

// readTx serves routes that declare themselves ReadOnly: reads go straight to
// the store, nothing is noted and nothing can be written.
type readTx struct{ store store.Store }

func (r readTx) Get(ctx context.Context, key string) (engine.Entry, error) {
	return r.store.Get(ctx, key)
}

func (r readTx) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	return r.store.List(ctx, folder, after, limit)
}

func (readTx) Put(string, []byte) { panic("gate: a read-only route wrote to its transaction") }
func (readTx) Delete(string)      { panic("gate: a read-only route deleted in its transaction") }
func (readTx) Emit(engine.Event)  { panic("gate: a read-only route announced a change") }

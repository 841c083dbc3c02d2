package unsealed

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Tx is one transaction over the whole store; mounts see it confined. It
// implements engine.Tx and belongs to one goroutine.
type Tx struct {
	*store.Txn
	events []engine.Event
}

// Begin begins a transaction.
func (v *Vault) Begin() *Tx { return v.beginIn(v.Store) }

// beginIn begins one that is read from, and committed through, s.
func (v *Vault) beginIn(s store.Store) *Tx {
	t := &struct { // one piece of memory for both
		Tx
		txn store.Txn
	}{txn: *store.Begin(s)}
	t.Txn = &t.txn
	return &t.Tx
}

// Emit keeps a change to be announced once it is committed: see Vault.Publish.
func (t *Tx) Emit(e engine.Event) { t.events = append(t.events, e) }

// MaxRuns bounds how often a transaction is run again after a conflict. Each
// conflict means that another one committed, so the vault makes progress.
const MaxRuns = 1000

// Commit runs change in a transaction of its own, anew after conflicts.
func (v *Vault) Commit(ctx context.Context, change func(*Tx) error) error {
	for range MaxRuns {
		t := v.Begin()
		if err := change(t); err != nil {
			return err
		}
		_, err := t.Commit(ctx)
		if !errs.Is(err, errs.Conflict) || ctx.Err() != nil {
			return err
		}
	}
	return errs.New(errs.Unavailable, "too many others change the same entries; try again")
}

// readTx serves routes that declare themselves ReadOnly: reads go straight to
// the store, nothing is noted and nothing can be written.
type readTx struct{ store store.Store }

func (r readTx) Get(ctx context.Context, key string) (engine.Entry, error) {
	return r.store.Get(ctx, key)
}

func (r readTx) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	return r.store.List(ctx, folder, after, limit)
}

func (readTx) Put(string, []byte) { panic("unsealed: a read-only route wrote to its transaction") }
func (readTx) Delete(string)      { panic("unsealed: a read-only route deleted in its transaction") }
func (readTx) Emit(engine.Event)  { panic("unsealed: a read-only route announced a change") }

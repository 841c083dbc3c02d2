package postgresql

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// batches runs work that cannot run side by side together instead: those who
// wait while one transaction is under way share the next, each behind a
// savepoint of its own, and one commit. One of the waiting does it for all.
type batches struct {
	mu      sync.Mutex
	queue   []*waiting
	leading bool // somebody runs a batch, or has been told to
}

// waiting is somebody's work in the queue.
type waiting struct {
	work *work
	lead chan struct{} // capacity 1: run the next batch
	done chan error    // capacity 1
}

// maxBatch is how many share a transaction.
const maxBatch = 16

// together runs w in a transaction with others'.
func (d *database) together(ctx context.Context, w *work) error {
	me := &waiting{work: w, lead: make(chan struct{}, 1), done: make(chan error, 1)}
	b := &d.batches
	b.mu.Lock()
	b.queue = append(b.queue, me)
	if !b.leading {
		b.leading = true
		me.lead <- struct{}{}
	}
	b.mu.Unlock()
	for {
		select {
		case err := <-me.done:
			return err
		case <-me.lead:
			d.runBatch(ctx)
			b.handOn()
		case <-ctx.Done():
			if !b.leave(me) {
				return <-me.done // it is being done: what comes of it must be known, and is soon
			}
			return engine.Unmade(d.fail("waiting for other changes", ctx.Err()))
		}
	}
}

// handOn tells the next in the queue to lead.
func (b *batches) handOn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leading = len(b.queue) > 0
	if b.leading {
		b.queue[0].lead <- struct{}{}
	}
}

// leave takes me out of the queue; who was to lead hands on. False: too late, a
// batch has it.
func (b *batches) leave(me *waiting) bool {
	b.mu.Lock()
	at := slices.Index(b.queue, me)
	if at >= 0 {
		b.queue = slices.Delete(b.queue, at, at+1)
	}
	b.mu.Unlock()
	select {
	case <-me.lead:
		b.handOn()
	default:
	}
	return at >= 0
}

// take returns the next batch.
func (b *batches) take() []*waiting {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.queue), maxBatch)
	batch := slices.Clone(b.queue[:n])
	b.queue = slices.Delete(b.queue, 0, n)
	return batch
}

// runBatch runs what is queued, the leader's own among it, and tells everybody.
// It ends by the leader's deadline, and not because the leader is not interested
// any more.
func (d *database) runBatch(ctx context.Context) {
	d.turn.Lock()
	defer d.turn.Unlock()
	batch := d.batches.take()
	if len(batch) == 0 {
		return
	}
	deadline, bounded := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	for i, err := range d.batch(ctx, batch) {
		batch[i].done <- err
	}
}

// errBroken is what the others of a batch get that one of them has broken.
var errBroken = errs.New(errs.Unavailable, "the transaction of several changes was broken off by the failure of one")

func broken(err error) bool { return errors.Is(err, errBroken) }

// batch returns an error for each.
func (d *database) batch(ctx context.Context, batch []*waiting) []error {
	results := make([]error, len(batch))
	all := func(err error) []error {
		for i := range results {
			if results[i] == nil {
				results[i] = err
			}
		}
		return results
	}
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return all(engine.Unmade(d.fail("connecting", err)))
	}
	defer conn.Release()
	c := conn.Conn().PgConn()
	if err := d.conform(ctx, c); err != nil {
		return all(err)
	}
	if _, err := c.Exec(ctx, strings.Join(begin(ctx), "; ")).ReadAll(); err != nil {
		d.rollback(ctx, c)
		return all(d.fail("beginning a transaction", err))
	}
	var end []string
	for i, w := range batch {
		if results[i] = d.saved(ctx, c, w.work); c.TxStatus() != 'T' {
			d.rollback(ctx, c)
			return all(errBroken)
		}
		if results[i] == nil && w.work.after != "" {
			end = append(end, w.work.after)
		}
	}
	return all(d.commit(ctx, c, end...))
}

// saved runs work behind a savepoint, and back to it if it fails: then nothing of
// it stands.
func (d *database) saved(ctx context.Context, c *pgconn.PgConn, w *work) error {
	script := slices.Concat([]string{"SAVEPOINT own"}, w.statements, []string{"RELEASE SAVEPOINT own"})
	results, err := c.Exec(ctx, strings.Join(script, "\n;\n")).ReadAll()
	if err == nil {
		return nil
	}
	if len(results) == 0 { // a syntax error: nothing of it ran, nor the savepoint
		return engine.Unmade(d.fail(w.doing, err, w.secrets...))
	}
	if _, back := c.Exec(ctx, "ROLLBACK TO SAVEPOINT own; RELEASE SAVEPOINT own").ReadAll(); back != nil {
		_ = c.Close(ctx)
	}
	return engine.Unmade(d.fail(w.at(len(results)), err, w.secrets...))
}

// shareable reports whether the statements do nothing to the transaction they
// run in, nor to the session, that others would feel.
func (w *work) shareable() bool {
	for _, s := range w.statements {
		word, _, _ := strings.Cut(s, " ")
		switch strings.ToUpper(word) {
		case "CREATE", "GRANT", "REVOKE", "ALTER", "DROP", "REASSIGN", "COMMENT":
		default:
			return false
		}
	}
	return true
}

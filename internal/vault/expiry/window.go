package expiry

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// window is what one loop has under way.
type window struct {
	*loop
	busy   int             // batches
	under  map[string]bool // their IDs: what is queued again meanwhile is under way as well
	ended  chan end        // of batches
	failed error           // the first error of the store
}

type end struct {
	batch []Ref
	err   error
}

// work handles what is due in batches, Parallel at a time, until nothing is and nothing is under way: what
// hangs takes its place, and what comes due meanwhile is begun in the others. An error of the store ends it
// when what was listed is done, what hangs too; the first one is returned. Errors of handlers end in a later
// retry.
func (l *loop) work(ctx context.Context) error {
	w := window{loop: l, under: map[string]bool{}, ended: make(chan end)}
	for w.failed == nil && ctx.Err() == nil {
		var due []Ref
		if due, w.failed = l.due(ctx, w.under); len(due) == 0 {
			if w.failed != nil || w.busy == 0 {
				break
			}
			w.wait(ctx)
		}
		for batch := range slices.Chunk(due, l.kind.Batch) {
			w.begin(ctx, batch)
		}
	}
	for w.busy > 0 {
		w.take(<-w.ended)
	}
	return w.failed
}

// begin waits for a place, and works on batch in it.
func (w *window) begin(ctx context.Context, batch []Ref) {
	if w.busy == w.kind.Parallel {
		w.take(<-w.ended)
	}
	if ctx.Err() != nil {
		return
	}
	for _, ref := range batch {
		w.under[ref.ID] = true
	}
	w.busy++
	go func() { w.ended <- end{batch, w.handleBatch(ctx, batch)} }()
}

func (w *window) take(e end) {
	w.busy--
	for _, ref := range e.batch {
		delete(w.under, ref.ID)
	}
	if w.failed == nil {
		w.failed = e.err
	}
}

// wait returns when there may be something to begin: a batch ended, somebody woke the loop, or it is time to look.
func (w *window) wait(ctx context.Context) {
	select {
	case e := <-w.ended:
		w.take(e)
	case <-w.loop.wake:
	case <-time.After(w.Poll):
	case <-ctx.Done():
	}
}

// due is the head of what has come due, each ID once, without those that are under way.
func (l *loop) due(ctx context.Context, under map[string]bool) ([]Ref, error) {
	names, err := l.Store.List(ctx, Folder(l.kind.Name), "", l.Window+len(under))
	if err != nil {
		return nil, err
	}
	now, met := l.Now(), maps.Clone(under)
	due := make([]Ref, 0, len(names))
	for _, name := range names {
		ref, err := Parse(l.kind.Name, name)
		if err != nil {
			return nil, err
		}
		if ref.Due.After(now) {
			break
		}
		if !met[ref.ID] {
			met[ref.ID] = true
			due = append(due, ref)
		}
	}
	return due, nil
}

// handleBatch tries all of batch in one commit and, if that fails, one by one.
func (l *loop) handleBatch(ctx context.Context, batch []Ref) error {
	if len(batch) > 1 && l.commit(ctx, batch) == nil {
		return nil
	}
	for _, ref := range batch {
		err := l.commit(ctx, []Ref{ref})
		if errs.Is(err, errs.Conflict) {
			err = l.commit(ctx, []Ref{ref})
		}
		if err == nil || ctx.Err() != nil {
			continue
		}
		if err := l.postpone(ctx, ref, err); err != nil {
			return err
		}
	}
	return nil
}

// commit runs the handler for every ref in one transaction.
func (l *loop) commit(ctx context.Context, batch []Ref) error {
	tx := store.Begin(l.Store)
	for _, ref := range batch {
		entry, err := tx.Get(ctx, ref.Key())
		if err != nil {
			return err
		}
		if !entry.Exists() {
			continue // removed since the window was listed
		}
		again, err := l.kind.Handle(ctx, tx, ref)
		if err != nil {
			return err
		}
		next := Ref{Kind: ref.Kind, ID: ref.ID, Due: again}
		if !again.IsZero() && next.Key() == ref.Key() {
			continue
		}
		tx.Delete(ref.Key())
		if !again.IsZero() {
			Add(tx, next)
		}
	}
	_, err := tx.Commit(ctx)
	return err
}

// postpone moves ref to a later time, so that what cannot be handled neither
// blocks the head of the index nor is kept in memory.
func (l *loop) postpone(ctx context.Context, ref Ref, cause error) error {
	tx := store.Begin(l.Store)
	entry, err := tx.Get(ctx, ref.Key())
	if err != nil || !entry.Exists() {
		return err
	}
	n := attempts(entry.Value) + 1
	pause := l.MaxBackoff
	if n < 32 {
		pause = min(l.MinBackoff<<(n-1), l.MaxBackoff)
	}
	if pause <= 0 {
		pause = l.MaxBackoff
	}
	next := Ref{Kind: ref.Kind, ID: ref.ID, Due: l.Now().Add(pause)}
	l.Log.Warn("what is due cannot be ended; will try again",
		"kind", ref.Kind, "id", ref.ID, "attempts", n, "next", next.Due, "error", cause)
	if next.Key() != ref.Key() {
		tx.Delete(ref.Key())
	}
	tx.Put(next.Key(), binary.AppendUvarint([]byte{version}, n))
	_, err = tx.Commit(ctx)
	if errs.Is(err, errs.Conflict) {
		return nil // somebody else changed it: the next window shows how it is
	}
	return err
}

// attempts reads an index value; one that is not understood counts as new.
func attempts(value []byte) uint64 {
	if len(value) < 2 || value[0] != version {
		return 0
	}
	n, used := binary.Uvarint(value[1:])
	if used <= 0 {
		return 0
	}
	return n
}

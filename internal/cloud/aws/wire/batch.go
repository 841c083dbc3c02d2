package wire

import (
	"context"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Batch answers single questions by calls that take several. While one call is
// under way, further questions wait and are put together into the next; a
// question that comes alone is asked at once. It is safe for concurrent use, and
// its work is done by who asks.
type Batch[A any] struct {
	// Size is how many keys one call takes.
	Size int
	// Ask answers keys, at least one and all different, as far as it can.
	Ask func(ctx context.Context, keys []string) map[string]A

	mu      sync.Mutex
	busy    bool
	waiting []*question[A]
}

type question[A any] struct {
	key  string
	done chan struct{} // closed when the rest is set, or when it is the asker's turn to lead
	lead bool
	a    A
	ok   bool
}

// Get returns the answer to key; ok is false when the call that asked for several
// did not bring it, which says nothing about the key.
func (b *Batch[A]) Get(ctx context.Context, key string) (a A, ok bool, err error) {
	q := &question[A]{key: key, done: make(chan struct{})}
	b.mu.Lock()
	b.waiting = append(b.waiting, q)
	if b.busy {
		b.mu.Unlock()
		select {
		case <-q.done:
		case <-ctx.Done():
			return b.giveUp(ctx, q)
		}
		if !q.lead {
			return q.a, q.ok, nil
		}
	} else {
		b.busy = true
		b.mu.Unlock()
	}
	b.run(ctx)
	return q.a, q.ok, nil
}

// giveUp takes q out. If its turn to lead has come meanwhile, the next has it.
func (b *Batch[A]) giveUp(ctx context.Context, q *question[A]) (a A, ok bool, err error) {
	b.mu.Lock()
	for i, other := range b.waiting {
		if other == q {
			b.waiting = append(b.waiting[:i], b.waiting[i+1:]...)
			break
		}
	}
	lead := q.lead
	b.mu.Unlock()
	if lead {
		b.next()
	}
	return a, false, errs.Newf(errs.Unavailable, "waiting for other reads of the store: %w", ctx.Err())
}

// run asks what waits, as much as one call takes, and hands the lead on.
func (b *Batch[A]) run(ctx context.Context) {
	defer b.next()
	b.mu.Lock()
	n := min(len(b.waiting), b.Size)
	mine := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	b.mu.Unlock()
	var keys []string
	seen := map[string]bool{}
	for _, q := range mine {
		if !seen[q.key] {
			seen[q.key] = true
			keys = append(keys, q.key)
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), CallTimeout) // it is for the others too
	answers := b.Ask(ctx, keys)
	cancel()
	for _, q := range mine {
		q.a, q.ok = answers[q.key]
		if !q.lead {
			close(q.done)
		}
	}
}

// next lets the first of those that wait lead.
func (b *Batch[A]) next() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.busy = false
		return
	}
	q := b.waiting[0]
	q.lead = true
	close(q.done)
}

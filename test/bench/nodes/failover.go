package nodes

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	vault "github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

const (
	writers       = 12 // a secret each
	kills         = 4
	lull          = 4 * time.Second // of load before and after a kill
	deadlineOfOne = 2 * time.Second // a request that takes longer is asked of another node
)

// failover kills the leading node under load, some times, and tells for how long a client
// at most had no write acknowledged. What was acknowledged has to be there at the end.
func (c *cluster) failover(ctx context.Context) (worst time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	all := make([]*writer, writers)
	group, gctx := errgroup.WithContext(ctx)
	for i := range all {
		w := &writer{path: "failover/" + strconv.Itoa(i), at: i}
		if err := w.connect(c); err != nil {
			return 0, err
		}
		all[i] = w
		group.Go(func() error { return w.run(gctx, done) })
	}
	killed := c.kill(gctx, func() { // gaps are of kills only: loads begin and end
		for _, w := range all {
			w.gap.Store(0)
		}
	}, func() {
		for _, w := range all {
			worst = max(worst, time.Duration(w.gap.Load()))
		}
	})
	close(done)
	if err := group.Wait(); err != nil {
		return worst, err
	}
	if killed != nil {
		return worst, killed
	}
	for _, w := range all {
		if err := w.check(ctx, c.nodes[0]); err != nil {
			return worst, err
		}
	}
	return worst, nil
}

// kill ends the leader and starts it again, some times.
func (c *cluster) kill(ctx context.Context, before, after func()) error {
	for i := range kills {
		if err := pause(ctx, lull); err != nil {
			return err
		}
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		before()
		leader.Process.Stop(0)
		if err := pause(ctx, lull); err != nil {
			return err
		}
		after()
		c.rig.Say("  kill %d of %d: %s", i+1, kills, leader.name)
		if err := c.run(leader); err != nil {
			return err
		}
		if err := leader.Process.Await(ctx, func(ctx context.Context) error { return c.answers(ctx, leader) }); err != nil {
			return err
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// writer is a client that counts up in one secret, by whichever node answers.
type writer struct {
	path    string
	clients []*vault.Client
	at      int          // of clients
	acked   int          // the last number that was acknowledged
	gap     atomic.Int64 // ns, the longest time between two answers
}

func (w *writer) connect(c *cluster) error {
	for _, n := range c.nodes {
		client, err := rig.NewClient(n.URL, n.caFile(), c.root)
		if err != nil {
			return err
		}
		w.clients = append(w.clients, client)
	}
	return nil
}

func (w *writer) run(ctx context.Context, done <-chan struct{}) error {
	last := time.Now()
	for n := 1; ; n++ {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if err := w.write(ctx, n); err != nil {
			w.at++
			if time.Since(last) > time.Minute {
				return errs.Newf(errs.Unavailable, "no write was acknowledged for a minute: %w", err)
			}
			_ = pause(ctx, 20*time.Millisecond)
			continue
		}
		w.acked = n
		now := time.Now()
		if took := int64(now.Sub(last)); took > w.gap.Load() {
			w.gap.Store(took)
		}
		last = now
	}
}

func (w *writer) write(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, deadlineOfOne)
	defer cancel()
	_, err := w.clients[w.at%len(w.clients)].KVv2(rig.Mounted).Put(ctx, w.path, map[string]any{"n": strconv.Itoa(n)})
	return err
}

// check reads what is there: the last number that was acknowledged, or a later one whose
// answer was lost.
func (w *writer) check(ctx context.Context, at *node) error {
	s, err := at.Client.KVv2(rig.Mounted).Get(ctx, w.path)
	if err != nil {
		return err
	}
	text, _ := s.Data["n"].(string)
	if n, err := strconv.Atoi(text); err != nil || n < w.acked {
		return errs.Newf(errs.Internal, "%s has %q, although %d was acknowledged", w.path, text, w.acked)
	}
	return nil
}

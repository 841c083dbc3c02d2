package nodes

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

const (
	secrets = 500_000 // of two entries each
	starts  = 4
)

// Start fills a cluster with a million entries, kills each node by turns, when all are there, and
// measures from the start of its process to its first answer with a token; the slowest counts.
func Start(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	c, err := start(ctx, b, "full", 3, 0)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if err := c.fill(ctx); err != nil {
		return nil, err
	}
	var slowest time.Duration
	for i := range starts {
		n := c.nodes[i%len(c.nodes)]
		if err := c.whole(ctx); err != nil {
			return nil, err
		}
		n.Process.Stop(0)
		began := time.Now()
		if err := c.run(n); err != nil {
			return nil, err
		}
		if err := c.first(ctx, n, (i*7919+13)%secrets); err != nil {
			return nil, n.Process.Explain(err)
		}
		took := time.Since(began)
		b.Say("  %s: %d ms to the first answer", n.name, took.Milliseconds())
		slowest = max(slowest, took)
	}
	return []figure.Figure{figure.Within(startBound, "nodes-start", slowest.Seconds(), "s")}, nil
}

func name(i int) string { return "team-" + strconv.Itoa(i/1000) + "/app-" + strconv.Itoa(i) }

// fill writes the secrets by all nodes.
func (c *cluster) fill(ctx context.Context) error {
	c.rig.Say("  storing %d secrets", secrets)
	var done atomic.Int64
	return rig.Each(ctx, secrets, func(ctx context.Context, i int) error {
		if n := done.Add(1); n%50_000 == 0 {
			c.rig.Say("  %d of %d", n, secrets)
		}
		_, err := c.nodes[i%len(c.nodes)].Client.KVv2(rig.Mounted).Put(ctx, name(i), rig.SecretValue(i))
		return err
	})
}

// whole waits until all members take part: a node answers before its own does, and the rest
// has no majority when another one is killed meanwhile.
func (c *cluster) whole(ctx context.Context) error {
	for end := time.Now().Add(time.Minute); ; {
		s, err := c.nodes[0].Client.Logical().ReadWithContext(ctx, "sys/storage/raft/autopilot/state")
		if err == nil && s != nil && s.Data["healthy"] == true {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(errs.New(errs.Unavailable, "the members did not all take part within a minute"), err)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

// first asks a node that starts for a secret until it answers.
func (c *cluster) first(ctx context.Context, n *node, which int) error {
	client, err := rig.NewClient(n.URL, n.caFile(), c.root)
	if err != nil {
		return err
	}
	end := time.Now().Add(time.Minute)
	for {
		got, err := client.KVv2(rig.Mounted).Get(ctx, name(which))
		if err == nil {
			if got.Data["password"] != rig.SecretValue(which)["password"] {
				return errs.Newf(errs.Internal, "secret %s came back with another value than was stored", name(which))
			}
			return nil
		}
		select {
		case <-n.Process.Done():
			return err
		default:
		}
		if time.Now().After(end) {
			return errs.Newf(errs.Unavailable, "the node did not answer within a minute: %w", err)
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}

package nodes

import (
	"context"
	"slices"
	"strconv"
	"time"

	vault "github.com/hashicorp/vault/api"
	"golang.org/x/sync/errgroup"

	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/bench/wrk"
)

// connections of clients, to all nodes together.
const connections = 48

// together is the load that some nodes bear at once, and what it cost all of them.
type together struct {
	perSecond float64
	p99ms     float64       // the worst node's
	cpu       time.Duration // of all nodes, for one request
}

// load reads or writes secrets through so many nodes at once, as an application does.
func (c *cluster) load(ctx context.Context, mode string, through []*node) (together, error) {
	work := wrk.Load{Connections: connections / len(through), Duration: c.rig.Duration / 5, Args: []string{mode, strconv.Itoa(rig.Secrets)}}
	if _, err := c.at(ctx, work, through); err != nil {
		return together{}, err
	}
	work.Duration = c.rig.Duration
	before := c.processor()
	all, err := c.at(ctx, work, through)
	if err != nil {
		return together{}, err
	}
	spent := c.processor() - before
	var sum together
	var requests int64
	for _, o := range all {
		sum.perSecond += o.PerSecond()
		sum.p99ms = max(sum.p99ms, o.P99ms())
		requests += o.Requests
	}
	sum.cpu = spent / time.Duration(max(requests, 1))
	c.rig.Say("  %s through %d of %d nodes: %.0f/s, p99 %.1f ms, %s of CPU each", mode, len(through), len(c.nodes), sum.perSecond, sum.p99ms, sum.cpu.Round(100*time.Nanosecond))
	return sum, nil
}

func (c *cluster) at(ctx context.Context, work wrk.Load, through []*node) ([]wrk.Outcome, error) {
	all := make([]wrk.Outcome, len(through))
	g, ctx := errgroup.WithContext(ctx)
	for i, n := range through {
		g.Go(func() (err error) {
			work := work
			work.URL, work.Args = n.URL, append(slices.Clone(work.Args), n.token)
			if all[i], err = wrk.Run(ctx, c.rig, work); err != nil {
				return n.Process.Explain(err)
			}
			return nil
		})
	}
	return all, g.Wait()
}

// processor is the time that all nodes have had of it.
func (c *cluster) processor() (sum time.Duration) {
	for _, n := range c.nodes {
		sum += rig.CPUTime(n.Process.PID())
	}
	return sum
}

// prepare writes the secrets and makes the token of an application, which all nodes take.
func (c *cluster) prepare(ctx context.Context) error {
	first := c.nodes[0]
	if err := first.Fill(ctx); err != nil {
		return first.Process.Explain(err)
	}
	const policy = `path "secret/data/bench/*" { capabilities = ["create", "read", "update"] }`
	if err := first.Client.Sys().PutPolicyWithContext(ctx, "bench", policy); err != nil {
		return err
	}
	made, err := first.Client.Auth().Token().CreateWithContext(ctx, &vault.TokenCreateRequest{Policies: []string{"bench"}})
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		n.token = made.Auth.ClientToken
		knows := func(ctx context.Context) error {
			client, err := rig.NewClient(n.URL, n.caFile(), n.token)
			if err != nil {
				return err
			}
			_, err = client.KVv2(rig.Mounted).Get(ctx, rig.SecretPath(rig.Secrets-1))
			return err
		}
		if err := n.Process.Await(ctx, knows); err != nil {
			return err
		}
	}
	return nil
}

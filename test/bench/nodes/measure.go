package nodes

import (
	"context"
	"strconv"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// Bounds.
const (
	readBound     = 0.9 // three nodes on the cores that one had for itself
	readCostBound = 1.2 // processor time of a read, of all nodes
	scaleBound    = 2.7 // three nodes, each with a part of a core of its own, against one of them
	writeBound    = 0.5 // three nodes, each of which keeps every write
	gapBound      = 3.0 // s for which a client goes without an answer
	startBound    = 3.0 // s
)

// part of a core that a node has for itself where nodes are not to take each other's time: three of
// them leave more than half of this machine to its clients.
const part = 0.3

// Measure runs one node and three, first with a part of a core each, then with what the machine has
// for all.
func Measure(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	scaled, err := scale(ctx, b)
	if errs.Is(err, errs.Unsupported) {
		b.Say("  not measured, nodes with a part of a core each: %v", err)
	} else if err != nil {
		return nil, err
	}
	shared, err := share(ctx, b)
	return append(scaled, shared...), err
}

// scale measures nodes that have the same time each, however many there are, as nodes on machines
// of their own have.
func scale(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	_, aloneWrite, err := alone(ctx, b, "one-part", part)
	if err != nil {
		return nil, err
	}
	c, err := ready(ctx, b, "three-parts", 3, part)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	one, err := c.load(ctx, "read", c.nodes[:1])
	if err != nil {
		return nil, err
	}
	all, err := c.load(ctx, "read", c.nodes)
	if err != nil {
		return nil, err
	}
	writes, err := c.load(ctx, "write", c.nodes)
	return []figure.Figure{
		figure.AtLeast(scaleBound, "nodes-read-scale", all.perSecond, "req/s", one.perSecond),
		figure.AtLeast(writeBound, "nodes-write-scale", writes.perSecond, "req/s", aloneWrite.perSecond),
	}, err
}

// share measures nodes that may all use all cores, which one would have for itself. What
// three processes lose to each other shows in three that are not of one cluster.
func share(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	aloneRead, aloneWrite, err := alone(ctx, b, "one", 0)
	if err != nil {
		return nil, err
	}
	apartRead, err := apart(ctx, b)
	if err != nil {
		return nil, err
	}
	c, err := ready(ctx, b, "three", 3, 0)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	reads, err := c.load(ctx, "read", c.nodes)
	if err != nil {
		return nil, err
	}
	writes, err := c.load(ctx, "write", c.nodes)
	if err != nil {
		return nil, err
	}
	figures := []figure.Figure{
		figure.AtLeast(readBound, "nodes-read", reads.perSecond, "req/s", aloneRead.perSecond),
		figure.AtMost(readCostBound, "nodes-read-cpu", micros(reads.cpu), "µs", micros(aloneRead.cpu)),
		figure.AtLeast(readBound, "nodes-read-apart", reads.perSecond, "req/s", apartRead.perSecond),
		figure.AtMost(readCostBound, "nodes-read-apart-cpu", micros(reads.cpu), "µs", micros(apartRead.cpu)),
		figure.AtLeast(writeBound, "nodes-write", writes.perSecond, "req/s", aloneWrite.perSecond),
	}
	gap, err := c.failover(ctx)
	if err != nil {
		return figures, err
	}
	return append(figures, figure.Within(gapBound, "nodes-failover", gap.Seconds(), "s")), nil
}

// ready is a cluster with the secrets and the token of an application.
func ready(ctx context.Context, b *rig.Rig, name string, count int, part float64) (*cluster, error) {
	c, err := start(ctx, b, name, count, part)
	if err != nil {
		return nil, err
	}
	if err := c.prepare(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// alone is what one node reads and writes.
func alone(ctx context.Context, b *rig.Rig, name string, part float64) (reads, writes together, err error) {
	c, err := ready(ctx, b, name, 1, part)
	if err != nil {
		return reads, writes, err
	}
	defer c.stop()
	if reads, err = c.load(ctx, "read", c.nodes); err != nil {
		return reads, writes, err
	}
	writes, err = c.load(ctx, "write", c.nodes)
	return reads, writes, err
}

// apart is what three nodes read that know nothing of each other.
func apart(ctx context.Context, b *rig.Rig) (reads together, err error) {
	all := &cluster{rig: b}
	defer all.stop()
	for i := range 3 {
		c, err := ready(ctx, b, "apart-"+strconv.Itoa(i), 1, 0)
		if err != nil {
			return reads, err
		}
		all.nodes = append(all.nodes, c.nodes...)
	}
	return all.load(ctx, "read", all.nodes)
}

// micros is d in µs.
func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

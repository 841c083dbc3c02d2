package nodes

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
)

// Bounds.
const (
	readBound     = 0.9 // three nodes on the cores that one had for itself
	readCostBound = 1.2 // processor time of a read, of all nodes
	scaleBound    = 1.8 // two nodes with a core each
	writeBound    = 0.5 // three nodes, each of which keeps every write
	gapBound      = 3.0 // s for which a client goes without an answer
	startBound    = 3.0 // s
)

// Measure runs one node and then three, first with a core for each, then with what the
// machine has for all. Three share the cores of one then: that reads scale would show in
// that a read costs no more processor time for there being three.
func Measure(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	scaled, err := scale(ctx, b)
	if err != nil {
		return nil, err
	}
	shared, err := share(ctx, b)
	return append(scaled, shared...), err
}

// scale measures nodes that may use one core each, as nodes on machines of their own: how
// many reads two of them answer where one did, and what a node writes for there being three,
// which have two cores here.
func scale(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	_, aloneWrite, err := alone(ctx, b, "one-core", 1)
	if err != nil {
		return nil, err
	}
	c, err := start(ctx, b, "three-cores", 3, 1)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	token, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	one, err := c.load(ctx, "read", c.nodes[:1], token)
	if err != nil {
		return nil, err
	}
	two, err := c.load(ctx, "read", c.nodes[:2], token)
	if err != nil {
		return nil, err
	}
	writes, err := c.load(ctx, "write", c.nodes, token)
	return []figure.Figure{
		figure.AtLeast(scaleBound, "nodes-read-scale", two.perSecond, "req/s", one.perSecond),
		figure.AtLeast(writeBound, "nodes-write-core", writes.perSecond, "req/s", aloneWrite.perSecond),
	}, err
}

// share measures nodes that may all use all cores.
func share(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	aloneRead, aloneWrite, err := alone(ctx, b, "one", 0)
	if err != nil {
		return nil, err
	}
	c, err := start(ctx, b, "three", 3, 0)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	token, err := c.prepare(ctx)
	if err != nil {
		return nil, err
	}
	reads, err := c.load(ctx, "read", c.nodes, token)
	if err != nil {
		return nil, err
	}
	writes, err := c.load(ctx, "write", c.nodes, token)
	if err != nil {
		return nil, err
	}
	figures := []figure.Figure{
		figure.AtLeast(readBound, "nodes-read", reads.perSecond, "req/s", aloneRead.perSecond),
		figure.AtMost(readCostBound, "nodes-read-cpu", micros(reads.cpu), "µs", micros(aloneRead.cpu)),
		figure.AtLeast(writeBound, "nodes-write", writes.perSecond, "req/s", aloneWrite.perSecond),
	}
	gap, err := c.failover(ctx)
	if err != nil {
		return figures, err
	}
	return append(figures, figure.Within(gapBound, "nodes-failover", gap.Seconds(), "s")), nil
}

// alone is what one node reads and writes.
func alone(ctx context.Context, b *rig.Rig, name string, cores int) (reads, writes together, err error) {
	c, err := start(ctx, b, name, 1, cores)
	if err != nil {
		return reads, writes, err
	}
	defer c.stop()
	token, err := c.prepare(ctx)
	if err != nil {
		return reads, writes, err
	}
	if reads, err = c.load(ctx, "read", c.nodes, token); err != nil {
		return reads, writes, err
	}
	writes, err = c.load(ctx, "write", c.nodes, token)
	return reads, writes, err
}

// micros is d in µs.
func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

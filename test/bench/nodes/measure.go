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
	writeBound    = 0.5 // three nodes, each of which keeps every write
	gapBound      = 3.0 // s for which a client goes without an answer
	startBound    = 3.0 // s
)

// Measure runs one node and then three. Three share the cores of one here: that reads
// scale shows in that a read costs no more processor time for there being three.
func Measure(ctx context.Context, b *rig.Rig) ([]figure.Figure, error) {
	aloneRead, aloneWrite, err := alone(ctx, b)
	if err != nil {
		return nil, err
	}
	c, err := start(ctx, b, "three", 3)
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
func alone(ctx context.Context, b *rig.Rig) (reads, writes together, err error) {
	c, err := start(ctx, b, "one", 1)
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

package quota

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// counter counts the leases under one rule: once from the store, then by what is
// told of those made and ended, and anew now and then, for an end may be told
// twice. Until the first count is done nothing is refused.
type counter struct {
	Rule
	n       atomic.Int64
	counted atomic.Int64 // when it was counted from the store, Unix seconds; 0 = not yet
	looked  atomic.Int64 // at how many leases then: what counting costs
	busy    atomic.Bool
	changed atomic.Bool // another node may have made or ended leases since
}

// How old a count may become: if this node knows of all that was made and ended since, and if it does
// not, when counting is cheap and when it is not.
const (
	recountAfter        = 10 * time.Minute
	recountChanged      = 5 * time.Second
	recountManyOfOthers = time.Minute
)

func (c *counter) due(now time.Time) bool {
	most := recountAfter
	if c.changed.Load() {
		most = recountManyOfOthers
		if c.looked.Load() <= cheap {
			most = recountChanged
		}
	}
	return now.Sub(time.Unix(c.counted.Load(), 0)) > most
}

// recount counts in the background, one at a time for each rule.
func (b *Book) recount(c *counter) {
	if b.cfg.Go == nil || !c.busy.CompareAndSwap(false, true) {
		return
	}
	b.cfg.Go(func(ctx context.Context) {
		defer c.busy.Store(false)
		_ = b.count(ctx, c) // the next lease tries again
	})
}

func (b *Book) count(ctx context.Context, c *counter) error {
	c.changed.Store(false) // what changes from here on may not be counted
	before := c.n.Load()
	n, looked, err := b.cfg.Count(ctx, c.covers, func(t *Target) bool { return c.fits(t) != fitsNot })
	if err != nil {
		return errs.Newf(errs.KindOf(err), "counting leases: %w", err)
	}
	c.n.Add(int64(n) - before) // what was made and ended meanwhile stays counted
	c.looked.Store(int64(looked))
	c.counted.Store(b.cfg.Now().Unix())
	return nil
}

// Lease asks whether one more lease may be made. Kind Exhausted: the most
// special rule for it says no. Many at once may go over by their number.
func (b *Book) Lease(ctx context.Context, t *Target) error { //nolint:cyclop // a flat list of conditions
	in := b.rules.Load()
	var best *counter
	fit := fitsNot
	for _, c := range in.counters {
		if f := c.fits(t); f > fit || f == fit && f != fitsNot && len(c.Path) > len(best.Path) {
			best, fit = c, f
		}
	}
	if best == nil {
		return nil
	}
	now := b.cfg.Now()
	if best.due(now) {
		b.recount(best)
	}
	if best.counted.Load() == 0 || best.n.Load() < best.MaxLeases {
		return nil
	}
	// Nobody is refused by a count that is off, as long as counting is cheap.
	if best.looked.Load() <= cheap && best.counted.Load() < now.Unix() && best.busy.CompareAndSwap(false, true) {
		err := b.count(ctx, best)
		best.busy.Store(false)
		if err != nil {
			return err
		}
		if best.n.Load() < best.MaxLeases {
			return nil
		}
	}
	return errs.Newf(errs.Exhausted, "request path %q: lease count quota exceeded: there are %d leases under the quota %q", t.Path, best.MaxLeases, best.Name)
}

// cheap is up to how many leases are looked at while a request waits.
const cheap = 10_000

// Made is told of every lease that was made.
func (b *Book) Made(t *Target) { b.add(t, 1) }

// Ended is told of every lease that ended.
func (b *Book) Ended(t *Target) { b.add(t, -1) }

func (b *Book) add(t *Target, n int64) {
	for _, c := range b.rules.Load().counters {
		if c.fits(t) != fitsNot {
			c.n.Add(n)
		}
	}
}

// Changed is told when any node has made or ended leases of a mount, which Made and Ended may not have
// been told of here.
func (b *Book) Changed(ns, mount string) {
	for _, c := range b.rules.Load().counters {
		if c.covers(ns, mount) && !c.changed.Load() {
			c.changed.Store(true)
		}
	}
}

// Stale reports whether leases under a rule were made or ended of which it may not know.
func (b *Book) Stale(name string) bool {
	return slices.ContainsFunc(b.rules.Load().counters, func(c *counter) bool { return c.Name == name && c.changed.Load() })
}

// Usage returns how many leases a rule counts now; false: it is not counted yet.
func (b *Book) Usage(name string) (int64, bool) {
	for _, c := range b.rules.Load().counters {
		if c.Name == name {
			return max(c.n.Load(), 0), c.counted.Load() != 0
		}
	}
	return 0, false
}

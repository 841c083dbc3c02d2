package workload

import (
	"context"
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/test/chaos/history"
	"github.com/strongkeep/strongkeep/test/chaos/world"
)

// Recover waits until every node answers and takes a write, and all that were members are again,
// and says how long that took.
func (l *Load) Recover(ctx context.Context) (time.Duration, error) {
	c := l.client(-2)
	defer c.close()
	began := time.Now()
	for node := range c.apis {
		for {
			w := c.write(node, l.keys[0], -1)
			l.cfg.Log.Add(w)
			r := c.read(node, l.keys[0], true)
			l.cfg.Log.Add(r)
			if w.Outcome == history.OK && r.Outcome == history.OK {
				break
			}
			if ctx.Err() != nil {
				return time.Since(began), fmt.Errorf("node %d: %s; %s", node, w, r)
			}
			rest(ctx, 100*time.Millisecond)
		}
	}
	for {
		err := l.whole(ctx)
		if err == nil {
			return time.Since(began), nil
		}
		if ctx.Err() != nil {
			return time.Since(began), fmt.Errorf("the members: %w", err)
		}
		rest(ctx, 100*time.Millisecond)
	}
}

func (l *Load) whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return l.cfg.World.Whole(ctx)
}

// Verify reads the newest version of each key at each node, and each version by itself: those
// that were acknowledged, and those that came of writes whose outcome nobody was told.
func (l *Load) Verify() error {
	c := l.client(-3)
	defer c.close()
	for _, key := range l.keys {
		newest := 0
		for node := range c.apis {
			r := l.sure(c, history.Op{Kind: history.Read, Key: key, Node: node, Indexed: true, Final: true}, "kv/data/"+key)
			if r.Outcome != history.OK {
				return fmt.Errorf("reading at the end: %s", r)
			}
			newest = max(newest, r.Version)
			l.cfg.Log.Add(r)
		}
		for _, o := range l.cfg.Log.Ops() { // one that was acknowledged and is not there is a fault, too
			if o.Key == key && o.Kind == history.Write && o.Outcome == history.OK {
				newest = max(newest, o.Version)
			}
		}
		for version := max(1, newest-world.Versions+1); version <= newest; version++ { // the vault need not keep others
			r := l.sure(c, history.Op{Kind: history.Read, Key: key, Final: true, Node: c.rand.IntN(len(c.apis))}, fmt.Sprintf("kv/data/%s?version=%d", key, version))
			if r.Outcome != history.OK {
				return fmt.Errorf("reading each version: %s", r)
			}
			r.Version = version // where nothing is there, it says no version
			l.cfg.Log.Add(r)
		}
	}
	return nil
}

// sure asks a few times: a node may just have been found by others again.
func (l *Load) sure(c *asker, o history.Op, path string) history.Op {
	for range 20 {
		if r := c.get(o, path); r.Outcome == history.OK {
			return r
		}
		rest(context.Background(), 100*time.Millisecond)
	}
	return c.get(o, path)
}

package format

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// every is how often a node looks, and settled is how long one has to have had the vault open
// before it can say which nodes live.
const (
	every   = time.Second
	settled = 20 * time.Second // more than a node's entry on the roster may be old
	told    = 5 * time.Second  // more than passes between a commit and its event on a node that is Current
)

// Config of a Keeper. All fields are set, but where it says so.
type Config struct {
	Raw     store.Store // below the sealing
	Program Program     // zero = This
	Hold    bool        // never switch a newer format on
	Node    Node        // nil = nobody else uses the store
	Log     *slog.Logger
}

// Node is this one among others: unsealed.Vault.
type Node interface {
	SayAlive(ctx context.Context) error // puts it on the roster that Nodes reads
	Nodes(ctx context.Context) ([]leader.NodeStatus, error)
	Leader() (leader.Status, bool)
	Current() error // whether it hears of the others
}

// Keeper holds one node to the format of its store while the vault is open. It is safe for
// concurrent use.
type Keeper struct {
	cfg     Config
	now     atomic.Pointer[Record]
	refused atomic.Pointer[error]
	joined  store.Revision // of JoinKey, when run last looked
	since   time.Time      // when run first saw that
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Open has a node begin to use the store, until Close. Kinds: Unsupported (this program must not), and
// those of the store.
func Open(ctx context.Context, c Config) (*Keeper, error) {
	if c.Program.Newest == 0 {
		c.Program = This
	}
	k := &Keeper{cfg: c, stop: func() {}}
	if c.Node != nil {
		if err := c.Node.SayAlive(ctx); err != nil {
			return nil, err
		}
		if _, err := c.Raw.Apply(ctx, store.Put(JoinKey, nil)); err != nil {
			return nil, errs.Newf(errs.KindOf(err), "announcing this node: %w", err)
		}
	}
	r, err := c.Program.Check(ctx, c.Raw)
	if err != nil {
		return nil, err
	}
	k.now.Store(&r)
	if c.Node == nil {
		k.advance(ctx)
		return k, nil
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	k.stop = stop
	k.done.Go(func() { k.run(running) })
	return k, nil
}

// Close ends what Open began.
func (k *Keeper) Close() {
	k.stop()
	k.done.Wait()
}

// Record is what the store says, a second old at most.
func (k *Keeper) Record() Record { return *k.now.Load() }

// Writes is the format in which to write now.
func (k *Keeper) Writes() int { return min(k.now.Load().Written, k.cfg.Program.Newest) }

// Refused returns Unavailable once the others have switched on what this program cannot read,
// or the vault was moved into another store.
func (k *Keeper) Refused() error {
	if err := k.refused.Load(); err != nil {
		return *err
	}
	return nil
}

// run follows the store until ctx ends, and switches the newest format on when all can read it.
func (k *Keeper) run(ctx context.Context) {
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		k.look(ctx)
		if status, _ := k.cfg.Node.Leader(); status.Self && time.Since(began) >= settled && k.cfg.Node.Current() == nil {
			k.settle(ctx)
		}
	}
}

// look takes up what the store says: its format, and whether the vault was moved out of it.
func (k *Keeper) look(ctx context.Context) {
	r, err := Read(ctx, k.cfg.Raw)
	if err != nil {
		return // of a store that does not answer the vault hears by itself
	}
	k.now.Store(&r)
	if err = k.cfg.Program.refuses(r); err == nil {
		err = snapshot.Usable(ctx, k.cfg.Raw)
	}
	if !errs.Is(err, errs.Unsupported) && !errs.Is(err, errs.Invalid) {
		return
	}
	if k.refused.Load() == nil {
		k.cfg.Log.Error("this node serves nothing any more", "error", err)
	}
	err = errs.Newf(errs.Unavailable, "this node serves nothing any more: %w", err)
	k.refused.Store(&err)
}

// settle switches on what every node that lives can read.
func (k *Keeper) settle(ctx context.Context) {
	if k.cfg.Hold || k.now.Load().Written >= k.cfg.Program.Newest && k.now.Load().Revision != 0 {
		return
	}
	joined, err := k.cfg.Raw.Get(ctx, JoinKey)
	if err != nil {
		return
	}
	if joined.Revision != k.joined {
		k.joined, k.since = joined.Revision, time.Now()
	}
	if time.Since(k.since) < told {
		return // who has just come may be on the roster, and not yet be known to live
	}
	nodes, err := k.cfg.Node.Nodes(ctx)
	if err != nil {
		return
	}
	if slices.ContainsFunc(nodes, func(n leader.NodeStatus) bool { return n.Alive && max(n.Format, first) < k.cfg.Program.Newest }) {
		return
	}
	k.advance(ctx, store.Check(JoinKey, joined.Revision))
}

// advance has the store say that the newest format is written, on condition of what it said
// before. What fails is tried again by run, or at the next start.
func (k *Keeper) advance(ctx context.Context, checks ...store.Change) {
	was := k.now.Load()
	next := Record{Written: was.Written, Reader: was.Reader, Program: k.cfg.Program.Version}
	if k.cfg.Program.Newest > was.Written && !k.cfg.Hold {
		next.Written, next.Reader = k.cfg.Program.Newest, max(was.Reader, k.cfg.Program.Reader)
	}
	if was.Revision != 0 && next.Written == was.Written {
		return
	}
	value, err := json.Marshal(next)
	if err != nil {
		return
	}
	rev, err := k.cfg.Raw.Apply(ctx, append(checks, store.Put(Key, value).If(was.Revision))...)
	if err != nil {
		if !errs.Is(err, errs.Conflict) && ctx.Err() == nil {
			k.cfg.Log.Warn("switching on the format of the store", "format", next.Written, "error", err)
		}
		return
	}
	next.Revision = rev
	k.now.Store(&next)
	k.cfg.Log.Info("the store says which programs may use it", "format", next.Written, "oldest_reader", next.Reader)
}

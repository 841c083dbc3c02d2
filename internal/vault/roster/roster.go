package roster

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Prefix is the folder of the entries.
const Prefix = "core/nodes/"

const (
	every = 5 * time.Second
	dead  = 15 * time.Second // without an entry that is written, by the clock of who looks
	gone  = time.Hour        // after which the leader removes it
)

// Config of a Roster. All fields are set.
type Config struct {
	Store   store.Store
	Self    leader.Node
	Version string               // of the program
	Format  int                  // the newest of the store that it reads
	Leader  func() leader.Status // as this node knows it
	Now     func() time.Time
	Log     *slog.Logger
}

// Roster is one node's list of all. It is safe for concurrent use.
type Roster struct {
	cfg    Config
	opened time.Time

	mu    sync.Mutex
	heard map[string]time.Time // by node ID
}

// New returns the roster of a node that opens the vault now.
func New(cfg Config) *Roster {
	return &Roster{cfg: cfg, opened: cfg.Now().UTC(), heard: map[string]time.Time{}}
}

// Note says that the entry of a node was written now.
func (r *Roster) Note(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	r.heard[id] = now
	maps.DeleteFunc(r.heard, func(_ string, last time.Time) bool { return now.Sub(last) > 2*gone }) // each start has another ID
}

func (r *Roster) last(id string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard[id]
}

// All are the nodes that have the vault open, or had it within the hour, by name.
func (r *Roster) All(ctx context.Context) ([]leader.NodeStatus, error) {
	status := r.cfg.Leader()
	all := []leader.NodeStatus{{
		Node: r.cfg.Self, Version: r.cfg.Version, Format: r.cfg.Format, Since: r.opened, Heard: r.cfg.Now(), Alive: true, Self: true, Leading: status.Self,
	}}
	ids, err := r.cfg.Store.List(ctx, Prefix, "", 0)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		e, err := r.cfg.Store.Get(ctx, Prefix+id)
		if err != nil {
			return nil, err
		}
		if id == r.cfg.Self.ID || !e.Exists() {
			continue
		}
		n := leader.NodeStatus{Heard: r.last(id), Leading: status.Leader.ID == id}
		if err := json.Unmarshal(e.Value, &n); err != nil {
			return nil, errs.Newf(errs.Internal, "the entry of the node %.40q cannot be read", id)
		}
		n.Alive = !n.Heard.IsZero() && r.cfg.Now().Sub(n.Heard) < dead
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b leader.NodeStatus) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// Run says again and again that this node lives, until ctx ends; then its entry is removed.
func (r *Roster) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := r.say(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Warn("telling other nodes that this one lives", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, _ = r.cfg.Store.Apply(last, store.Delete(Prefix+r.cfg.Self.ID)) // or its silence tells
			return
		}
	}
}

func (r *Roster) say(ctx context.Context) error {
	if err := r.Say(ctx); err != nil || !r.cfg.Leader().Self {
		return err
	}
	return r.tidy(ctx)
}

// Say says once that this node lives.
func (r *Roster) Say(ctx context.Context) error {
	value, err := json.Marshal(leader.NodeStatus{Node: r.cfg.Self, Version: r.cfg.Version, Format: r.cfg.Format, Since: r.opened})
	if err != nil {
		return err
	}
	_, err = r.cfg.Store.Apply(ctx, store.Put(Prefix+r.cfg.Self.ID, value))
	return err
}

// tidy removes the entries of nodes that were killed.
func (r *Roster) tidy(ctx context.Context) error {
	ids, err := r.cfg.Store.List(ctx, Prefix, "", 0)
	if err != nil {
		return err
	}
	for _, id := range ids {
		last := r.last(id)
		if last.IsZero() {
			last = r.opened
		}
		if r.cfg.Now().Sub(last) <= gone {
			continue
		}
		if _, err := r.cfg.Store.Apply(ctx, store.Delete(Prefix+id)); err != nil {
			return err
		}
	}
	return nil
}

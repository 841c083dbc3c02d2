package unsealed

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const (
	nodesPrefix = "core/nodes/"    // an entry for each node, by its ID, written again every rosterBeat
	stepDownKey = "core/step-down" // written to have the leader step down
	rosterBeat  = 5 * time.Second
	rosterDead  = 15 * time.Second // without a beat, by the clock of who looks
	rosterGone  = time.Hour        // after which the leader removes the entry
)

// roster knows which nodes there are. It is fed by the follower.
type roster struct {
	mu    sync.Mutex
	heard map[string]time.Time // by node ID
}

func (r *roster) note(id string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.heard == nil {
		r.heard = map[string]time.Time{}
	}
	r.heard[id] = at
}

func (r *roster) last(id string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.heard[id]
}

// Nodes are those that have this vault open, or had it within the hour, by name.
func (v *Vault) Nodes(ctx context.Context) ([]leader.NodeStatus, error) {
	self := leader.NodeStatus{Node: v.node, Version: v.cfg.Version, Since: v.opened, Heard: v.cfg.Now(), Alive: true, Self: true}
	if v.follower == nil {
		self.Leading = true
		return []leader.NodeStatus{self}, nil
	}
	status, _ := v.Leader()
	self.Leading = status.Self
	all := []leader.NodeStatus{self}
	ids, err := v.Store.List(ctx, nodesPrefix, "", 0)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		e, err := v.Store.Get(ctx, nodesPrefix+id)
		if err != nil {
			return nil, err
		}
		if id == v.node.ID || !e.Exists() {
			continue
		}
		n := leader.NodeStatus{Heard: v.roster.last(id), Leading: status.Leader.ID == id}
		if err := json.Unmarshal(e.Value, &n); err != nil {
			return nil, errs.Newf(errs.Internal, "the entry of the node %.40q cannot be read", id)
		}
		n.Alive = !n.Heard.IsZero() && v.cfg.Now().Sub(n.Heard) < rosterDead
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b leader.NodeStatus) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return all, nil
}

// beat says again and again that this node lives, and removes it at the end.
func (v *Vault) beat(ctx context.Context) {
	tick := time.NewTicker(rosterBeat)
	defer tick.Stop()
	key := nodesPrefix + v.node.ID
	for {
		if err := v.say(ctx, key); err != nil && ctx.Err() == nil {
			v.cfg.Log.Warn("telling other nodes that this one lives", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_, _ = v.Store.Apply(last, store.Delete(key)) // or its silence tells
			return
		}
	}
}

func (v *Vault) say(ctx context.Context, key string) error {
	value, err := json.Marshal(leader.NodeStatus{Node: v.node, Version: v.cfg.Version, Since: v.opened})
	if err != nil {
		return err
	}
	if _, err := v.Store.Apply(ctx, store.Put(key, value)); err != nil {
		return err
	}
	if v.duty.fenced.Load() == nil {
		return nil
	}
	return v.tidyRoster(ctx)
}

// tidyRoster removes the entries of nodes that were killed.
func (v *Vault) tidyRoster(ctx context.Context) error {
	ids, err := v.Store.List(ctx, nodesPrefix, "", 0)
	if err != nil {
		return err
	}
	for _, id := range ids {
		last := v.roster.last(id)
		if last.IsZero() {
			last = v.opened
		}
		if v.cfg.Now().Sub(last) > rosterGone {
			if _, err := v.Store.Apply(ctx, store.Delete(nodesPrefix+id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// AskStepDown has whichever node does the background work leave it to another. Where there
// are no others it does nothing.
func (v *Vault) AskStepDown(ctx context.Context) error {
	if v.duty.elector == nil {
		return nil
	}
	_, err := v.Store.Apply(ctx, store.Put(stepDownKey, nil))
	return err
}

// hear takes note of what nodes tell each other.
func (v *Vault) hear(ctx context.Context, c *store.Change, revision store.Revision) {
	if c.Key == EventsKey && c.Value != nil {
		v.retell(c.Value, revision)
	}
	if id, ok := strings.CutPrefix(c.Key, wakePrefix); ok {
		v.workers.Wake(id)
	}
	if id, ok := strings.CutPrefix(c.Key, nodesPrefix); ok && c.Op == store.OpPut {
		v.roster.note(id, v.cfg.Now())
	}
	if c.Key == stepDownKey {
		v.work.Go(func() {
			if err := v.StepDown(ctx); err != nil && !errs.Is(err, errs.Invalid) {
				v.cfg.Log.Warn("leaving the background work to another node", "error", err)
			}
		})
	}
}

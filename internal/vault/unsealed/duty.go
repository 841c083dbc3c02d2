package unsealed

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/roster"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// wakePrefix is the folder of what tells the leader that the worker of a mount has
// something to do: an entry for each mount, written anew each time.
const wakePrefix = "core/wake/"

// stepDownKey is written to have the leader step down.
const stepDownKey = "core/step-down"

// duty is the background work of all nodes, as far as this one does it. The zero duty is
// that of a node that does nothing yet.
type duty struct {
	elector *leader.Elector             // nil = nobody else writes to the store
	fenced  atomic.Pointer[store.Store] // what work is committed through; nil = this node does not lead, or is alone
	mu      sync.Mutex                  // serialises what follows, and starting and stopping work by it
	held    bool                        // leases are held
	leading bool                        // this node leads, or is alone

	wakes struct {
		sync.Mutex
		ids   map[string]bool // of mounts that the leader's worker is to be woken for
		asked chan struct{}   // capacity 1
	}
}

// takeDuty has this node do the background work, if it is alone, or stand for it.
func (v *Vault) takeDuty(held bool) {
	d := &v.duty
	d.held = held
	if v.cfg.MaxSilence == 0 {
		d.leading = true
		v.settle()
		v.work.Go(func() { v.purger.Run(v.lifetime, v.Store) })
		return
	}
	v.settle() // holds the workers of mounts that come by the watch, until this node leads
	d.wakes.ids, d.wakes.asked = map[string]bool{}, make(chan struct{}, 1)
	v.work.Go(func() { v.tellLeader(v.lifetime) })
	d.elector = leader.Start(leader.Config{
		Store: v.Store, Node: v.node, TTL: v.cfg.LeaderTTL, Lead: v.lead, Fit: v.Current, Now: v.cfg.Now, Log: v.cfg.Log,
	})
}

// lead does the background work until ctx ends. What it commits is fenced from before it
// begins until after it has ended.
func (v *Vault) lead(ctx context.Context, fenced store.Store) {
	v.duty.fenced.Store(&fenced)
	v.setLeading(true)
	var looking sync.WaitGroup
	looking.Go(func() { v.lookAnyway(ctx) })
	v.purger.Run(ctx, fenced)
	looking.Wait()
	v.setLeading(false) // waits for workers, whose contexts have ended
	v.duty.fenced.Store(nil)
}

// lookAnyway wakes all workers now and then, until ctx ends: a node may have been killed behind a commit
// of which it was to tell.
func (v *Vault) lookAnyway(ctx context.Context) {
	tick := time.NewTicker(100 * cmp.Or(v.cfg.LeaderTTL, leader.DefaultTTL))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			v.wakeAll()
		case <-ctx.Done():
			return
		}
	}
}

func (v *Vault) wakeAll() {
	for _, m := range v.Mounts.Table().All() {
		v.workers.Wake(m.ID)
	}
}

func (v *Vault) setLeading(leading bool) {
	v.duty.mu.Lock()
	defer v.duty.mu.Unlock()
	v.duty.leading = leading
	v.settle()
}

// hold stops all that ends or works by itself, or lets it go on.
func (v *Vault) hold(held bool) {
	v.duty.mu.Lock()
	defer v.duty.mu.Unlock()
	v.duty.held = held
	v.settle()
}

// settle has work done, or not. The caller holds duty.mu, or is alone.
func (v *Vault) settle() {
	idle := v.duty.held || !v.duty.leading
	v.expirer.Hold(idle)
	v.workers.Hold(idle)
	if !idle {
		v.syncWork()
	}
}

// Leader says which node does the background work; false: there are no other nodes.
func (v *Vault) Leader() (leader.Status, bool) {
	if v.duty.elector == nil {
		return leader.Status{Leader: v.node, Self: true}, false
	}
	return v.duty.elector.Status(), true
}

// StepDown has this node leave the background work to another. Kinds: Invalid (it does not
// do it), Unavailable.
func (v *Vault) StepDown(ctx context.Context) error {
	if v.duty.elector == nil {
		return errs.New(errs.Invalid, "there is no other node that could do the background work")
	}
	return v.duty.elector.StepDown(ctx)
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

// Nodes are those that have this vault open, or had it within the hour, by name.
func (v *Vault) Nodes(ctx context.Context) ([]leader.NodeStatus, error) {
	if v.roster == nil {
		now := v.cfg.Now()
		return []leader.NodeStatus{{Node: v.node, Version: v.cfg.Version, Heard: now, Alive: true, Leading: true, Self: true}}, nil
	}
	return v.roster.All(ctx)
}

// SayAlive has others know that this node lives. Where there are no others it does nothing.
func (v *Vault) SayAlive(ctx context.Context) error {
	if v.roster == nil {
		return nil
	}
	return v.roster.Say(ctx)
}

// hear takes note of what nodes tell each other.
func (v *Vault) hear(c *store.Change, revision store.Revision) {
	if c.Op != store.OpPut {
		return
	}
	if id, ok := strings.CutPrefix(c.Key, wakePrefix); ok {
		v.workers.Wake(id)
	}
	if id, ok := strings.CutPrefix(c.Key, roster.Prefix); ok {
		v.roster.Note(id)
	}
	switch c.Key {
	case EventsKey:
		v.retell(c.Value, revision)
	case stepDownKey:
		v.duty.elector.Leave(revision)
	}
}

// hearAll makes good what hear would have done about events that are lost.
func (v *Vault) hearAll(ctx context.Context) error {
	asked, err := v.Store.Get(ctx, stepDownKey)
	if err != nil {
		return err
	}
	v.duty.elector.Leave(asked.Revision)
	v.wakeAll() // others may have asked for it
	return nil
}

// wake has the worker of a mount work soon, on whichever node it is. It never waits.
func (v *Vault) wake(id string) {
	v.workers.Wake(id)
	d := &v.duty
	if d.wakes.asked == nil || d.fenced.Load() != nil {
		return
	}
	d.wakes.Lock()
	d.wakes.ids[id] = true
	d.wakes.Unlock()
	select {
	case d.wakes.asked <- struct{}{}:
	default: // it looks anyway
	}
}

// wakeAgain is how long after one that could not be told a wake is told again.
const wakeAgain = time.Second

// tellLeader writes for whom there is work. What is lost here is done all the same: a worker
// looks by itself from time to time, and a new leader's looks at once.
func (v *Vault) tellLeader(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.duty.wakes.asked:
		}
		v.duty.wakes.Lock()
		ids := v.duty.wakes.ids
		v.duty.wakes.ids = map[string]bool{}
		v.duty.wakes.Unlock()
		pause := time.Duration(0)
		for id := range ids {
			if _, err := v.Store.Apply(ctx, store.Put(wakePrefix+id, nil)); err != nil && ctx.Err() == nil {
				v.cfg.Log.Warn("telling the node that does the background work that there is some", "error", err)
				v.wake(id) // again
				pause = wakeAgain
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// onDuty is the store as background work sees it: nothing is written but by who leads.
type onDuty struct {
	store.Store
	duty *duty
}

// Apply implements store.Store.
func (s onDuty) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	fenced := s.duty.fenced.Load()
	if fenced == nil {
		return 0, leader.ErrLost
	}
	return (*fenced).Apply(ctx, changes...)
}

// dutyStore is what a transaction of background work is committed through: if it is begun while
// this node leads, it is not written once it does not. ErrLost: it does not lead.
func (v *Vault) dutyStore() (store.Store, error) {
	if v.cfg.MaxSilence == 0 {
		return v.Store, nil
	}
	fenced := v.duty.fenced.Load()
	if fenced == nil {
		return nil, leader.ErrLost
	}
	return *fenced, nil
}

// workStore is what the expirer works on.
func (v *Vault) workStore() store.Store {
	if v.cfg.MaxSilence == 0 {
		return v.Store
	}
	return onDuty{v.Store, &v.duty}
}

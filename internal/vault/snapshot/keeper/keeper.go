package keeper

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/room"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Keys sign snapshots and open what is in them; seal.Keyring does.
type Keys interface {
	snapshot.Keys
	snapshot.Opener
}

// Config of a Keeper. All fields are set, but where it says so.
type Config struct {
	Raw     store.Store // the base store
	Keys    Keys
	Scratch string // directory of its own, for trials; emptied at will
	Open    func(ctx context.Context, p *Plan) (place.Place, error)
	// Decrypt returns the view of a base store that the vault's keys open.
	Decrypt func(raw store.Store) (store.Store, error)
	// Unseal opens the vault in a copy of the store by the keys that unseal without people, and closes it
	// again; false: there are none.
	Unseal  func(ctx context.Context, copied store.Store) (bool, error)
	Room    func() (room.Space, error) // nil = what the disk of Scratch has
	Version string
	Now     func() time.Time
	Log     *slog.Logger
}

// Keeper keeps the plans. Tend belongs to one goroutine; the other methods may be called
// at any time.
type Keeper struct {
	cfg Config

	wake chan struct{} // capacity 1

	mu       sync.Mutex
	state    map[string]State
	answered map[string]store.Revision // of what was asked for, by plan
	judged   map[string]error          // what reading back PLAN/SNAPSHOT has shown
	told     map[string]bool           // PLAN/SNAPSHOT that do not count
}

// New returns a Keeper that knows no plan.
func New(cfg Config) *Keeper {
	if cfg.Room == nil {
		cfg.Room = func() (room.Space, error) { return room.Of(cfg.Scratch) }
	}
	return &Keeper{
		cfg: cfg, wake: make(chan struct{}, 1), state: map[string]State{}, answered: map[string]store.Revision{},
		judged: map[string]error{}, told: map[string]bool{},
	}
}

// State is how a plan is doing on this node.
type State struct {
	Proven   time.Time     // when the newest proven snapshot was made; zero = there is none, or none is known
	Name     string        // of that
	Proof    Proof         // of that, if this node made it
	Next     time.Time     // when one is due; zero = as soon as the plan is looked at
	Interval time.Duration // between two, at most
	Failures uint64        // since the start
	InARow   int           // failures since the last success
	Error    string        // of the last attempt; "" = it succeeded
	Tried    time.Time     // the last attempt
	Kept     int           // snapshots in the place
}

// States are those of all plans.
func (k *Keeper) States() map[string]State {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[string]State, len(k.state))
	for name, s := range k.state {
		all[name] = s
	}
	return all
}

// Wake has the plans looked at soon: one was changed.
func (k *Keeper) Wake() {
	select {
	case k.wake <- struct{}{}:
	default: // they will be
	}
}

// Place is where a plan's snapshots lie.
func (k *Keeper) Place(ctx context.Context, p *Plan) (place.Place, error) { return k.cfg.Open(ctx, p) }

// Most and least between two looks.
const (
	mostWait = time.Hour
	failWait = 5 * time.Minute
)

// Tend makes the snapshots that are due by the plans in settings, one after the other,
// and returns when it should be called next.
func (k *Keeper) Tend(ctx context.Context, settings Reader) (next time.Time, err error) {
	names, err := settings.List(ctx, Prefix, "", 0)
	if err != nil {
		return time.Time{}, errs.Newf(errs.KindOf(err), "reading the plans of snapshots: %w", err)
	}
	k.forget(names)
	next = k.cfg.Now().Add(mostWait)
	for _, name := range names {
		due, err := k.tend(ctx, settings, name)
		if ctx.Err() != nil {
			return next, ctx.Err()
		}
		if err != nil {
			k.failed(name, err)
			due = k.cfg.Now().Add(failWait)
		}
		if due.Before(next) {
			next = due
		}
	}
	return next, nil
}

// Forget drops what is known of all plans: another node keeps them now.
func (k *Keeper) Forget() { k.forget(nil) }

// forget drops what is known of plans that are gone.
func (k *Keeper) forget(names []string) {
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for name := range k.state {
		if !there[name] {
			delete(k.state, name)
			delete(k.answered, name)
		}
	}
}

func (k *Keeper) failed(name string, err error) {
	k.cfg.Log.Error("a snapshot was not made", "plan", name, "error", err)
	k.change(name, func(s *State) {
		s.Failures, s.InARow, s.Error, s.Tried = s.Failures+1, s.InARow+1, err.Error(), k.cfg.Now()
	})
}

func (k *Keeper) change(name string, by func(*State)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.state[name]
	by(&s)
	k.state[name] = s
}

// tend makes one plan's snapshot, if it is due, and returns when the next one is.
func (k *Keeper) tend(ctx context.Context, settings Reader, name string) (next time.Time, err error) {
	p, err := Load(ctx, settings, name)
	if err != nil {
		return time.Time{}, err
	}
	when, err := k.times(p)
	if err != nil {
		return time.Time{}, err
	}
	k.change(name, func(s *State) { s.Interval = when.longest })
	to, err := k.Place(ctx, p)
	if err != nil {
		return time.Time{}, err
	}
	asked, err := settings.Get(ctx, AskedPrefix+name)
	if err != nil {
		return time.Time{}, err
	}
	kept, newest, err := k.kept(ctx, p, to)
	if err != nil {
		return time.Time{}, err
	}
	due := when.after(newest)
	k.change(name, func(s *State) {
		was := s.Name
		s.Kept, s.Proven, s.Name, s.Next = len(kept), newest, "", due
		if len(kept) > 0 {
			s.Name = kept[len(kept)-1]
		}
		if s.Name != was {
			s.Proof = Proof{}
		}
	})
	now := k.cfg.Now()
	if !k.wanted(name, asked, newest) && now.Before(due) {
		k.answer(name, asked)
		return due, nil
	}
	file, proof, err := k.make(ctx, p, to)
	if err != nil {
		return time.Time{}, err
	}
	k.answer(name, asked)
	kept = append(kept, file)
	at, _ := p.madeAt(file)
	due = when.after(at)
	k.change(name, func(s *State) {
		s.Next = due
		s.Proven, s.Name, s.Proof, s.Error, s.InARow, s.Tried, s.Kept = at, file, proof, "", 0, now, len(kept)
	})
	k.cfg.Log.Info("a snapshot is made, and proven", "plan", name, "file", file, "entries", proof.Entries, "opened_by_unseal_key", proof.Unsealed)
	return due, k.retire(ctx, p, to, kept)
}

package fault

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// Op is a method of store.Store.
type Op uint8

// The methods that can be made to fail. Any is all of them.
const (
	Any Op = iota
	Get
	List
	Apply
	Watch
)

// Rule says which calls go wrong and how. Rules are tried in the order in
// which they were added; the first that concerns a call decides.
type Rule struct {
	Op     Op
	Prefix string          // of the key, folder or prefix; for Apply of any key it writes or checks
	Skip   int             // this many calls are let through first
	Times  int             // then this many go wrong; 0 = all
	Err    error           // answered instead of the result; nil = the call is made
	After  bool            // make the call first, then wait and answer Err: nobody knows whether it was made
	Delay  time.Duration   // waited
	Hold   <-chan struct{} // waited for, until it is closed
}

// Store decorates a store. Without rules it changes nothing.
type Store struct {
	inner store.Store
	relay feed.Relay

	mu    sync.Mutex
	rules []*counted
	muted chan struct{} // not nil while muted; closed by Unmute
}

var _ store.Store = (*Store)(nil)

type counted struct {
	Rule
	calls int // that the rule concerned
}

// New decorates inner, and closes it when it is closed.
func New(inner store.Store) *Store { return &Store{inner: inner} }

// Add adds a rule; the result removes it again.
func (s *Store) Add(r Rule) (remove func()) {
	c := &counted{Rule: r}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, c)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.rules {
			if s.rules[i] == c {
				s.rules = append(s.rules[:i:i], s.rules[i+1:]...)
				return
			}
		}
	}
}

// Clear removes all rules.
func (s *Store) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

// LoseWatches ends all running watches with err.
func (s *Store) LoseWatches(err error) { s.relay.End(err) }

// Mute makes all watches fall silent: their events wait until Unmute.
func (s *Store) Mute() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.muted == nil {
		s.muted = make(chan struct{})
	}
}

// Unmute ends what Mute began; no event is lost.
func (s *Store) Unmute() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.muted != nil {
		close(s.muted)
		s.muted = nil
	}
}

// Pulse sends a sign of life of revision rev, proven at a time, to all running watches.
func (s *Store) Pulse(rev store.Revision, at time.Time) {
	s.relay.Send(store.Event{Revision: rev, At: at})
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (e store.Entry, err error) {
	err = s.call(ctx, Get, []string{key}, func() error {
		e, err = s.inner.Get(ctx, key)
		return err
	})
	if err != nil {
		return store.Entry{}, err
	}
	return e, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, folder, after string, limit int) (names []string, err error) {
	err = s.call(ctx, List, []string{folder}, func() error {
		names, err = s.inner.List(ctx, folder, after, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) (rev store.Revision, err error) {
	keys := make([]string, len(changes))
	for i := range changes {
		keys[i] = changes[i].Key
	}
	err = s.call(ctx, Apply, keys, func() error {
		rev, err = s.inner.Apply(ctx, changes...)
		return err
	})
	if err != nil {
		return 0, err
	}
	return rev, nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) (w store.Watcher, err error) {
	err = s.call(ctx, Watch, []string{prefix}, func() error {
		inner, err := s.inner.Watch(ctx, prefix, from)
		if err == nil {
			w, err = s.relay.Forward(ctx, inner, s.unlessMuted)
		}
		return err
	})
	if err != nil {
		if w != nil {
			w.Close()
		}
		return nil, err
	}
	return w, nil
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.relay.Close()
	return s.inner.Close()
}

// call makes one call under the rules.
func (s *Store) call(ctx context.Context, op Op, keys []string, do func() error) error {
	r := s.rule(op, keys)
	if r == nil {
		return do()
	}
	if r.After {
		if err := do(); err != nil {
			return err
		}
	}
	if err := r.wait(ctx); err != nil {
		return errs.Newf(errs.Unavailable, "waiting for a held store: %w", err)
	}
	if r.Err == nil && !r.After {
		return do()
	}
	return r.Err
}

func (r *Rule) wait(ctx context.Context) error {
	if r.Delay > 0 {
		timer := time.NewTimer(r.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.Hold != nil {
		select {
		case <-r.Hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// rule returns the rule that decides about a call, or nil, and counts the call.
func (s *Store) rule(op Op, keys []string) *Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rules {
		if r.Op != Any && r.Op != op || !anyHas(keys, r.Prefix) {
			continue
		}
		r.calls++
		if n := r.calls - r.Skip; n > 0 && (r.Times == 0 || n <= r.Times) {
			return &r.Rule
		}
	}
	return nil
}

func anyHas(keys []string, prefix string) bool {
	for _, key := range keys {
		if strings.HasPrefix(key, prefix) {
			return true
		}
	}
	return prefix == ""
}

// unlessMuted is the feed.Step of all watches.
func (s *Store) unlessMuted(ctx context.Context, e store.Event) (store.Event, bool, error) {
	s.mu.Lock()
	muted := s.muted
	s.mu.Unlock()
	if muted != nil {
		select {
		case <-muted:
		case <-ctx.Done():
			return e, false, ctx.Err()
		}
	}
	return e, true, nil
}

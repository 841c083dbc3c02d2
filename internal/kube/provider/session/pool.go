package session

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Config configures a Pool. Providers, Cluster, Clock and Log are required.
type Config struct {
	Providers map[string]provider.Provider // by key under spec.provider
	Cluster   provider.Cluster
	Clock     clock.WithDelayedExecution
	Log       *slog.Logger

	// Concurrency bounds the calls in flight to one store; 0 means 16.
	Concurrency int
	// Freshness is how long a value that was read answers further reads; 0 means
	// 500 ms. It is there for many objects that appear at once, not as a cache.
	Freshness time.Duration
	// Gone, when set, says that a store object is there no more, by what Drop is called by: it
	// must say so before Drop is. nil: callers have no copies of what is gone.
	Gone func(ctx context.Context, store v1.Store) bool
	// Observe, when set, hears of every call to a backend.
	Observe func(providerName, call string, err error)
}

// Pool holds the sessions. It is safe for concurrent use.
type Pool struct {
	cfg Config

	mu       sync.Mutex
	closed   bool
	sessions map[v1.StoreKey]*session
	ending   sync.WaitGroup // sessions being closed
}

// New returns an empty pool. The caller closes it.
func New(cfg Config) *Pool {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 16
	}
	if cfg.Freshness == 0 {
		cfg.Freshness = 500 * time.Millisecond
	}
	if cfg.Gone == nil {
		cfg.Gone = func(context.Context, v1.Store) bool { return false }
	}
	if cfg.Observe == nil {
		cfg.Observe = func(string, string, error) {}
	}
	return &Pool{cfg: cfg, sessions: map[v1.StoreKey]*session{}}
}

// identity is what a session depends on in its store object.
type identity struct {
	uid        types.UID
	generation int64
	changes    string // the annotation
}

// Check makes a real call to see whether store works.
func (p *Pool) Check(ctx context.Context, store v1.Store) error {
	s, err := p.open(ctx, store)
	if err != nil {
		return err
	}
	if !s.enter() {
		return errs.Newf(errs.Unavailable, "%s changed while it was checked", s.key)
	}
	defer s.leave()
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	err = s.store.Check(ctx)
	p.cfg.Observe(s.provider, "Check", err)
	s.noteCheck(err)
	return err
}

// Picks reports whether store is to be told which property is wanted; false also
// where that is not known yet.
func (p *Pool) Picks(ctx context.Context, store v1.Store) bool {
	s, err := p.open(ctx, store)
	if err != nil {
		return false
	}
	picker, ok := s.store.(provider.Picker)
	return ok && picker.Picks()
}

// Topic returns the name under which changes of key in store are reported, or
// "" when the store reports none. An error means that this is not known yet.
func (p *Pool) Topic(ctx context.Context, store v1.Store, key string) (string, error) {
	s, err := p.open(ctx, store)
	if err != nil {
		return "", err
	}
	if s.notifier != nil {
		return s.notifier.Topic(key), nil
	}
	return "", nil
}

// Notify runs store's Notifier until ctx or the session ends. A store without
// one is Unsupported. A change has already made later reads read anew when
// report hears of it.
func (p *Pool) Notify(ctx context.Context, store v1.Store, report func(provider.Change)) error {
	s, err := p.open(ctx, store)
	if err != nil {
		return err
	}
	if s.notifier == nil {
		return errs.Newf(errs.Unsupported, "provider %s reports no changes", s.provider)
	}
	if !s.enter() {
		return errs.Newf(errs.Unavailable, "%s changed", s.key)
	}
	defer s.leave()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	return s.notifier.Notify(ctx, func(c provider.Change) {
		if !c.Connected {
			p.cfg.Observe(s.provider, "Notice", c.Unread)
		}
		if c.Unread != nil {
			return
		}
		s.forget(c)
		report(c)
	})
}

// Drop ends the session of a store, if there is one.
func (p *Pool) Drop(key v1.StoreKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.sessions[key]; s != nil {
		p.end(s)
	}
}

// Object identifies a Kubernetes object that a session read.
type Object struct{ Kind, Namespace, Name string }

// Users returns the stores whose sessions read o, or wanted to.
func (p *Pool) Users(o Object) []v1.StoreKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []v1.StoreKey
	for key, s := range p.sessions {
		if s.reads(o) {
			keys = append(keys, key)
		}
	}
	return keys
}

// Close ends every session and waits.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for _, s := range p.sessions {
		p.end(s)
	}
	p.mu.Unlock()
	p.ending.Wait()
}

// end takes s out of the pool and closes it once nobody uses it. p.mu is held.
func (p *Pool) end(s *session) {
	if p.sessions[s.key] == s {
		delete(p.sessions, s.key)
	}
	p.ending.Go(s.close)
}

// open returns the session for the store object as it is now.
func (p *Pool) open(ctx context.Context, store v1.Store) (*session, error) {
	key := v1.KeyOf(store)
	s, fresh, err := p.sessionOf(store, key)
	if err != nil {
		return nil, err
	}
	// Asked behind the start: who is gone by now was missed by Drop, and who goes from now on is not.
	if fresh && p.cfg.Gone(ctx, store) {
		p.mu.Lock()
		if p.sessions[key] == s { // who took it out meanwhile, Close above all, ended it
			p.end(s)
		}
		p.mu.Unlock()
		return nil, errs.Newf(errs.Unavailable, "%s is gone", key)
	}
	select {
	case <-s.opened:
		return s, s.openErr
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "opening %s: %w", key, ctx.Err())
	}
}

// sessionOf returns the session for store, which is started when there is none.
func (p *Pool) sessionOf(store v1.Store, key v1.StoreKey) (s *session, fresh bool, err error) {
	id := identity{store.GetUID(), store.GetGeneration(), store.GetAnnotations()[v1.AnnotationChanges]}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, errs.New(errs.Unavailable, "the operator is stopping")
	}
	s = p.sessions[key]
	attempts := 0
	if s != nil {
		failed, due := s.failedBefore(p.cfg.Clock.Now())
		behind := s.id.uid == id.uid && id.generation < s.id.generation
		switch {
		case behind: // the caller's copy is old, as a subscription's may be: it gets the store as it is
		case s.id != id:
			p.end(s)
			s = nil
		case failed && due:
			attempts = s.attempts
			p.end(s)
			s = nil
		}
	}
	if s != nil {
		return s, false, nil
	}
	s = p.start(store, key, id, attempts+1)
	p.sessions[key] = s
	return s, true, nil
}

// start makes a session that opens in the background, under its own context:
// the caller that happened to be first may give up.
func (p *Pool) start(store v1.Store, key v1.StoreKey, id identity, attempts int) *session {
	ctx, cancel := context.WithCancel(context.Background())
	s := &session{
		key: key, id: id, cfg: &p.cfg, ctx: ctx, cancel: cancel, attempts: attempts,
		opened: make(chan struct{}), slots: make(chan struct{}, p.cfg.Concurrency),
		flights: map[wanted]*flight{}, objects: map[Object]bool{}, read: material{}, breaker: breaker{clock: p.cfg.Clock},
	}
	spec, scope := store.StoreSpec().DeepCopy(), provider.ScopeOf(store)
	s.users.Go(func() { s.open(spec, scope) })
	return s
}

// retryOf reads spec.retrySettings.
func retryOf(spec *v1.SecretStoreSpec) (provider.Retry, error) {
	var r provider.Retry
	if spec.RetrySettings == nil {
		return r, nil
	}
	if m := spec.RetrySettings.MaxRetries; m != nil {
		n := int(*m)
		r.Max = &n
	}
	if w := spec.RetrySettings.RetryInterval; w != nil {
		d, err := time.ParseDuration(*w)
		if err != nil || d < 0 {
			return r, errs.Newf(errs.Invalid, "spec.retrySettings.retryInterval %q is not a duration such as 2s", *w)
		}
		r.Wait = d
	}
	return r, nil
}

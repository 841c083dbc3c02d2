package session

import (
	"context"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Write writes to store, as provider.Writer says. Reads that begin afterwards see
// it. A store without a Writer is Unsupported.
func (p *Pool) Write(ctx context.Context, store v1.Store, w provider.Write) error {
	return p.writing(ctx, store, action{"Write", w.Key}, func(ctx context.Context, to provider.Writer) error { return to.Write(ctx, w) })
}

// Delete deletes from store, as provider.Writer says.
func (p *Pool) Delete(ctx context.Context, store v1.Store, at provider.Place) error {
	return p.writing(ctx, store, action{"Delete", at.Key}, func(ctx context.Context, to provider.Writer) error { return to.Delete(ctx, at) })
}

// Exists asks store whether there is a value, as provider.Writer says.
func (p *Pool) Exists(ctx context.Context, store v1.Store, at provider.Place) (exists bool, err error) {
	err = p.writing(ctx, store, action{"Exists", at.Key}, func(ctx context.Context, to provider.Writer) error {
		exists, err = to.Exists(ctx, at)
		return err
	})
	return exists, err
}

// Writable reports whether store can be written to. An error means that this is
// not known yet.
func (p *Pool) Writable(ctx context.Context, store v1.Store) (bool, error) {
	s, err := p.open(ctx, store)
	if err != nil {
		return false, err
	}
	_, ok := s.store.(provider.Writer)
	return ok, nil
}

// action is what is done, for metrics, and to which key.
type action struct{ call, key string }

// writing makes one call that is not shared. Like reads it keeps to the store's
// quota, and is held back while the store is down.
func (p *Pool) writing(ctx context.Context, store v1.Store, a action, f func(context.Context, provider.Writer) error) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	s, err := p.open(ctx, store)
	if err != nil {
		return err
	}
	w, ok := s.store.(provider.Writer)
	if !ok {
		return errs.Newf(errs.Unsupported, "provider %s cannot be written to: name another store", s.provider)
	}
	if !s.enter() {
		return errs.Newf(errs.Unavailable, "%s changed", s.key)
	}
	defer s.leave()
	if err := s.isDown(); err != nil {
		return err
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "writing %q to %s: %w", a.key, s.key, ctx.Err())
	}
	defer func() { <-s.slots }()
	if err := s.pace(ctx); err != nil {
		return err
	}
	err = f(ctx, w)
	p.cfg.Observe(s.provider, a.call, err)
	s.note(discreet(err, wanted{read: provider.Request{Key: a.key}}))
	if a.call != "Exists" {
		s.written(a.key)
	}
	return err
}

func (s *session) isDown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil && s.cfg.Clock.Now().Before(s.downTo) {
		return s.down
	}
	return nil
}

// written makes reads of key that begin from now on go to the backend, by
// whatever name they know it, and searches.
func (s *session) written(key string) {
	if s.notifier != nil {
		s.forget(provider.Change{Topic: s.notifier.Topic(key)})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.flights {
		if w.search || w.read.Key == key {
			delete(s.flights, w)
		}
	}
}

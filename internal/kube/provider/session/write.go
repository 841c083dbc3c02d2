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
	a := action{"Write", w.Place}
	w.For = ""
	return p.writing(ctx, store, a, func(ctx context.Context, to provider.Writer) error { return to.Write(ctx, w) })
}

// Delete deletes from store, as provider.Writer says.
func (p *Pool) Delete(ctx context.Context, store v1.Store, at provider.Place) error {
	a := action{"Delete", at}
	at.For = ""
	return p.writing(ctx, store, a, func(ctx context.Context, to provider.Writer) error { return to.Delete(ctx, at) })
}

// Exists asks store whether there is a value, as provider.Writer says.
func (p *Pool) Exists(ctx context.Context, store v1.Store, at provider.Place) (exists bool, err error) {
	a := action{"Exists", at}
	at.For = ""
	err = p.writing(ctx, store, a, func(ctx context.Context, to provider.Writer) error {
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

// action is what is done, for metrics, and where.
type action struct {
	call string
	at   provider.Place
}

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
	if err := s.isDown(a.at); err != nil {
		return err
	}
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "writing %q to %s: %w", a.at.Key, s.key, ctx.Err())
	}
	defer func() { <-s.slots }()
	if err := s.pace(ctx); err != nil {
		return err
	}
	err = f(ctx, w)
	p.cfg.Observe(s.provider, a.call, err)
	s.note(a.at.For, wanted{read: provider.Request{Key: a.at.Key}}, err)
	if a.call != "Exists" {
		s.written(a.at.Key)
	}
	return err
}

func (s *session) isDown(at provider.Place) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.breaker.held(at.For, at.Key)
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

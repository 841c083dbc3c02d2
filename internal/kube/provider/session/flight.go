package session

import (
	"context"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/pace"
)

// wanted is what one call to the backend is for: a read, or a search.
type wanted struct {
	read   provider.Request
	search bool
	query  provider.Query
}

// name is for messages.
func (w wanted) name() string {
	if w.search {
		return "what was searched for"
	}
	return w.read.Key
}

// subject tells what is wanted from anything else that is, whichever version or part of it.
func (w wanted) subject() string {
	if w.search {
		return "search\x00" + w.query.Path + "\x00" + w.query.Name + "\x00" + string(w.query.Tags)
	}
	return w.read.Key
}

// words are those of w that nobody else is to hear of.
func (w wanted) words() []string {
	words := []string{w.read.Key, w.query.Path, w.query.Name}
	for name, value := range w.query.Tags.Map() {
		words = append(words, name, value)
	}
	return words
}

// longest bounds one call, with all its retries and pages, whatever a store's settings
// and its server say: somebody waits for it.
const longest = 5 * time.Minute

// flight is one call. It is kept for Config.Freshness after a success, and for as
// long again, up to maxKept, while those come whom something older will do.
type flight struct {
	done  chan struct{} // closed when the next three are set
	value provider.Value
	found []provider.Found
	err   error

	landed time.Time // when a success came; session.mu guards it and joined
	joined bool      // by somebody whom something older will do, since it was last looked at
}

// maxKept bounds how long after a call what it brought answers those whom
// something older will do: one burst of refreshes by time, and no longer.
const maxKept = 10 * time.Second

// asking is who asks, and whether something older will do.
type asking struct {
	by          string // a namespace
	olderWillDo bool
}

// take joins the flight for w or starts one, and waits for it. again means that
// the session ended before the call began.
func (s *session) take(ctx context.Context, w wanted, a asking) (f *flight, again bool, err error) {
	f, again, err = s.join(w, a)
	if again || err != nil {
		return nil, again, err
	}
	select {
	case <-f.done:
		return f, false, f.err
	case <-ctx.Done():
		return nil, false, s.late(ctx, w)
	}
}

func (s *session) late(ctx context.Context, w wanted) error {
	return errs.Newf(errs.Unavailable, "reading %q from %s: %w", w.name(), s.key, ctx.Err())
}

func (s *session) join(w wanted, a asking) (f *flight, again bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, true, nil
	}
	if f := s.flights[w]; f != nil && (a.olderWillDo || f.landed.IsZero() || s.cfg.Clock.Since(f.landed) < s.cfg.Freshness) {
		f.joined = f.joined || a.olderWillDo
		return f, false, nil
	}
	if err := s.breaker.held(a.by, w.subject()); err != nil {
		return nil, false, err
	}
	f = &flight{done: make(chan struct{})}
	s.flights[w] = f
	s.users.Go(func() { s.fly(w, f, a.by) })
	return f, false, nil
}

func (s *session) fly(w wanted, f *flight, by string) {
	defer close(f.done)
	s.slots <- struct{}{}
	defer func() { <-s.slots }()
	if err := s.pace(s.ctx); err != nil {
		f.err = err
		s.land(w, f)
		return
	}
	began := s.cfg.Clock.Now()
	s.call(w, f)
	f.value.Began, f.value.Access = began, s.access()
	s.note(by, w, f.err)
	if f.err != nil {
		s.land(w, f)
		return
	}
	s.mu.Lock()
	f.landed = s.cfg.Clock.Now()
	s.mu.Unlock()
	s.cfg.Clock.AfterFunc(s.cfg.Freshness, func() { s.age(w, f) })
}

// age ends the sharing of f, unless it is still of use.
func (s *session) age(w wanted, f *flight) {
	s.mu.Lock()
	keep := f.joined && s.flights[w] == f && !s.ended && s.cfg.Clock.Since(f.landed) < maxKept
	f.joined = false
	s.mu.Unlock()
	if keep {
		s.cfg.Clock.AfterFunc(s.cfg.Freshness, func() { s.age(w, f) })
		return
	}
	s.land(w, f)
}

func (s *session) call(w wanted, f *flight) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), longest)
	defer cancel()
	if !w.search {
		f.value, f.err = s.store.Read(ctx, w.read)
		s.cfg.Observe(s.provider, "Read", f.err)
		return
	}
	finder, ok := s.store.(provider.Finder)
	if !ok {
		f.err = errs.Newf(errs.Unsupported, "provider %s cannot search: name the secrets with data or dataFrom.extract instead of dataFrom.find", s.provider)
		return
	}
	f.found, f.err = finder.Find(ctx, w.query)
	s.cfg.Observe(s.provider, "Find", f.err)
}

// pace waits for the store's turn, when its provider knows of a quota, while ctx and
// the session last.
func (s *session) pace(ctx context.Context) error {
	if s.limit == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := pace.Wait(ctx, s.limit, s.cfg.Clock, 0)
	switch {
	case err != nil && s.ctx.Err() != nil:
		return errs.Newf(errs.Unavailable, "%s changed while a call waited for its turn", s.key)
	case err != nil:
		return errs.Newf(errs.Unavailable, "waiting for a turn at %s: %w", s.key, err)
	}
	return nil
}

// land ends the sharing of f.
func (s *session) land(w wanted, f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[w] == f {
		delete(s.flights, w)
	}
}

// forget makes reads that begin from now on go to the backend, where a change
// makes it needful. What a search would find now is not known.
func (s *session) forget(c provider.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.flights {
		if c.Connected || w.search || s.notifier.Topic(w.read.Key) == c.Topic {
			delete(s.flights, w)
		}
	}
}

// Read reads from store. Equal requests share one call. When the session ends
// under the read, it is tried once more with a new one.
func (p *Pool) Read(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, error) {
	return p.read(ctx, store, req, false)
}

func (p *Pool) read(ctx context.Context, store v1.Store, req provider.Request, olderWillDo bool) (provider.Value, error) {
	a := asking{req.For, olderWillDo}
	req.For = ""
	f, err := p.take(ctx, store, wanted{read: req}, a)
	if err != nil {
		return provider.Value{}, err
	}
	return f.value, nil
}

// Find searches store, as provider.Finder says. Equal searches share one call.
// The matches are shared too and not to be changed. began is when the search began.
func (p *Pool) Find(ctx context.Context, store v1.Store, q provider.Query) (found []provider.Found, began time.Time, err error) {
	return p.find(ctx, store, q, false)
}

func (p *Pool) find(ctx context.Context, store v1.Store, q provider.Query, olderWillDo bool) (found []provider.Found, began time.Time, err error) {
	a := asking{q.For, olderWillDo}
	q.For = ""
	f, err := p.take(ctx, store, wanted{search: true, query: q}, a)
	if err != nil {
		return nil, time.Time{}, err
	}
	return f.found, f.value.Began, nil
}

// Recent reads as its Pool does, and makes do with what was read of late for others:
// up to maxKept ago while many want it, as when all are refreshed by time.
type Recent struct{ *Pool }

// Read is Pool.Read.
func (r Recent) Read(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, error) {
	return r.read(ctx, store, req, true)
}

// Find is Pool.Find.
func (r Recent) Find(ctx context.Context, store v1.Store, q provider.Query) (found []provider.Found, began time.Time, err error) {
	return r.find(ctx, store, q, true)
}

func (p *Pool) take(ctx context.Context, store v1.Store, w wanted, a asking) (*flight, error) {
	for {
		s, err := p.open(ctx, store)
		if err != nil {
			return nil, err
		}
		f, again, err := s.take(ctx, w, a)
		if !again {
			return f, err
		}
		if ctx.Err() != nil { // an empty value must not pass for one that was read
			return nil, s.late(ctx, w)
		}
	}
}

package session

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Call makes one request of store's own wire. Unlike Read it is neither shared
// nor held back while the store is down. A store without provider.Caller is
// Unsupported.
func (p *Pool) Call(ctx context.Context, store v1.Store, method, path string, body any) (json.RawMessage, error) {
	s, err := p.open(ctx, store)
	if err != nil {
		return nil, err
	}
	c, ok := s.store.(provider.Caller)
	if !ok {
		return nil, errs.Newf(errs.Unsupported, "provider %s of %s takes no requests: use a store of provider vault", s.provider, s.key)
	}
	if !s.enter() {
		return nil, errs.Newf(errs.Unavailable, "%s changed", s.key)
	}
	defer s.leave()
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "calling %s: %w", s.key, ctx.Err())
	}
	defer func() { <-s.slots }()
	answer, err := c.Call(ctx, method, path, body)
	p.cfg.Observe(s.provider, "Call", err)
	s.noteCheck(err)
	return answer, err
}

// Locate names what is at a path of store's own API, as provider.Locator does;
// "" when the store names nothing. An error means that this is not known yet.
func (p *Pool) Locate(ctx context.Context, store v1.Store, path string) (string, error) {
	return p.locate(ctx, store, func(l provider.Locator) string { return l.Locate(path) })
}

// LocateKey names what Read reads for key; "" when the store names nothing.
func (p *Pool) LocateKey(ctx context.Context, store v1.Store, key string) (string, error) {
	return p.locate(ctx, store, func(l provider.Locator) string { return l.LocateKey(key) })
}

func (p *Pool) locate(ctx context.Context, store v1.Store, name func(provider.Locator) string) (string, error) {
	s, err := p.open(ctx, store)
	if err != nil {
		return "", err
	}
	if l, ok := s.store.(provider.Locator); ok {
		return name(l), nil
	}
	return "", nil
}

// Vault returns store as something to make requests of and to name paths in,
// for who works with one store for a while. Unsupported is a store that takes
// no requests; any other error means that this is not known yet.
func (p *Pool) Vault(ctx context.Context, store v1.Store) (Vault, error) {
	s, err := p.open(ctx, store)
	if err != nil {
		return Vault{}, err
	}
	_, calls := s.store.(provider.Caller)
	locator, locates := s.store.(provider.Locator)
	if !calls || !locates {
		return Vault{}, errs.Newf(errs.Unsupported, "provider %s of %s takes no requests: use a store of provider vault", s.provider, s.key)
	}
	return Vault{p, store, locator}, nil
}

// Vault is a store of a Pool that takes requests. It goes on after its session
// ended; names are those of the store object that it was made from.
type Vault struct {
	pool    *Pool
	store   v1.Store
	locator provider.Locator
}

// Call is Pool.Call.
func (v Vault) Call(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	return v.pool.Call(ctx, v.store, method, path, body)
}

// Accessors are those of all the sessions of the pool with the same server: what
// is done with these tokens, the pool's users do.
func (v Vault) Accessors() []string {
	server := authority(v.locator)
	v.pool.mu.Lock()
	all := slices.Collect(maps.Values(v.pool.sessions))
	v.pool.mu.Unlock()
	var out []string
	for _, s := range all {
		select {
		case <-s.opened:
		default:
			continue // it has not asked for anything yet
		}
		holder, holds := s.store.(provider.Holder)
		locator, locates := s.store.(provider.Locator)
		if holds && locates && authority(locator) == server {
			out = append(out, holder.Accessors()...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// authority is the server that a locator's names begin with.
func authority(l provider.Locator) string {
	host, _, _ := strings.Cut(l.Locate(""), "/")
	return host
}

// Locate is Pool.Locate.
func (v Vault) Locate(path string) string { return v.locator.Locate(path) }

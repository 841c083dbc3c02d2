package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
	"github.com/strongkeep/strongkeep/internal/vault/sys/members"
)

// owning is a store on this process's own member.
type owning struct {
	*etcd.Store
	member *member.Member
}

// Close closes both.
func (s *owning) Close() error { return errors.Join(s.Store.Close(), s.member.Close()) }

// Open starts this process's member and opens the store on it, for as many servers as there
// are members. Kinds: those of member.Open and etcd.Open.
func Open(ctx context.Context, cfg member.Config) (store.Store, error) {
	m, err := member.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s, err := openOn(ctx, m, etcd.Config{Client: m.Client(), Log: cfg.Log})
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &owning{Store: s, member: m}, nil
}

// openFor is how long opening the store is tried again.
const openFor = 30 * time.Second

// openOn opens the store on m, again if it is Unavailable: the member that a node which starts stores
// through may go meanwhile. What Open writes may be written again.
func openOn(ctx context.Context, m *member.Member, cfg etcd.Config) (*etcd.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, openFor)
	defer cancel()
	for {
		s, err := etcd.Open(ctx, cfg)
		if err == nil || !errs.Is(err, errs.Unavailable) {
			return s, err
		}
		select {
		case <-m.Lost():
			return nil, m.Err()
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Of is the member that Open started for s; nil if s is another store.
func Of(s store.Store) *member.Member {
	if own, ok := s.(*owning); ok {
		return own.member
	}
	return nil
}

// Routes are those below sys/ of a server on s.
func Routes(s store.Store) []engine.Route {
	if m := Of(s); m != nil {
		return members.Routes(m)
	}
	return nil
}

// Warnings are what health tells of s.
func Warnings(s store.Store) []string {
	if m := Of(s); m != nil {
		return m.Health().Warnings()
	}
	return nil
}

// Collectors are the metrics of a server on s.
func Collectors(s store.Store) []prometheus.Collector {
	if m := Of(s); m != nil {
		return []prometheus.Collector{collector{m}}
	}
	return nil
}

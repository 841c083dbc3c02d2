package cluster

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

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
	s, err := etcd.Open(ctx, etcd.Config{Client: m.Client(), Log: cfg.Log})
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return &owning{Store: s, member: m}, nil
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

// Collectors are the metrics of a server on s.
func Collectors(s store.Store) []prometheus.Collector {
	if m := Of(s); m != nil {
		return []prometheus.Collector{m.Collector()}
	}
	return nil
}

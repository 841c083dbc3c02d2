package member

import (
	"context"
	"sync"

	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/identity"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// Standing is a member and whether it takes part.
type Standing struct {
	Placed
	Leader bool
	There  bool // it answers as this member, and sees a leader
}

// Standings are those of all members, each asked itself. Kind Unavailable without a majority.
func (m *Member) Standings(ctx context.Context) ([]Standing, error) {
	all, err := m.Members(ctx)
	if err != nil {
		return nil, err
	}
	own := m.tell() // while it starts it knows of no ID and no leader
	standings := make([]Standing, len(all))
	var asking sync.WaitGroup
	for i, p := range all {
		standings[i] = Standing{Placed: p, Leader: p.ID == own.Leader, There: p.ID == own.ID}
		asking.Go(func() {
			for _, at := range p.URLs {
				if s, err := m.caller.State(ctx, at); err == nil && s.ID == p.ID && s.Leader != 0 {
					standings[i].There = true
					standings[i].Leader = standings[i].Leader || s.Leader == s.ID
				}
			}
		})
	}
	asking.Wait()
	return standings, nil
}

// Look asks the nodes themselves, by the cluster key alone: it needs no majority, and no server here. It
// writes nothing. Kind Invalid: the configuration.
func Look(ctx context.Context, cfg Config) (peer.Sight, error) {
	if err := cfg.complete(); err != nil {
		return peer.Sight{}, err
	}
	i, err := identity.New(cfg.Key, "", cfg.Name, hostOf(cfg.own()), cfg.Now)
	if err != nil {
		return peer.Sight{}, err
	}
	return peer.Look(ctx, peer.NewCaller(i, peer.Patience), cfg.Peers, cfg.Name), nil
}

// Name is this node's.
func (m *Member) Name() string { return m.cfg.Name }

package app

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/app/cluster"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

func openCluster(ctx context.Context, c *ServerConfig) (store.Store, error) {
	cfg, err := c.Member()
	if err != nil {
		return nil, err
	}
	return cluster.Open(ctx, cfg)
}

// Member is this server's part in a cluster of the servers' own.
func (c *ServerConfig) Member() (member.Config, error) {
	if err := c.complete(); err != nil {
		return member.Config{}, err
	}
	cfg, err := c.Config(c.DataDir)
	cfg.Log, cfg.Now = c.Log, c.Now
	return cfg, err
}

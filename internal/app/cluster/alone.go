package cluster

import (
	"context"
	"net"
	"net/url"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member"
)

// knock is how long another node may take to take a connection.
const knock = 2 * time.Second

// OpenAlone is Open for who fills the store of a new cluster: this node, whose directory is
// empty, forms it alone and is heard by nobody until Close. Opened with the whole list
// afterwards it goes on, and the others join it; they would end if they saw it half filled,
// and take its majority with them. Data of a cluster that others formed too is opened as Open
// does. Kinds: Conflict (another node of the list listens), and those of Open.
func OpenAlone(ctx context.Context, cfg member.Config) (store.Store, error) {
	alone, err := member.MayFill(cfg.Dir, cfg.Name)
	if err != nil {
		return nil, err
	}
	if !alone {
		return Open(ctx, cfg)
	}
	own := cfg.Peers[:0:0]
	for _, p := range cfg.Peers {
		switch {
		case p.Name == cfg.Name:
			own = append(own, p)
		case listens(ctx, p.URL):
			return nil, errs.Newf(errs.Conflict, "the node %q of the list listens at %s: a new cluster is filled by one node before the servers of the others start; stop those, and let their directories be empty", p.Name, p.URL)
		}
	}
	cfg.Peers, cfg.Listen = own, "127.0.0.1:0"
	return Open(ctx, cfg)
}

func listens(ctx context.Context, at string) bool {
	u, err := url.Parse(at)
	if err != nil {
		return false // Open says so
	}
	c, err := (&net.Dialer{Timeout: knock}).DialContext(ctx, "tcp", u.Host)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

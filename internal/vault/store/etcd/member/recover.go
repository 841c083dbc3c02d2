package member

import (
	"context"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/identity"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/journal"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/lock"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/peer"
)

// recovering is how long a cluster of one may take to have its data.
const recovering = 10 * time.Minute

// Recover makes the data of this node, which must not run, the whole of the cluster: all
// other members are removed. It is for when a majority is gone for good, and a person says
// so: what others have acknowledged since this node heard of them last is lost. Another node
// of the list that still answers is an error, for it may lead a majority. Kinds: Conflict
// (another node answers, or this one runs), NotExist (no data), Invalid, Unavailable.
//
// The epoch in this node's record grows, so that others refuse to go on with the data they
// had; they join anew when it is moved away.
func Recover(ctx context.Context, cfg Config) error {
	if err := cfg.complete(); err != nil {
		return err
	}
	if !hasData(cfg.Dir) {
		return errs.Newf(errs.NotExist, "%s has no data of a member", cfg.Dir)
	}
	m := &Member{cfg: cfg, zap: journal.New(cfg.Log), lost: make(chan struct{})}
	m.ctx, m.stop = context.WithCancel(context.Background())
	defer func() { _ = m.Close() }()
	var err error
	if m.unlock, err = lock.Take(cfg.Dir); err != nil {
		return err
	}
	if m.record, err = loadRecord(cfg.Dir, cfg.Name); err != nil {
		return err
	}
	if m.identity, err = identity.New(cfg.Key, filepath.Join(cfg.Dir, "tls"), cfg.Name, hostOf(cfg.own()), cfg.Now); err != nil {
		return err
	}
	m.caller = peer.NewCaller(m.identity, peer.Patience)
	answers, _ := m.caller.Survey(ctx, cfg.others())
	for name, s := range answers {
		if s.Cluster != "" {
			return errs.Newf(errs.Conflict, "the node %q has data and answers: stop it first, and be sure that it is not needed", name)
		}
	}
	// First the epoch: who is asked later must not take the others' data for good, nor form
	// with this node what was.
	if err := m.write(func(r *record) { r.Epoch, r.Births, r.URLs = r.Epoch+1, nil, nil }); err != nil {
		return err
	}
	return m.alone(ctx)
}

// alone runs etcd until it has written that there is no other member.
func (m *Member) alone(ctx context.Context) error {
	own, err := types.NewURLs([]string{m.cfg.own().URL})
	if err != nil {
		return errs.Newf(errs.Invalid, "the address of this node: %w", err)
	}
	c := m.etcdConfig(plan{}, own)
	c.ForceNewCluster = true
	server, err := etcdserver.NewServer(c)
	if err != nil {
		return errs.Newf(errs.Unavailable, "starting etcd alone: %w", err)
	}
	server.Start()
	m.server.Store(server)
	ctx, cancel := context.WithTimeout(ctx, recovering)
	defer cancel()
	for len(server.Cluster().Members()) > 1 || server.LinearizableReadNotify(ctx) != nil {
		if !pause(ctx, askEvery) {
			return errs.New(errs.Unavailable, "etcd did not come up alone; run the command again")
		}
	}
	return nil
}

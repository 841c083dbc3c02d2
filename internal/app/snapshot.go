package app

import (
	"context"
	"errors"
	"io"

	"github.com/strongkeep/strongkeep/internal/app/cluster"
	"github.com/strongkeep/strongkeep/internal/app/unseal"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd/member/settings"
)

// OpenStore opens the base store of a configuration, for commands that work while no
// server does. The caller closes it. Kinds: Unavailable (a server uses it), Invalid.
func OpenStore(ctx context.Context, c ServerConfig) (store.Store, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.Storage == "mem" {
		return nil, errs.New(errs.Invalid, "storage mem is gone when its server ends: there is nothing to open")
	}
	return openBase(ctx, &c)
}

// OpenEmpty is OpenStore for who fills the store. Of a cluster of the servers' own this node
// alone is one then, which the others join when they start.
func OpenEmpty(ctx context.Context, c ServerConfig) (store.Store, error) {
	if c.Storage != settings.Storage {
		return OpenStore(ctx, c)
	}
	cfg, err := c.Member()
	if err != nil {
		return nil, err
	}
	s, err := cluster.OpenAlone(ctx, cfg)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "opening the store: %w", err)
	}
	return s, nil
}

// openBase opens the store that storage names.
func openBase(ctx context.Context, c *ServerConfig) (store.Store, error) {
	kind, known := stores()[c.Storage]
	if !known {
		return nil, errs.Newf(errs.Invalid, "storage %q: use pebble, cluster, etcd or mem", c.Storage)
	}
	s, err := kind.open(ctx, c)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "opening the store: %w", err)
	}
	return s, nil
}

// openUsable opens the store for a server.
func openUsable(ctx context.Context, c *ServerConfig) (store.Store, error) {
	s, err := openBase(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := snapshot.Usable(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenKeys opens the vault in a store by the keys of a configuration, without people. The
// caller closes the Barrier. nil: the configuration names no key.
func OpenKeys(ctx context.Context, c ServerConfig, s store.Store) (*seal.Barrier, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	wrappers, _, err := unseal.Open(unsealKeys(&c))
	if err != nil || len(wrappers) == 0 {
		return nil, err
	}
	b := seal.New(seal.Config{Store: s, Wrappers: wrappers, Now: c.Now})
	if err := b.AutoUnseal(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// writeSnapshot writes a snapshot of the running vault, as it is or in an envelope.
func (s *Server) writeSnapshot(ctx context.Context, w io.Writer, enveloped bool) error {
	src := snapshot.Source{Store: s.raw, Keys: s.gate.Barrier().Keyring(), Version: Version, Now: s.cfg.Now()}
	if !enveloped {
		_, err := snapshot.Write(ctx, w, src)
		return err
	}
	envelope := snapshot.NewEnvelope(w)
	info, err := snapshot.Write(ctx, envelope, src)
	if err != nil {
		return err
	}
	return envelope.Seal(&info)
}

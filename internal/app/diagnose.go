package app

import (
	"context"
	"errors"

	"github.com/strongkeep/strongkeep/internal/app/certificate"
	"github.com/strongkeep/strongkeep/internal/app/unseal"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
)

// Complete fills in defaults and checks what can be checked without touching anything. NewServer
// does it by itself. Kind Invalid.
func (c *ServerConfig) Complete() error {
	if err := c.complete(); err != nil {
		return err
	}
	if _, known := stores()[c.Storage]; !known {
		return errs.Newf(errs.Invalid, "storage %q: use pebble, etcd or mem", c.Storage)
	}
	for name, value := range map[string]string{"default_lease_ttl": c.DefaultLeaseTTL, "max_lease_ttl": c.MaxLeaseTTL, "etcd_timeout": c.EtcdTimeout} {
		if _, err := ttl(name, value); err != nil {
			return err
		}
	}
	return nil
}

// UnsealKeys opens the keys that unseal without people. One that cannot be opened is an error,
// also where a server would go on with the others.
func UnsealKeys(c *ServerConfig) ([]seal.Wrapper, error) {
	all, broken, err := unseal.Open(unsealKeys(c))
	for _, b := range broken {
		err = errors.Join(err, errs.Newf(errs.KindOf(b.Err), "opening the unseal key %s: %w", b.Name, b.Err))
	}
	return all, err
}

// InspectEtcd asks each endpoint of the configuration how it is.
func InspectEtcd(ctx context.Context, c *ServerConfig) ([]etcd.Health, error) {
	cfg, err := etcdConfig(c)
	if err != nil {
		return nil, err
	}
	return etcd.Inspect(ctx, cfg)
}

// ServerNames are the names that clients may call a server with this configuration by.
func (c *ServerConfig) ServerNames() []string { return certificate.Names(c.Listen, c.TLSNames) }

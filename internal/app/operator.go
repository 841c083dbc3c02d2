package app

import (
	"context"
	"net/netip"

	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
)

// RunOperator runs the operator, with every provider there is, until ctx ends.
func RunOperator(ctx context.Context, cfg operator.Config) error {
	private, err := outbound.Networks(cfg.PrivateNetworks)
	if err != nil {
		return err
	}
	ambient, err := provider.ParseAmbient(cfg.AmbientCredentials)
	if err != nil {
		return err
	}
	if cfg.REST, err = cfg.Reach(); err != nil {
		return err
	}
	cfg.Outbound = outbound.Config{Private: private}
	cfg.Providers, cfg.Targets = providers(ambient, cfg.Outbound, cfg.REST), targets(private)
	cfg.Generators = generators(ambient, private)
	cfg.Checks.List = Checks()
	return operator.Run(ctx, cfg)
}

// Providers are the external stores there are, for who reads them with rights of
// their own: nothing of the process's own identity in a cloud is used, and addresses
// in private networks are theirs to reach.
func Providers() map[string]provider.Provider {
	everywhere := []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0), netip.PrefixFrom(netip.IPv6Unspecified(), 0)}
	return providers(provider.AmbientNone, outbound.Config{Private: everywhere}, nil)
}

// Generators are the kinds of generators there are.
func Generators() map[string]generator.Kind { return generators(provider.AmbientNone, nil) }

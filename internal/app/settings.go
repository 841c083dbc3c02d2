package app

import (
	"context"
	"fmt"

	"github.com/strongkeep/strongkeep/internal/vault/store"
	syscors "github.com/strongkeep/strongkeep/internal/vault/sys/cors"
	"github.com/strongkeep/strongkeep/internal/vault/sys/node"
)

// settings takes over what is stored for the server as a whole; gate.Config.Settings.
func (s *Server) settings(ctx context.Context, open store.Store) error {
	if err := node.Record(ctx, open, Version, BuildDate, s.cfg.Now()); err != nil {
		return fmt.Errorf("noting the version: %w", err)
	}
	allowed, err := syscors.Load(ctx, open)
	if err != nil {
		return err
	}
	s.cors.Set(allowed.Origins, allowed.Headers)
	return nil
}

// node is what the server tells of itself. Each setting is named here, so that one
// which is secret is never told by mistake.
func (s *Server) node() node.Config {
	c := &s.cfg
	return node.Config{
		Level: c.level, Started: c.started, Dir: c.DataDir, Now: c.Now, Shared: stores()[c.Storage].silence > 0,
		Sanitized: map[string]any{
			"data_dir": c.DataDir, "audit_dir": c.AuditDir, "snapshot_dir": c.SnapshotDir, "cache_bytes": c.CacheBytes,
			"ha_enabled": c.SharedStore, "api_addr": c.APIAddr, "node_name": c.NodeName,
			"default_lease_ttl": c.DefaultLeaseTTL, "max_lease_ttl": c.MaxLeaseTTL, "hold_leases": c.HoldLeases,
			"log_level": c.LogLevel, "log_format": c.LogFormat, "skip_audit_devices": append([]string{}, c.SkipAuditDevices...),
			"storage": map[string]any{"type": c.Storage}, "seals": []any{map[string]any{"type": s.seal}},
			"listeners": []any{map[string]any{"type": "tcp", "config": map[string]any{
				"address": c.Listen, "tls_cert": c.TLSCert, "tls_names": append([]string{}, c.TLSNames...),
			}}},
		},
	}
}

package unsealed

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Config is what an unsealed vault is built with. All fields are set, except
// where it says so.
type Config struct {
	Barrier *seal.Barrier
	// Open puts the decorators over the raw store at unseal. Closing what it
	// returns must leave raw open.
	Open  func(raw store.Store, keys *seal.Keyring) (store.Store, error)
	Types func(v *Vault) Types // every engine, method and system mount, for one unsealed vault
	// SkipAudit names audit devices that are not enabled at unseal though they
	// are stored: the way out when one can no longer work.
	SkipAudit []string
	TTLs      engine.TTLs // the system's defaults
	// LeaseTTL is the default of tracked leases of mounts that are not tuned; 0 = TTLs.Default.
	LeaseTTL time.Duration
	// HoldLeases has nothing expire, be revoked or be rotated by itself until
	// sys/leases/resume: for a restored copy, whose original still lives.
	HoldLeases bool
	// MaxSilence is set where other processes write to the store as well: memory follows
	// them, and a vault that has heard nothing of its store for so long is not Current. The
	// store sends signs of life (store.Event). 0 = nobody else writes.
	MaxSilence time.Duration
	Node       func() leader.Node // this process, as others see it; nil = it has no name. Only with MaxSilence
	LeaderTTL  time.Duration      // 0 = leader.DefaultTTL
	Version    string             // of the program, for other nodes to see
	Format     int                // the newest of the store that it reads, likewise
	// Defaults is what a new vault is set up with besides the system mounts.
	Defaults Defaults
	// Settings is called with the decrypted store when the vault opens, and after
	// each change below SettingsPrefix, one call at a time; nil = not.
	Settings func(ctx context.Context, s store.Store) error
	Now      func() time.Time
	Random   io.Reader
	Log      *slog.Logger
}

// SettingsPrefix is the folder of what Config.Settings reads.
const SettingsPrefix = "settings/"

// Types are the factories by type name.
type Types struct {
	Secrets, Auths, Systems map[string]engine.Factory
}

func (t *Types) of(class mount.Class) map[string]engine.Factory {
	switch class {
	case mount.Auth:
		return t.Auths
	case mount.System:
		return t.Systems
	}
	return t.Secrets
}

// Defaults of a new vault.
type Defaults struct {
	Audit  []devices.Device // to enable, without keys
	Mounts []mount.Entry    // to add, without IDs
	// RootToken is the first token's ID; empty = random. Only for development.
	RootToken string
}

package gate

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/format"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// Config is what a Gate needs. All fields are set, except where it says so.
type Config struct {
	unsealed.Config                          // of the vault while it is open
	Raw             store.Store              // the base store, below the seal, which Barrier is over; the Gate does not close it
	Devices         map[string]audit.Factory // by type name
	Observe         func(Observation)        // called for every request; nil = not
	Version         string                   // semver
	Program         format.Program           // what this program reads and writes; zero = format.This
	HoldFormat      bool                     // write in no format that the store is not in yet
}

// Observation is what metrics learn of a request.
type Observation struct {
	MountType string // "" if none was found
	Operation engine.Operation
	Kind      errs.Kind // meaningless if OK
	OK        bool
	Duration  time.Duration
}

// Gate is the vault as its callers see it: sealed or open, and the one path of
// every request. Its methods are safe for concurrent use.
type Gate struct {
	cfg   Config
	open  atomic.Pointer[unsealed.Vault] // nil while sealed
	form  atomic.Pointer[format.Keeper]  // of the latest unsealed period
	audit *audit.Broker

	mu sync.Mutex // serialises Init, opening, sealing and Close
}

// New returns a sealed gate.
func New(cfg Config) *Gate {
	return &Gate{cfg: cfg, audit: audit.NewBroker(audit.Config{Types: cfg.Devices, Log: cfg.Log, Now: cfg.Now})}
}

var errSealed = errs.New(errs.Sealed, "Vault is sealed")

// enter returns the open vault and holds it open until Leave.
func (g *Gate) enter() (*unsealed.Vault, error) {
	v := g.open.Load()
	if v == nil || !v.Enter() {
		return nil, errSealed
	}
	return v, nil
}

func (g *Gate) observe(c *call, err error) {
	if g.cfg.Observe == nil {
		return
	}
	o := Observation{Operation: c.op, OK: err == nil, Duration: g.cfg.Now().Sub(c.req.Time)}
	if err != nil {
		o.Kind = errs.KindOf(err)
	}
	if c.mount != nil {
		o.MountType = c.mount.Type
	}
	g.cfg.Observe(o)
}

// Open reports whether requests are served now.
func (g *Gate) Open() bool { return g.open.Load() != nil }

// Current is unsealed.Vault.Current; nil while the vault is sealed.
func (g *Gate) Current() error {
	if v := g.open.Load(); v != nil {
		return g.current(v)
	}
	return nil
}

func (g *Gate) current(v *unsealed.Vault) error {
	if err := g.form.Load().Refused(); err != nil {
		return err
	}
	return v.Current()
}

// Format says in which format the store is written; nil while the vault has not been open.
func (g *Gate) Format() *format.Keeper { return g.form.Load() }

// Leader says which node does the background work; several: there are others that could.
func (g *Gate) Leader() (status leader.Status, several bool) {
	v := g.open.Load()
	if v == nil {
		return leader.Status{}, false
	}
	return v.Leader()
}

// Barrier is the seal, for status.
func (g *Gate) Barrier() *seal.Barrier { return g.cfg.Barrier }

// Audit is the broker, for its statistics and for Reload at SIGHUP.
func (g *Gate) Audit() *audit.Broker { return g.audit }

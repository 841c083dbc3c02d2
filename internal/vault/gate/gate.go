package gate

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/audit/headers"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/events"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/workers"
	"github.com/strongkeep/strongkeep/internal/vault/wrapping"
)

// Config is what a Gate needs. All fields are set, except where it says so.
type Config struct {
	Raw     store.Store   // the base store, below the seal; the Gate does not close it
	Barrier *seal.Barrier // over Raw
	// Open puts the decorators over the raw store at unseal. Closing what it
	// returns must leave Raw open.
	Open    func(raw store.Store, keys *seal.Keyring) (store.Store, error)
	Types   func(core Core) Types // every engine, method and system mount, for one unsealed vault
	Devices map[string]audit.Factory
	// SkipAudit names audit devices that are not enabled at unseal though they
	// are stored: the way out when one can no longer work.
	SkipAudit []string
	TTLs      engine.TTLs // the system's defaults
	// LeaseTTL is the default of tracked leases of mounts that are not tuned; 0 = TTLs.Default.
	LeaseTTL time.Duration
	// HoldLeases has nothing expire, be revoked or be rotated by itself until
	// sys/leases/resume: for a restored copy, whose original still lives.
	HoldLeases bool
	// Defaults is what a new vault is set up with besides the system mounts.
	Defaults Defaults
	// Settings is called with the decrypted store when the vault opens, and after
	// each change below SettingsPrefix, one call at a time; nil = not.
	Settings func(ctx context.Context, s store.Store) error
	Now      func() time.Time
	Random   io.Reader
	Log      *slog.Logger
	Observe  func(Observation) // called for every request; nil = not
	Version  string            // semver
}

// SettingsPrefix is the folder of what Config.Settings reads.
const SettingsPrefix = "settings/"

// Types are the factories by type name.
type Types struct {
	Secrets, Auths, Systems map[string]engine.Factory
}

// Defaults of a new vault.
type Defaults struct {
	Audit  []devices.Device // to enable, without keys
	Mounts []mount.Entry    // to add, without IDs
	// RootToken is the first token's ID; empty = random. Only for development.
	RootToken string
}

// Core is what system engines work on: the parts of one unsealed vault.
type Core struct {
	Mounts *mount.Registry
	// Namespaces is the tree of tenants.
	Namespaces *namespace.Registry
	Policies   *policy.Book
	Tokens     *token.Manager
	Wrapping   *wrapping.Wrapper
	Leases     *lease.Manager
	Quotas     *quota.Book
	Identity   *identity.Manager
	Audit      *audit.Broker
	Barrier    *seal.Barrier
	AskSeal    func() // seals the vault once the present request is answered
	// TokenLimits says how long a token may go on: its mount's TTLs, and what
	// its auth method says, which may also refuse.
	TokenLimits func(ctx context.Context, tx engine.Tx, req *engine.Request, e *token.Entry) (token.Limits, error)
	// MissingPolicies returns a warning for each policy that does not exist in ns.
	MissingPolicies func(ctx context.Context, tx engine.Tx, ns engine.Namespace, names []string) ([]string, error)
	// Reach returns the namespace with this ID ("" = the root) if it is the
	// request's, or lies below that and policy allows the caller the same request
	// there. Kind Denied otherwise, whether or not there is such a namespace.
	Reach func(ctx context.Context, tx engine.Tx, req *engine.Request, id string) (engine.Namespace, error)
	// Subject is whom the policies of a token are asked for: its own and those of
	// its entity. Kind Denied: the entity is disabled or no more.
	Subject func(ctx context.Context, tx engine.Tx, e *token.Entry) (policy.Subject, error)
	// Caller is whom policies are asked for when the caller of a request asks
	// about itself. Kinds as of Subject.
	Caller func(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error)
	// IdentityPolicies are those that the entity of a token adds. Kinds as of Subject.
	IdentityPolicies func(ctx context.Context, tx engine.Tx, e *token.Entry) ([]string, error)
	// EntityOfAlias finds or makes the entity with an alias of the token method, and
	// has made make a token of it.
	EntityOfAlias func(ctx context.Context, tx engine.Tx, req *engine.Request, name string, made func(entityID string) (*token.Entry, error)) error
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
	open  atomic.Pointer[vault] // nil while sealed
	audit *audit.Broker

	mu sync.Mutex // serialises Init, opening, sealing and Close
}

// vault is one unsealed period: everything that lives from unseal to seal.
type vault struct {
	store      store.Store // decrypted view
	reads      engine.Tx   // store for routes that only read
	mounts     *mount.Registry
	namespaces *namespace.Registry
	policies   *policy.Book
	tokens     *token.Manager
	identities *identity.Manager
	wrapper    *wrapping.Wrapper
	leases     *lease.Manager
	quotas     *quota.Book
	events     *events.Bus
	audit      *audit.Broker
	expirer    *lease.Expirer
	workers    *workers.Crew
	devices    map[string]redact.Secret          // keys of the enabled audit devices by path; guarded by reload
	skipped    map[string]redact.Secret          // likewise of those left out at start; guarded by reload
	headers    atomic.Pointer[headers.Selection] // which request headers are audited
	reload     sync.Mutex                        // serialises reloads of mounts and devices
	purgeAsked chan struct{}                     // capacity 1; see purge

	lifetime context.Context    // of background work; not a request's
	stop     context.CancelFunc // ends lifetime
	work     sync.WaitGroup

	sealAsked atomic.Bool
	inside    sync.RWMutex // held for reading by every request, for writing to close
	closed    bool         // guarded by inside
}

// New returns a sealed gate.
func New(cfg Config) *Gate {
	return &Gate{cfg: cfg, audit: audit.NewBroker(audit.Config{Types: cfg.Devices, Log: cfg.Log, Now: cfg.Now})}
}

var errSealed = errs.New(errs.Sealed, "Vault is sealed")

// enter returns the open vault and holds it open until leave.
func (g *Gate) enter() (*vault, error) {
	v := g.open.Load()
	if v == nil {
		return nil, errSealed
	}
	v.inside.RLock()
	if v.closed {
		v.inside.RUnlock()
		return nil, errSealed
	}
	return v, nil
}

func (v *vault) leave() { v.inside.RUnlock() }

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

// Barrier is the seal, for status.
func (g *Gate) Barrier() *seal.Barrier { return g.cfg.Barrier }

// Audit is the broker, for its statistics and for Reload at SIGHUP.
func (g *Gate) Audit() *audit.Broker { return g.audit }

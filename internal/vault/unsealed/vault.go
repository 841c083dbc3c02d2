package unsealed

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/headers"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/events"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/follow"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/index"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/purge"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
	"github.com/strongkeep/strongkeep/internal/vault/roster"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/workers"
	"github.com/strongkeep/strongkeep/internal/vault/wrapping"
)

// Vault is one unsealed period: everything that lives from unseal to seal. Its
// parts are what requests and system engines work on; they do not change while
// the vault is open. All methods are safe for concurrent use.
type Vault struct {
	Store      store.Store // decrypted view
	Reads      engine.Tx   // Store for routes that only read; it panics at a write
	Barrier    *seal.Barrier
	Audit      *audit.Broker
	Mounts     *mount.Registry
	Namespaces *namespace.Registry // the tree of tenants
	Policies   *policy.Book
	Tokens     *token.Manager
	Identity   *identity.Manager
	Wrapping   *wrapping.Wrapper
	Leases     *lease.Manager
	Quotas     *quota.Book
	Events     *events.Bus
	Indexes    *index.Book // nil = nobody else writes to the store

	cfg       *Config
	node      leader.Node      // this one
	roster    *roster.Roster   // nil = nobody else writes to the store
	follower  *follow.Follower // of what other nodes write; nil = nobody else writes
	expirer   *expiry.Expirer  // nil before the vault is open
	workers   *workers.Crew
	devices   map[string]redact.Secret          // keys of the enabled audit devices by path; guarded by reload
	skipped   map[string]redact.Secret          // likewise of those left out at start; guarded by reload
	headers   atomic.Pointer[headers.Selection] // which request headers are audited
	reload    sync.Mutex                        // serialises reloads of mounts and devices
	duty      duty
	purger    *purge.Purger
	holdAsked chan struct{} // capacity 1; see holdAsIs

	lifetime context.Context    // of background work; not a request's
	stop     context.CancelFunc // ends lifetime
	work     sync.WaitGroup

	sealAsked atomic.Bool
	inside    sync.RWMutex // held for reading by every request, for writing to close
	closed    bool         // guarded by inside
}

// Open builds the vault that is stored in raw, whose values keys opens, and
// starts its audit devices and background work. log outlives it. The caller
// closes the vault; raw stays open.
func Open(ctx context.Context, cfg *Config, log *audit.Broker, raw store.Store, keys *seal.Keyring) (*Vault, error) {
	v, err := build(ctx, cfg, log, raw, keys)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "opening the vault: %w", err)
	}
	if err := v.start(ctx); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// build makes the parts of a vault over raw and reads its mounts.
func build(ctx context.Context, cfg *Config, log *audit.Broker, raw store.Store, keys *seal.Keyring) (*Vault, error) {
	s, err := cfg.Open(raw, keys)
	if err != nil {
		return nil, err
	}
	var shown *index.Shown
	if cfg.MaxSilence > 0 {
		shown = &index.Shown{Store: s}
		s = shown
	}
	began, err := s.Apply(ctx) // whatever is read below is at least as new
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	v := &Vault{
		Store: s, Reads: readTx{s}, Barrier: cfg.Barrier, Audit: log, Policies: policy.NewBook(policy.Config{}), cfg: cfg, workers: workers.New(cfg.Now),
		devices: map[string]redact.Secret{}, skipped: map[string]redact.Secret{}, holdAsked: make(chan struct{}, 1),
	}
	v.join(began)
	v.Namespaces = namespace.NewRegistry(namespace.Config{Store: s, Now: cfg.Now, Random: cfg.Random})
	tokenKey, err := keys.Derive("token")
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	defer tokenKey.Wipe() // the manager derives its own from it
	v.Tokens, err = token.New(token.Config{Key: tokenKey, Now: cfg.Now, Random: cfg.Random, Gone: v.tokenGone, Lost: v.mountLost, LostNamespace: v.namespaceLost})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	id, epoch, err := snapshot.Identity(ctx, raw)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if shown != nil { // indexes of before a restore or a move say nothing here
		v.Indexes = &index.Book{Vault: id + epoch, Shown: shown, Node: v.follower}
	}
	v.Leases, v.Quotas = v.newLeases(), v.newQuotas()
	v.Events = events.NewBus(events.Config{Source: "strongkeep://" + id})
	v.Identity = identity.New(cfg.Now, cfg.Random)
	types := Types{}
	v.Mounts = mount.NewRegistry(mount.Config{
		Store: s, Types: func(class mount.Class) map[string]engine.Factory { return types.of(class) },
		TTLs: cfg.TTLs, Now: cfg.Now, Random: cfg.Random, Log: cfg.Log,
		Host: v.host, Closing: v.endWork,
	})
	v.purger = purge.New(purge.Config{Mounts: v.Mounts, Namespaces: v.Namespaces, Tokens: v.Tokens, Leases: v.Leases, Reload: &v.reload, Log: cfg.Log})
	v.Wrapping = wrapping.New(wrapping.Config{Tokens: v.Tokens, Mounts: v.Mounts, Longest: cfg.TTLs.Max, Usable: v.Usable})
	types = cfg.Types(v)
	if err := errors.Join(v.Namespaces.Reload(ctx), v.Mounts.Reload(ctx)); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// join has the vault know of the other nodes, where there may be some; what it has of them is at
// least as new as began.
func (v *Vault) join(began store.Revision) {
	cfg := v.cfg
	if cfg.Node != nil {
		v.node = cfg.Node()
	}
	v.node.ID = cmp.Or(v.node.ID, rand.Text())
	if cfg.MaxSilence > 0 {
		v.follower = v.newFollower(began)
		v.roster = roster.New(roster.Config{
			Store: v.Store, Self: v.node, Version: cfg.Version, Format: cfg.Format, Now: cfg.Now, Log: cfg.Log,
			Leader: func() leader.Status { status, _ := v.Leader(); return status },
		})
	}
}

// start does what comes before the first request.
func (v *Vault) start(ctx context.Context) error {
	if err := v.mountIdentity(ctx); err != nil {
		return err
	}
	if err := v.startAuditing(ctx); err != nil {
		return errs.Newf(errs.KindOf(err), "enabling the audit devices: %w", err)
	}
	held, err := v.Leases.Restore(ctx, v.cfg.HoldLeases)
	if err != nil {
		return err
	}
	if held {
		v.cfg.Log.Warn("leases are held: nothing expires, is revoked or rotated by itself until sys/leases/resume is written to")
	}
	if v.cfg.Settings != nil {
		if err := v.cfg.Settings(ctx, v.Store); err != nil {
			return errs.Newf(errs.KindOf(err), "reading the settings: %w", err)
		}
	}
	v.background(held)
	if err := v.Quotas.Load(ctx, v.Store); err != nil {
		return errs.Newf(errs.KindOf(err), "reading the quotas: %w", err)
	}
	return nil
}

// background starts what runs as long as the vault is open.
func (v *Vault) background(held bool) {
	v.lifetime, v.stop = context.WithCancel(context.Background())
	v.expirer = expiry.Start(expiry.Config{
		Store: v.workStore(), Kinds: slices.Concat(v.Tokens.Kinds(), v.Leases.Kinds(), v.Identity.Kinds()),
		Log: v.cfg.Log, Now: v.cfg.Now, Held: true,
	})
	v.takeDuty(held)
	if v.follower != nil {
		v.work.Go(func() { v.follower.Run(v.lifetime) })
		v.work.Go(func() { v.holdAsIs(v.lifetime) })
		v.work.Go(func() { v.roster.Run(v.lifetime) })
	}
}

// Enter holds the vault open until Leave, for a request; false: it is closed.
func (v *Vault) Enter() bool {
	v.inside.RLock()
	if v.closed {
		v.inside.RUnlock()
		return false
	}
	return true
}

// Leave ends what a successful Enter began.
func (v *Vault) Leave() { v.inside.RUnlock() }

// shut waits for those inside and lets nobody in any more.
func (v *Vault) shut() {
	v.inside.Lock()
	defer v.inside.Unlock()
	v.closed = true
}

// AskSeal has the vault sealed once the present request is answered.
func (v *Vault) AskSeal() { v.sealAsked.Store(true) }

// SealAsked reports whether AskSeal was called.
func (v *Vault) SealAsked() bool { return v.sealAsked.Load() }

// Close waits for the requests inside and stops everything. It may be called
// on a vault that was never opened to requests.
func (v *Vault) Close() error {
	v.shut()
	var all []error
	if v.stop != nil {
		v.stop()
		if v.duty.elector != nil {
			v.duty.elector.Close()
		}
		v.workers.Close()
		all = append(all, v.expirer.Close())
		v.work.Wait()
	}
	for path := range v.devices {
		all = append(all, v.Audit.Disable(path))
	}
	v.Events.Close()
	all = append(all, v.Mounts.Close(), v.Store.Close())
	return errors.Join(all...)
}

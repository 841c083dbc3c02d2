package lease

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Owner is the mount that a lease belongs to, as it is now.
type Owner struct {
	ID, Path string
	Storage  string      // prefix that confines its engine
	TTLs     engine.TTLs // of leases that are kept here
	Leaser   engine.Leaser
}

// ManagerConfig is what a Manager needs.
type ManagerConfig struct {
	Store store.Store // for what happens outside of a request
	// Owner finds a mount by its ID; false: it was removed, or gives no leases.
	Owner func(mountID string) (Owner, bool)
	// Alive reports whether the token with this key is valid.
	Alive func(ctx context.Context, r Reader, tokenKey string) (bool, error)
	// Wake has what is due of a kind looked at soon; nil = at the next poll.
	Wake func(kind string)
	// Hold stops or resumes the Expirer, and all that works by itself; nil = nothing.
	Hold func(held bool)

	// Ended is told of each lease that ended; perhaps twice for one. nil = nobody.
	Ended func(*Record)

	Now    func() time.Time // time.Now
	Random io.Reader        // crypto/rand
	Log    *slog.Logger

	Attempts int           // to end a lease until it is irrevocable; 10
	MinPause time.Duration // after the first failed attempt, then doubled; 5 s
	MaxPause time.Duration // 1 h
	Retry    time.Duration // of irrevocable leases; 24 h
	Timeout  time.Duration // of one call of an engine; 1 min

	// Shared says that other nodes, with clocks of their own, renew leases too: that one has
	// expired is committed before its engine ends it. Where there is one clock, grace does.
	Shared bool
}

// Manager is the rules and the layout of leases. What requests do is done in
// their transactions; what it does by itself are the handlers of Kind. Any
// number of goroutines may use it at once.
type Manager struct {
	cfg    ManagerConfig
	breaks breakers
	held   atomic.Bool
	count  counters
}

// NewManager returns a Manager.
func NewManager(cfg ManagerConfig) *Manager {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Ended == nil {
		cfg.Ended = func(*Record) {}
	}
	if cfg.Wake == nil {
		cfg.Wake = func(string) {}
	}
	cfg.Attempts = cmp.Or(cfg.Attempts, 10)
	cfg.MinPause = cmp.Or(cfg.MinPause, 5*time.Second)
	cfg.MaxPause = cmp.Or(cfg.MaxPause, time.Hour)
	cfg.Retry = cmp.Or(cfg.Retry, 24*time.Hour)
	cfg.Timeout = cmp.Or(cfg.Timeout, time.Minute)
	return &Manager{cfg: cfg}
}

func (m *Manager) now() time.Time { return m.cfg.Now().UTC() }

// grace is how long after its end a lease is ended in earnest: a renewal that
// was decided just before has been committed by then.
const grace = time.Second

// Holder is who asks for a lease.
type Holder struct {
	TokenKey    string // of the token whose end ends the lease; "" = none
	Accessor    string
	EntityID    string
	DisplayName string
	Until       time.Time // the lease ends by then whatever it is renewed to; zero = no such bound
}

// Ask is a lease to be made.
type Ask struct {
	Owner     Owner
	Namespace engine.Namespace
	Path      string // below the mount
	Holder    Holder
}

// Issue makes the tracked lease l in the request's transaction: four to six
// changes. It fills l's ID, TTL and Renewable. Kind Invalid: the TTL cannot be.
func (m *Manager) Issue(tx expiry.Writer, a Ask, l *engine.Lease) (*Record, []string, error) {
	now := m.now()
	r := &Record{
		MountID: a.Owner.ID, Namespace: namespaceID(a.Namespace), Path: a.Path, Role: l.Role, Internal: l.Internal,
		Issued: now, MaxTTL: l.MaxTTL, Renewable: l.Renewable, Until: a.Holder.Until,
		Holder: a.Holder.TokenKey, Accessor: a.Holder.Accessor, EntityID: a.Holder.EntityID, DisplayName: a.Holder.DisplayName,
	}
	ttl, warnings, err := r.lifetime(now, l.TTL, a.Owner.TTLs)
	if err != nil {
		return nil, nil, err
	}
	suffix, err := m.random()
	if err != nil {
		return nil, nil, err
	}
	r.ID = a.Owner.Path + strings.Trim(a.Path, "/") + "/" + suffix
	if !a.Namespace.Root() {
		r.ID += "." + r.Namespace
	}
	r.Expires = now.Add(ttl)
	r.Due = r.Expires.Add(grace)
	if len(r.Internal) > store.MaxValue/4 {
		return nil, nil, errs.Newf(errs.TooLarge, "the engine keeps %d bytes with a lease; the limit is %d", len(r.Internal), store.MaxValue/4)
	}
	r.add(tx)
	if r.Holder != "" {
		tx.Put(holderPrefix+r.Holder, []byte{version})
	}
	l.ID, l.TTL = r.ID, ttl
	return r, warnings, nil
}

func namespaceID(n engine.Namespace) string {
	if n.Root() {
		return engine.RootNamespaceID
	}
	return n.ID
}

// lifetime returns how long a lease goes on from now if wanted is asked for;
// 0 is the mount's default.
func (r *Record) lifetime(now time.Time, wanted time.Duration, ttls engine.TTLs) (ttl time.Duration, warnings []string, err error) {
	if wanted <= 0 {
		wanted = ttls.Default
	}
	ttl = wanted
	limit := ttls.Max
	if r.MaxTTL > 0 && (limit <= 0 || r.MaxTTL < limit) {
		limit = r.MaxTTL
	}
	if limit > 0 {
		left := r.Issued.Add(limit).Sub(now)
		if ttl > left {
			ttl = left
			warnings = append(warnings, fmt.Sprintf(
				"TTL of %q exceeded the effective max_ttl of %q; TTL value is capped accordingly", wanted, limit))
		}
	}
	if left := r.Until.Sub(now); !r.Until.IsZero() && ttl > left {
		ttl = left
		warnings = append(warnings, "the lease ends with the batch token that asked for it; its TTL is capped accordingly")
	}
	if ttl = ttl.Truncate(time.Second); ttl <= 0 {
		return 0, nil, errs.New(errs.Invalid, "the lease has no time left: its longest TTL is over; ask for a new one")
	}
	return ttl, warnings, nil
}

// random is 24 characters of base62: 142 bits.
func (m *Manager) random() (string, error) {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	id, buf := make([]byte, 0, randomLen), make([]byte, 2*randomLen)
	for len(id) < randomLen {
		if _, err := io.ReadFull(m.cfg.Random, buf); err != nil {
			return "", errs.Newf(errs.Internal, "making a lease ID: %w", err)
		}
		for _, b := range buf {
			if b < 4*62 && len(id) < randomLen { // so that none is likelier than others
				id = append(id, alphabet[b%62])
			}
		}
	}
	return string(id), nil
}

const randomLen = 24

// Find returns the lease with this ID if it lives in the namespace, and nil if
// not: one of another namespace, one that is being ended, and one whose token
// is not valid any more are as if they were not there.
func (m *Manager) Find(ctx context.Context, r Reader, ns engine.Namespace, id string) (*Record, error) {
	rec, err := find(ctx, r, ns, id)
	if err != nil || rec == nil || !rec.Live(m.now()) {
		return nil, err
	}
	if rec.Holder != "" {
		if alive, err := m.cfg.Alive(ctx, r, rec.Holder); err != nil || !alive {
			return nil, err
		}
	}
	return rec, nil
}

// find also returns leases that are being ended.
func find(ctx context.Context, r Reader, ns engine.Namespace, id string) (*Record, error) {
	rec, err := load(ctx, r, short(id))
	if err != nil || rec == nil || rec.ID != id || rec.Namespace != namespaceID(ns) {
		return nil, err
	}
	return rec, nil
}

// Renew gives a lease a new time to live from now: what its engine allows,
// within what the mount and its first issue allow. Kinds: Invalid (there is no
// such lease, it cannot be renewed, its longest TTL is over), and the engine's.
func (m *Manager) Renew(ctx context.Context, tx engine.Tx, rec *Record, increment time.Duration) (*engine.Lease, []string, error) {
	owner, ok := m.cfg.Owner(rec.MountID)
	switch {
	case !ok:
		return nil, nil, errs.New(errs.Invalid, "lease not found: its mount was removed")
	case !rec.Renewable:
		return nil, nil, errs.New(errs.Invalid, "lease is not renewable")
	case increment < 0:
		return nil, nil, errs.New(errs.Invalid, "increment cannot be negative")
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	given, err := owner.Leaser.RenewLease(ctx, confine(tx, owner.Storage), rec.leased(increment))
	if err != nil {
		return nil, nil, errs.Newf(errs.KindOf(err), "renewing the lease: %w", err)
	}
	if given == nil {
		given = &engine.Lease{TTL: increment, MaxTTL: rec.MaxTTL, Renewable: true}
	}
	now, next := m.now(), *rec
	next.MaxTTL = given.MaxTTL
	ttl, warnings, err := next.lifetime(now, given.TTL, owner.TTLs)
	if err != nil {
		return nil, nil, err
	}
	if len(given.Internal) > 0 {
		next.Internal = given.Internal
	}
	next.LastRenewal, next.Expires, next.Renewable = now, now.Add(ttl), given.Renewable
	next.Due = next.Expires.Add(grace)
	rec.replace(tx, &next)
	m.count.renewed.Add(1)
	return &engine.Lease{ID: rec.ID, TTL: ttl, Renewable: next.Renewable}, warnings, nil
}

// Made is called when the transaction of Issue is committed.
func (m *Manager) Made(*Record) { m.count.issued.Add(1) }

// counters are totals since the vault was unsealed.
type counters struct{ issued, renewed, revoked, failed atomic.Uint64 }

// Stats are totals since the vault was unsealed.
type Stats struct {
	Issued, Renewed, Revoked uint64
	Failed                   uint64 // attempts to end a lease
	Held                     bool
	Irrevocable              int // now; filled by the gate
}

// Stats returns what was done so far.
func (m *Manager) Stats() Stats {
	return Stats{
		Issued: m.count.issued.Load(), Renewed: m.count.renewed.Load(), Revoked: m.count.revoked.Load(),
		Failed: m.count.failed.Load(), Held: m.held.Load(),
	}
}

package quota

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Prefix is the folder of everything stored here.
const Prefix = "quota/"

const configKey = Prefix + "config"

// Reader is what reading rules needs.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Writer is what changing them needs.
type Writer interface {
	Put(key string, value []byte)
	Delete(key string)
}

// Config of a Book.
type Config struct {
	// Count returns how many leases fit, from the store, and how many it looked at.
	// It needs to look at those mounts only that covers says yes to: it is asked by
	// the path of a namespace, and that of a mount within it.
	Count func(ctx context.Context, covers func(ns, mount string) bool, fits func(*Target) bool) (n, looked int, err error)
	// Go runs background work of the vault; nil = counts are never made anew.
	Go  func(func(ctx context.Context))
	Now func() time.Time
}

// Book is the rules in force. Any number of goroutines may use it at once.
type Book struct {
	cfg   Config
	rules atomic.Pointer[rules]

	mu sync.Mutex // serialises Load
}

// rules are never changed, only replaced.
type rules struct {
	Settings
	limiters []*limiter
	counters []*counter
}

// NewBook returns a book without rules.
func NewBook(cfg Config) *Book {
	b := &Book{cfg: cfg}
	b.rules.Store(&rules{})
	return b
}

// Load reads all rules. Those that did not change keep what they counted.
func (b *Book) Load(ctx context.Context, r Reader) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, next := b.rules.Load(), &rules{}
	var err error
	if next.Settings, err = ReadSettings(ctx, r); err != nil {
		return err
	}
	for _, kind := range []Kind{RateLimit, LeaseCount} {
		names, err := List(ctx, r, kind)
		if err != nil {
			return err
		}
		for _, name := range names {
			rule, err := Get(ctx, r, kind, name)
			if err != nil {
				return err
			}
			if rule != nil {
				next.add(old, *rule)
			}
		}
	}
	b.rules.Store(next)
	for _, c := range next.counters {
		if c.due(b.cfg.Now()) {
			b.recount(c)
		}
	}
	return nil
}

func (n *rules) add(old *rules, r Rule) {
	if r.Kind == LeaseCount {
		for _, c := range old.counters {
			if c.Rule == r {
				n.counters = append(n.counters, c)
				return
			}
		}
		n.counters = append(n.counters, &counter{Rule: r})
		return
	}
	for _, l := range old.limiters {
		if l.Rule == r {
			n.limiters = append(n.limiters, l)
			return
		}
	}
	n.limiters = append(n.limiters, newLimiter(r))
}

// Limits reports whether there is any rate limit.
func (b *Book) Limits() bool { return len(b.rules.Load().limiters) > 0 }

// Admit takes one request of what the client has left under the most special
// rate limit for t. Kind Exhausted: nothing is left; the Verdict says until when.
func (b *Book) Admit(t *Target, addr netip.Addr, now time.Time) (Verdict, error) {
	in := b.rules.Load()
	if len(in.limiters) == 0 {
		return Verdict{}, nil
	}
	for _, prefix := range in.Exempt {
		if strings.HasPrefix(t.Namespace+t.Path, prefix) {
			return Verdict{}, nil
		}
	}
	var best *limiter
	fit := fitsNot
	for _, l := range in.limiters {
		if f := l.fits(t); f > fit || f == fit && f != fitsNot && len(l.Path) > len(best.Path) {
			best, fit = l, f
		}
	}
	if best == nil {
		return Verdict{}, nil
	}
	v := best.take(addr, now)
	v.Headers, v.Audit = in.Headers, in.AuditRefused
	if v.Refused {
		return v, errs.Newf(errs.Exhausted, "request path %q: rate limit quota exceeded", t.Path)
	}
	return v, nil
}

// Get returns a stored rule, nil if there is none.
func Get(ctx context.Context, r Reader, kind Kind, name string) (*Rule, error) {
	stored, err := r.Get(ctx, ruleKey(kind, name))
	if err != nil || !stored.Exists() {
		return nil, err
	}
	return decodeRule(kind, name, stored.Value)
}

// List returns the names of the rules of a kind.
func List(ctx context.Context, r Reader, kind Kind) ([]string, error) {
	return r.List(ctx, Prefix+string(kind)+"/", "", 0)
}

// Put stores a rule; it holds after the next Load.
func Put(tx Writer, r *Rule) error {
	if err := r.Check(); err != nil {
		return err
	}
	tx.Put(ruleKey(r.Kind, r.Name), r.encode())
	tx.Put(guardKey, []byte{1})
	return nil
}

// guardKey is written with every rule, so that Follow misses none that is being
// made: one of both transactions runs again.
const guardKey = Prefix + "guard"

// Tx is what Follow needs. Its commit fails if what it read has changed.
type Tx interface {
	Reader
	Writer
}

// Follow has the rules for the namespace or mount at from, and for what is below
// it, hold for to instead, where it moved to. "" deletes them: it is gone, and
// what comes to be at its path later is something else. Both end with a slash.
// The rules are looked through by r, outside of tx, whose commit has no room for
// all of them; the guard is read before.
func Follow(ctx context.Context, r Reader, tx Tx, from, to string) error {
	if _, err := tx.Get(ctx, guardKey); err != nil {
		return err
	}
	for _, kind := range []Kind{RateLimit, LeaseCount} {
		names, err := List(ctx, r, kind)
		if err != nil {
			return err
		}
		for _, name := range names {
			rule, err := Get(ctx, r, kind, name)
			if err != nil {
				return err
			}
			if rule == nil {
				continue
			}
			below, holds := strings.CutPrefix(rule.Path, from)
			switch {
			case !holds:
			case to == "":
				Delete(tx, kind, name)
			default:
				rule.Path = to + below
				if err := Put(tx, rule); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// Delete removes a rule.
func Delete(tx Writer, kind Kind, name string) { tx.Delete(ruleKey(kind, name)) }

func ruleKey(kind Kind, name string) string { return Prefix + string(kind) + "/" + name }

// ReadSettings returns the stored settings.
func ReadSettings(ctx context.Context, r Reader) (s Settings, err error) {
	stored, err := r.Get(ctx, configKey)
	if err != nil || !stored.Exists() {
		return s, err
	}
	if err := json.Unmarshal(stored.Value, &s); err != nil {
		return s, errs.New(errs.Internal, "the stored settings of quotas are damaged")
	}
	return s, nil
}

// PutSettings stores them; they hold after the next Load.
func PutSettings(tx Writer, s Settings) error {
	b, err := json.Marshal(s)
	if err != nil {
		return errs.New(errs.Internal, "encoding the settings of quotas")
	}
	tx.Put(configKey, b)
	return nil
}

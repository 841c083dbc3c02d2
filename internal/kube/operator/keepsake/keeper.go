package keepsake

import (
	"context"
	"crypto/hmac"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Config configures a Keeper. Every field but Old is required.
type Config struct {
	Dir string // made when it is not there; nobody else may read it
	// Key seals what is kept: KeySize bytes, that are not in Dir.
	Key redact.Secret
	// Old is the key before Key, while it is being changed: what it sealed is good until
	// it is read anew, which seals it with Key.
	Old redact.Secret
	// Access says by what a store is read now, of which session.Pool.Access is one.
	Access func(context.Context, v1.Store) (provider.Access, error)
	// MaxAge is for how long a value is good after it was last read.
	MaxAge time.Duration
	Clock  clock.PassiveClock
	Log    *slog.Logger
}

// KeySize is the length of a key, in bytes.
const KeySize = 32

const (
	// maxValue bounds a value that is kept, in bytes.
	maxValue = 2 << 20
	// maxQueue is how many values wait to be written; more are kept at their next read.
	maxQueue = 4096
	// renewals is how often within MaxAge a value that stays as it is is written anew.
	renewals = 10
)

// Keeper keeps values. It is safe for concurrent use.
type Keeper struct {
	cfg Config
	keys
	old *keys // nil: there is none

	mu     sync.Mutex // guards what follows
	known  map[string]note
	closed bool
	queue  chan job
	done   chan struct{}
}

// note is what is known of a file of this process's own.
type note struct {
	digest string
	at     time.Time
}

type job struct {
	name string
	old  string // the name of the same by the key before; "": there is none
	note
	sealed []byte // nil: remove it
}

// Open opens the directory and takes away what a kill has left and what is too old.
// Invalid: the key is none, or another than the one before.
func Open(cfg Config) (*Keeper, error) {
	k := &Keeper{cfg: cfg, known: map[string]note{}, queue: make(chan job, maxQueue), done: make(chan struct{})}
	var err error
	if k.keys, err = derive(cfg.Key); err != nil {
		return nil, err
	}
	if !cfg.Old.Empty() {
		old, err := derive(cfg.Old)
		if err != nil {
			return nil, errs.Newf(errs.Invalid, "the key before: %w", err)
		}
		k.old = &old
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the directory of last values: %w", err)
	}
	if err := k.tidy(); err != nil {
		return nil, err
	}
	if err := k.proveKey(); err != nil {
		return nil, err
	}
	go k.run()
	return k, nil
}

// Close writes what waits to be written, and ends.
func (k *Keeper) Close() {
	k.mu.Lock()
	if !k.closed {
		k.closed = true
		close(k.queue)
	}
	k.mu.Unlock()
	<-k.done
}

// Keep keeps what was just read of a store. It does not block and does not fail:
// what cannot be kept is logged. Values that end by themselves are not kept, nor those
// of which it is not known by what they were read.
func (k *Keeper) Keep(store v1.Store, req provider.Request, v provider.Value) {
	if !v.Expires.IsZero() || v.Len() > maxValue || !v.Access.Known() {
		return
	}
	j, err := k.about(store, req)
	if err != nil {
		k.cfg.Log.Error("a last value cannot be kept", "store", v1.KeyOf(store).String(), "error", err)
		return
	}
	j.note = note{k.digest(v), k.cfg.Clock.Now()}
	k.mu.Lock()
	was, ok := k.known[j.name]
	k.mu.Unlock()
	if ok && was.digest == j.digest && j.at.Sub(was.at) < k.cfg.MaxAge/renewals {
		return
	}
	plain, err := encode(v, k.bound(v.Access), j.at)
	if err != nil {
		k.cfg.Log.Error("a last value cannot be kept", "store", v1.KeyOf(store).String(), "error", err)
		return
	}
	j.sealed = k.sealed(j.name, plain)
	k.put(j)
}

// about returns a job that removes what is kept of a request.
func (k *Keeper) about(store v1.Store, req provider.Request) (job, error) {
	id, err := identify(store, req)
	if err != nil {
		return job{}, err
	}
	j := job{name: k.name(id)}
	if k.old != nil {
		j.old = k.old.name(id)
	}
	return j, nil
}

// Gone forgets what a store itself says is not there.
func (k *Keeper) Gone(store v1.Store, req provider.Request) {
	if j, err := k.about(store, req); err == nil {
		k.put(j)
	}
}

// Last returns what was last read, and when. NotExist: nothing is kept, or it is too
// old, or was read by other credentials than the store has now; Invalid: it cannot be
// opened, and is another's or spoiled.
func (k *Keeper) Last(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, time.Time, error) {
	j, err := k.about(store, req)
	if err != nil {
		return provider.Value{}, time.Time{}, err
	}
	keys, name := &k.keys, j.name
	raw, err := os.ReadFile(k.path(name))
	if errors.Is(err, fs.ErrNotExist) && k.old != nil {
		keys, name = k.old, j.old
		raw, err = os.ReadFile(k.path(name))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return provider.Value{}, time.Time{}, errs.New(errs.NotExist, "no last value is kept")
	case err != nil:
		return provider.Value{}, time.Time{}, errs.Newf(errs.Unavailable, "reading the last value: %w", err)
	}
	kept, err := keys.opened(name, raw)
	if err != nil {
		return provider.Value{}, time.Time{}, err
	}
	if age := k.cfg.Clock.Now().Sub(kept.At); age > k.cfg.MaxAge || age < -time.Hour {
		return provider.Value{}, kept.At, errs.Newf(errs.NotExist, "the last value is of %s, which is too long ago", kept.At.UTC().Format(time.RFC3339))
	}
	access, err := k.cfg.Access(ctx, store)
	if err != nil || !access.Known() || !hmac.Equal(kept.Access, keys.bound(access)) {
		return provider.Value{}, kept.At, errs.New(errs.NotExist, "the last value was read by other credentials than the store has now")
	}
	return kept.value(), kept.At, nil
}

// put hands j to the writer. When too much waits it is left: the next read comes.
func (k *Keeper) put(j job) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	select {
	case k.queue <- j:
		if j.sealed == nil {
			delete(k.known, j.name)
		} else {
			k.known[j.name] = j.note
		}
	default:
		k.cfg.Log.Warn("too many last values wait to be written; one is kept at its next read")
	}
}

// run writes, one after the other, until Close.
func (k *Keeper) run() {
	defer close(k.done)
	for j := range k.queue {
		if err := k.do(j); err != nil {
			k.cfg.Log.Error("keeping a last value", "error", err)
			k.mu.Lock()
			delete(k.known, j.name) // the next read tries again
			k.mu.Unlock()
		}
	}
}

func (k *Keeper) do(j job) error {
	if j.sealed == nil {
		return errors.Join(k.remove(j.name), k.remove(j.old))
	}
	if err := replace(k.path(j.name), j.sealed, j.at); err != nil {
		return err
	}
	return k.remove(j.old)
}

// remove removes a file that need not be there; "" names none.
func (k *Keeper) remove(name string) error {
	if name == "" {
		return nil
	}
	return gone(os.Remove(k.path(name)))
}

// path is where a file is: in 256 directories, for file systems that like few names.
func (k *Keeper) path(name string) string { return filepath.Join(k.cfg.Dir, name[:2], name) }

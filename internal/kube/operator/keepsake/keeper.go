package keepsake

import (
	"crypto/cipher"
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

// Config configures a Keeper. Every field is required.
type Config struct {
	Dir string // made when it is not there; nobody else may read it
	// Key seals what is kept: KeySize bytes, that are not in Dir.
	Key redact.Secret
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
	cfg    Config
	seal   cipher.AEAD
	naming []byte // the key of names
	equal  []byte // the key of digests of values

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
	note
	sealed []byte // nil: remove it
}

// Open opens the directory and takes away what a kill has left. Invalid: the key
// is none, or another than the one before.
func Open(cfg Config) (*Keeper, error) {
	k := &Keeper{cfg: cfg, known: map[string]note{}, queue: make(chan job, maxQueue), done: make(chan struct{})}
	if err := k.derive(); err != nil {
		return nil, err
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
// what cannot be kept is logged. Values that end by themselves are not kept.
func (k *Keeper) Keep(store v1.Store, req provider.Request, v provider.Value) {
	if !v.Expires.IsZero() || v.Len() > maxValue {
		return
	}
	name, err := k.name(store, req)
	if err != nil {
		k.cfg.Log.Error("a last value cannot be kept", "store", v1.KeyOf(store).String(), "error", err)
		return
	}
	plain, err := encode(v, k.cfg.Clock.Now())
	if err != nil {
		k.cfg.Log.Error("a last value cannot be kept", "store", v1.KeyOf(store).String(), "error", err)
		return
	}
	now := note{k.digest(v), k.cfg.Clock.Now()}
	k.mu.Lock()
	was, ok := k.known[name]
	k.mu.Unlock()
	if ok && was.digest == now.digest && now.at.Sub(was.at) < k.cfg.MaxAge/renewals {
		return
	}
	k.put(job{name, now, k.sealed(name, plain)})
}

// Gone forgets what a store itself says is not there.
func (k *Keeper) Gone(store v1.Store, req provider.Request) {
	name, err := k.name(store, req)
	if err != nil {
		return
	}
	k.put(job{name: name})
}

// Last returns what was last read, and when. NotExist: nothing is kept, or it is too
// old; Invalid: it cannot be opened, and is another's or spoiled.
func (k *Keeper) Last(store v1.Store, req provider.Request) (provider.Value, time.Time, error) {
	name, err := k.name(store, req)
	if err != nil {
		return provider.Value{}, time.Time{}, err
	}
	raw, err := os.ReadFile(k.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return provider.Value{}, time.Time{}, errs.New(errs.NotExist, "no last value is kept")
	case err != nil:
		return provider.Value{}, time.Time{}, errs.Newf(errs.Unavailable, "reading the last value: %w", err)
	}
	plain, err := k.unsealed(name, raw)
	if err != nil {
		return provider.Value{}, time.Time{}, err
	}
	v, at, err := decode(plain)
	if err != nil {
		return provider.Value{}, time.Time{}, err
	}
	if age := k.cfg.Clock.Now().Sub(at); age > k.cfg.MaxAge || age < -time.Hour {
		return provider.Value{}, at, errs.Newf(errs.NotExist, "the last value is of %s, which is too long ago", at.UTC().Format(time.RFC3339))
	}
	return v, at, nil
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
		var err error
		if j.sealed == nil {
			if err = os.Remove(k.path(j.name)); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		} else {
			err = k.write(j.name, j.sealed)
		}
		if err != nil {
			k.cfg.Log.Error("keeping a last value", "error", err)
			k.mu.Lock()
			delete(k.known, j.name) // the next read tries again
			k.mu.Unlock()
		}
	}
}

// path is where a file is: in 256 directories, for file systems that like few names.
func (k *Keeper) path(name string) string { return filepath.Join(k.cfg.Dir, name[:2], name) }

const unfinished = ".tmp"

// write replaces a file as a whole, durably.
func (k *Keeper) write(name string, data []byte) error {
	dir := filepath.Dir(k.path(name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "*"+unfinished)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone, once it is renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), k.path(name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tidy removes what a kill left half-written.
func (k *Keeper) tidy() error {
	left, err := fs.Glob(os.DirFS(k.cfg.Dir), "*/*"+unfinished)
	for _, path := range left {
		err = errors.Join(err, os.Remove(filepath.Join(k.cfg.Dir, path)))
	}
	if err != nil {
		return errs.Newf(errs.Unavailable, "looking at the directory of last values: %w", err)
	}
	return nil
}

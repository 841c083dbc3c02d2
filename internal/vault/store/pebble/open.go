package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// formatVersion is the format of pebble's own files. A newer one is chosen
// here, deliberately, since older versions of strongkeep cannot read it.
const formatVersion = pebble.FormatTableFormatV6

// Open opens the store in cfg.Dir, or makes an empty one. Kinds: Unavailable
// (another process has it open, or the disk does not work), Unsupported (a
// newer version wrote it), Invalid (the directory holds something else),
// Internal (it is damaged).
func Open(cfg Config) (*Store, error) {
	cfg.defaults()
	inner := cfg.FS
	if inner == nil {
		inner = vfs.Default
	}
	d := newDisk(inner, cfg.Retry, cfg.Log)
	if cfg.FS == nil {
		d.private = func(name string) error { return os.Chmod(name, 0o600) }
	}
	if err := makeDir(d, &cfg); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the directory of the store: %w", err)
	}
	lock, err := lockDir(d, cfg.Dir)
	if err != nil {
		return nil, err
	}
	db, rev, err := openDB(d, lock, &cfg)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	s := &Store{
		committer: committer{
			db: db, disk: d, views: &views{}, feed: feed.New(cfg.History, rev),
			queue: make(chan *request, groupRequests), stop: make(chan struct{}), ended: make(chan struct{}),
		},
		lock: lock,
	}
	s.views.publish(db, rev)
	go s.run()
	return s, nil
}

func (c *Config) defaults() {
	if c.CacheBytes <= 0 {
		c.CacheBytes = 8 << 20
	}
	if c.MemTableBytes <= 0 {
		c.MemTableBytes = 4 << 20
	}
	if c.Retry <= 0 {
		c.Retry = time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

// makeDir makes the directory and whatever is missing above it, durably, and
// takes rights away from everybody else.
func makeDir(d *disk, cfg *Config) error {
	var missing []string
	for dir := cfg.Dir; ; dir = d.PathDir(dir) {
		_, err := d.Stat(dir)
		if err == nil || d.PathDir(dir) == dir {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		missing = append(missing, dir)
	}
	if err := d.MkdirAll(cfg.Dir, 0o700); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := syncDir(d.FS, d.PathDir(dir)); err != nil {
			return err
		}
	}
	if cfg.FS != nil {
		return nil
	}
	info, err := os.Stat(cfg.Dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		if err := os.Chmod(cfg.Dir, 0o700); err != nil {
			// A volume's root can belong to somebody else; its files are 0600 all the same.
			cfg.Log.Warn("others have rights in the directory of the store and they cannot be taken away",
				slog.String("dir", cfg.Dir), slog.Any("error", err))
		}
	}
	return nil
}

func syncDir(inner vfs.FS, dir string) error {
	f, err := inner.OpenDir(dir)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return fmt.Errorf("syncing %q: %w", dir, err)
	}
	return f.Close()
}

// lockDir makes sure that no other process has the directory open. The lock
// goes with the process, however that ends.
func lockDir(d *disk, dir string) (*pebble.Lock, error) {
	lock, err := pebble.LockDirectory(dir, d)
	var pathErr *fs.PathError
	switch {
	case err == nil:
		return lock, d.private(d.PathJoin(dir, "LOCK"))
	case errors.As(err, &pathErr):
		return nil, errs.Newf(errs.Unavailable, "locking the directory of the store: %w", err)
	default:
		return nil, errs.Newf(errs.Unavailable, "the store in %q is open already; end the strongkeep that uses it or choose another directory: %w", dir, err)
	}
}

// opened is what openDB makes.
type opened struct {
	db  *pebble.DB
	rev store.Revision
	err error
}

// openDB opens the database and reads its revision. It gives up when the disk
// refuses a write: pebble would wait for it for ever.
func openDB(d *disk, lock *pebble.Lock, cfg *Config) (*pebble.DB, store.Revision, error) {
	state := d.now()
	result := make(chan opened)
	go func() { result <- openFiles(d, lock, cfg) }()
	select {
	case o := <-result:
		return o.db, o.rev, o.err
	case <-state.bad:
	}
	d.close()
	if o := <-result; o.err == nil {
		_ = o.db.Close()
	}
	return nil, 0, errs.Newf(errs.Unavailable, "opening the store in %q: %w; free space or repair the disk", cfg.Dir, state.cause)
}

func openFiles(d *disk, lock *pebble.Lock, cfg *Config) (o opened) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case fatal:
			o = opened{err: errs.Newf(errs.Internal, "opening the store in %q: it is damaged; restore it from a backup: %w", cfg.Dir, r)}
		default:
			panic(r)
		}
	}()
	logs := &logger{log: cfg.Log.With(slog.String("store", "pebble")), disk: d}
	opts := options(d, lock, logs, cfg)
	names, err := d.List(cfg.Dir)
	if err != nil {
		return opened{err: failure("reading the directory of the store", err)}
	}
	// Tables without the file that says what they are must not become an empty store.
	opts.ErrorIfNotExists = slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".sst") })
	db, err := pebble.Open(cfg.Dir, opts)
	if errors.Is(err, pebble.ErrDBDoesNotExist) {
		return opened{err: errs.Newf(errs.Internal, "the store in %q has lost files: it is damaged; restore it from a backup: %w", cfg.Dir, err)}
	}
	if err != nil {
		return opened{err: failure(fmt.Sprintf("opening the store in %q", cfg.Dir), err)}
	}
	rev, err := prepare(db, cfg.Dir)
	if err != nil {
		_ = db.Close()
		return opened{err: err}
	}
	return opened{db: db, rev: rev}
}

func options(d *disk, lock *pebble.Lock, logs *logger, cfg *Config) *pebble.Options {
	o := &pebble.Options{
		FS:                          d,
		Lock:                        lock,
		Logger:                      logs,
		EventListener:               logs.events(),
		FormatMajorVersion:          formatVersion,
		CacheSize:                   cfg.CacheBytes,
		MaxOpenFiles:                256,
		MaxManifestFileSize:         4 << 20,
		MemTableSize:                uint64(cfg.MemTableBytes),
		MemTableStopWritesThreshold: 4,
	}
	// Values are encrypted, so that compressing them costs time and gains nothing.
	o.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10) // most reads of absent keys touch no table
	}
	return o
}

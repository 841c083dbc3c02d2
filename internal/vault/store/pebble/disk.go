package pebble

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// disk is the file system as pebble sees it: one on which no write fails, since
// pebble would end the process or try again without a pause.
//
// What is refused waits here and is tried again; a failed sync waits until
// close. When the store is closed, what is refused or still waits is dropped,
// and so is every write that follows: the files stay as a crash at that moment
// would leave them, which is a state that pebble recovers from.
type disk struct {
	vfs.FS
	retry   time.Duration
	log     *slog.Logger
	private func(name string) error // gives a new file the mode 0600

	state atomic.Pointer[condition]
	drops atomic.Pointer[error] // why writes are dropped; nil = they are not
	stop  chan struct{}         // closed by close

	mu      sync.Mutex
	refused int // operations that wait for another attempt
	lost    bool
}

// condition is how the disk is at the moment.
type condition struct {
	err error         // nil = it takes writes
	bad chan struct{} // closed when it does not any more

	// Set before bad is closed, where err is nil.
	why   error // what err is then
	cause error // what the operating system said
}

// reason returns why bad was closed.
func (c *condition) reason() error {
	if c.err != nil {
		return c.err
	}
	return c.why
}

func newDisk(inner vfs.FS, retry time.Duration, log *slog.Logger) *disk {
	d := &disk{FS: inner, retry: retry, log: log, stop: make(chan struct{})}
	d.private = func(string) error { return nil }
	d.state.Store(&condition{bad: make(chan struct{})})
	return d
}

func (d *disk) now() *condition { return d.state.Load() }

// close lets whoever waits go on, his writes dropped. Calling it again does nothing.
func (d *disk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.stop:
	default:
		close(d.stop)
	}
}

// dropped returns why something was not written, nil if everything was.
func (d *disk) dropped() error {
	if p := d.drops.Load(); p != nil {
		return *p
	}
	return nil
}

// write does something that can be tried again, until it succeeds. It reports
// false if it was dropped.
func (d *disk) write(what string, try func() error) bool {
	if !d.ready() {
		return false
	}
	err := try()
	if err == nil {
		return true
	}
	d.enter(what, err)
	defer d.leave()
	timer := time.NewTimer(d.retry)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-d.stop:
			d.drop(errs.Newf(errs.Unavailable, "%s: %w", what, err))
			return false
		}
		if !d.ready() {
			return false
		}
		if err = try(); err == nil {
			return true
		}
		timer.Reset(d.retry)
	}
}

// sync does something that makes writes durable and cannot be repeated: after
// a failed fsync the kernel may have marked the lost pages as clean, so that
// the next fsync succeeds without them. It reports false if it was dropped.
func (d *disk) sync(what string, try func() error) bool {
	if !d.ready() {
		return false
	}
	err := try()
	if err == nil {
		return true
	}
	d.lose(what, err)
	<-d.stop
	d.drop(errs.Newf(errs.Unavailable, "%s: %w", what, err))
	return false
}

// ready waits while writes must not go on, and reports false if they are dropped.
func (d *disk) ready() bool {
	if d.drops.Load() != nil {
		return false
	}
	d.mu.Lock()
	lost := d.lost
	d.mu.Unlock()
	if lost {
		<-d.stop
		d.drop(d.now().err)
		return false
	}
	return true
}

func (d *disk) drop(err error) { d.drops.CompareAndSwap(nil, &err) }

// enter notes that something was refused, leave that it is no more.
func (d *disk) enter(what string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused++
	if d.refused == 1 && !d.lost {
		d.setBad(fmt.Errorf("%s: %w", what, err), "the disk refuses writes (%w); writing goes on by itself once it takes them, so free space or repair it")
		d.log.Error("the disk refuses writes; trying again", slog.String("doing", what), slog.String("error", err.Error()))
	}
}

func (d *disk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused--
	if d.refused == 0 && !d.lost && d.drops.Load() == nil {
		d.state.Store(&condition{bad: make(chan struct{})})
		d.log.Info("the disk takes writes again")
	}
}

// lose notes that a sync failed.
func (d *disk) lose(what string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.lost {
		d.lost = true
		d.setBad(fmt.Errorf("%s: %w", what, err), "the disk lost a write (%w); nothing acknowledged is gone, but restart strongkeep once the disk is sound")
		d.log.Error("the disk lost a write; the store takes none until strongkeep is restarted", slog.String("doing", what), slog.String("error", err.Error()))
	}
}

// setBad tells everybody that writes wait, because of cause. d.mu is held.
func (d *disk) setBad(cause error, format string) {
	err := errs.Newf(errs.Unavailable, format, cause)
	old := d.state.Load()
	d.state.Store(&condition{err: err, bad: old.bad})
	if old.err == nil {
		old.why, old.cause = err, cause
		close(old.bad)
	}
}

// pinMarker makes the directory durable before a marker file changes. pebble
// finds its manifest by such files: it makes the new one, removes the old one
// and then syncs. A power failure in between could keep any part of this where
// the file system does not order it, and leave a marker of a manifest that is
// not there, or no marker at all, which looks like an empty store.
func (d *disk) pinMarker(name string) {
	if strings.HasPrefix(d.PathBase(name), "marker.") {
		d.sync("syncing a directory", func() error { return syncDir(d.FS, d.PathDir(name)) })
	}
}

// Create implements vfs.FS, as do the following.
func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	d.pinMarker(name)
	return d.make("creating a file", func() (vfs.File, error) {
		f, err := d.FS.Create(name, category)
		if err != nil {
			return nil, err
		}
		if err := d.private(name); err != nil {
			_ = f.Close()
			return nil, err
		}
		return f, nil
	})
}

func (d *disk) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.make("opening a file", func() (vfs.File, error) {
		return d.FS.OpenReadWrite(name, category, opts...)
	})
}

func (d *disk) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.make("reusing a file", func() (vfs.File, error) {
		f, err := d.FS.ReuseForWrite(oldname, newname, category)
		if errors.Is(err, fs.ErrNotExist) { // an earlier attempt renamed it and got no further
			return d.FS.Create(newname, category)
		}
		return f, err
	})
}

func (d *disk) make(what string, open func() (vfs.File, error)) (f vfs.File, _ error) {
	done := d.write(what, func() (err error) {
		f, err = open()
		return err
	})
	if !done {
		f = void{}
	}
	return &file{File: f, disk: d}, nil
}

// Open must not say that a file is missing which was dropped: pebble would end
// the process for that.
func (d *disk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.FS.Open(name, opts...)
	if dropped := d.dropped(); err != nil && dropped != nil {
		return nil, dropped
	}
	return f, err
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &file{File: f, disk: d}, nil
}

func (d *disk) Link(oldname, newname string) error {
	d.write("linking a file", func() error { return d.FS.Link(oldname, newname) })
	return nil
}

func (d *disk) Rename(oldname, newname string) error {
	d.write("renaming a file", func() error { return d.FS.Rename(oldname, newname) })
	return nil
}

// Remove passes errors on: pebble lives with files it cannot remove.
func (d *disk) Remove(name string) error {
	d.pinMarker(name)
	if !d.ready() {
		return nil
	}
	return d.FS.Remove(name)
}

func (d *disk) RemoveAll(name string) error {
	if !d.ready() {
		return nil
	}
	return d.FS.RemoveAll(name)
}

func (d *disk) Unwrap() vfs.FS { return d.FS }

package pebble

import (
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// disk is the file system as pebble sees it. It goes through three phases.
//
// While the store is opened, errors reach pebble, which reports them.
//
// While it is open, pebble must not see an error of a write: it would end the
// process. What is refused waits here and is tried again; a failed sync waits
// until close.
//
// While it is closed, what is refused or still waits is dropped, and so is
// every write that follows: the files stay as a crash at that moment would
// leave them, which is a state that pebble recovers from.
type disk struct {
	vfs.FS
	retry   time.Duration
	log     *slog.Logger
	private func(name string) error // gives a new file the mode 0600

	state atomic.Pointer[condition]
	drops atomic.Pointer[error] // why writes are dropped; nil = they are not
	stop  chan struct{}         // closed by close

	mu      sync.Mutex
	running bool
	refused int // operations that wait for another attempt
	lost    bool
}

// condition is how the disk is at the moment.
type condition struct {
	err error         // nil = it takes writes
	bad chan struct{} // closed when it does not any more
	why error         // what err will be then; set before bad is closed
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

// run ends the phase of opening.
func (d *disk) run() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = true
}

// close begins the phase of closing; whoever waits goes on.
func (d *disk) close() { close(d.stop) }

// dropped returns why something was not written, nil if everything was.
func (d *disk) dropped() error {
	if p := d.drops.Load(); p != nil {
		return *p
	}
	return nil
}

// write does something that can be tried again until it succeeds. done is
// false if it was dropped; an error is only for the phase of opening.
func (d *disk) write(what string, try func() error) (done bool, err error) {
	if !d.ready() {
		return false, nil
	}
	if err = try(); err == nil {
		return true, nil
	}
	if !d.enter(what, err) {
		return false, err
	}
	defer d.leave()
	timer := time.NewTimer(d.retry)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-d.stop:
			d.drop(errs.Newf(errs.Unavailable, "%s: %w", what, err))
			return false, nil
		}
		if !d.ready() {
			return false, nil
		}
		if err = try(); err == nil {
			return true, nil
		}
		timer.Reset(d.retry)
	}
}

// sync does something that makes writes durable and cannot be repeated: after
// a failed fsync the kernel may have marked the lost pages as clean, so that
// the next fsync succeeds without them. done is as for write.
func (d *disk) sync(what string, try func() error) (done bool, err error) {
	if !d.ready() {
		return false, nil
	}
	if err = try(); err == nil {
		return true, nil
	}
	if !d.lose(what, err) {
		return false, err
	}
	<-d.stop
	d.drop(errs.Newf(errs.Unavailable, "%s: %w", what, err))
	return false, nil
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

// enter notes that something was refused; false while the store is opened.
func (d *disk) enter(what string, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return false
	}
	d.refused++
	if d.refused == 1 && !d.lost {
		d.setBad(errs.Newf(errs.Unavailable, "the disk refuses writes (%s: %w); writing goes on by itself once it takes them, so free space or repair it", what, err))
		d.log.Error("the disk refuses writes; trying again", slog.String("doing", what), slog.Any("error", err))
	}
	return true
}

func (d *disk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refused--
	if d.refused == 0 && !d.lost {
		d.state.Store(&condition{bad: make(chan struct{})})
		d.log.Info("the disk takes writes again")
	}
}

// lose notes that a sync failed; false while the store is opened.
func (d *disk) lose(what string, err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.running {
		return false
	}
	if !d.lost {
		d.lost = true
		d.setBad(errs.Newf(errs.Unavailable, "the disk lost a write (%s: %w); nothing acknowledged is gone, but restart strongkeep once the disk is sound", what, err))
		d.log.Error("the disk lost a write; the store takes none until strongkeep is restarted", slog.String("doing", what), slog.Any("error", err))
	}
	return true
}

func (d *disk) setBad(err error) {
	old := d.state.Load()
	next := &condition{err: err, bad: old.bad}
	d.state.Store(next)
	if old.err == nil {
		old.why = err
		close(old.bad)
	}
}

// Create implements vfs.FS, as do the following.
func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
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

func (d *disk) make(what string, open func() (vfs.File, error)) (f vfs.File, err error) {
	done, err := d.write(what, func() (err error) {
		f, err = open()
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !done:
		return &file{File: void{}, disk: d}, nil
	default:
		return &file{File: f, disk: d}, nil
	}
}

func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &file{File: f, disk: d}, nil
}

func (d *disk) Link(oldname, newname string) error {
	_, err := d.write("linking a file", func() error { return d.FS.Link(oldname, newname) })
	return err
}

func (d *disk) Rename(oldname, newname string) error {
	_, err := d.write("renaming a file", func() error { return d.FS.Rename(oldname, newname) })
	return err
}

// Remove passes errors on: pebble lives with files it cannot remove.
func (d *disk) Remove(name string) error {
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

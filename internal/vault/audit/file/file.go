package file

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/chain"
)

// handle is what is needed of an *os.File opened for appending. It is no seam
// but a place for faults in tests, hence its size.
type handle interface { //nolint:interfacebloat // see above
	Write([]byte) (int, error)
	Sync() error
	Truncate(int64) error
	Stat() (os.FileInfo, error)
	ReadAt([]byte, int64) (int, error)
	Close() error
}

// File appends lines to a file.
//
// The file is a sequence of whole lines whenever nothing is being written:
// what a failed write left behind is cut off, or ended where it cannot be cut
// (a file with the append-only attribute, say), at once or, if even that
// fails, before the next line.
type File struct {
	location
	open func() (opened, error) // location.open, save in tests
	at   opened                 // handle is nil while not open
	undo *remains               // what a failed write may have left; nil = nothing
	size int64                  // of the open file after what was written last
	was  os.FileInfo            // of the file that was open last; nil = none yet
	log  *slog.Logger

	chain *chain.Log // nil = lines are not chained
	side  side
}

// remains of a failed write: whatever lies behind size in the file that info tells of.
type remains struct {
	info os.FileInfo
	size int64
}

func newFile(l location) *File {
	return &File{location: l, open: l.open, log: slog.Default(), side: side{dir: l.dir, name: l.name + sideSuffix}}
}

// Target returns the file's path.
func (d *File) Target() string { return d.path() }

// Write appends lines and syncs. It opens the file if it is not open, and
// opens it anew if the name has come to mean another file or none (a rotated
// or deleted log).
//
// A failed sync is final for these lines: the kernel may have dropped the
// dirty pages and reports the error only once, so that a second sync that
// succeeds proves nothing (the fsync errors PostgreSQL met in 2018; see
// https://lwn.net/Articles/752063/). The lines are cut off, the file is opened
// anew, and whoever waited is refused.
func (d *File) Write(lines []byte) error {
	size, err := d.ready()
	if err != nil {
		return reason("", err)
	}
	if d.chain == nil {
		return d.append(size, lines, nil)
	}
	if !d.chain.Due(lines) {
		return d.settle(d.append(size, lines, func() error { _, err := d.chain.Extend(lines); return err }))
	}
	lines, err = d.chain.Extend(lines)
	if err != nil {
		return err
	}
	return d.settle(d.append(size, lines, nil))
}

// append writes lines to the file of that size, and syncs. What is to be done
// besides is done while the disk works.
func (d *File) append(size int64, lines []byte, besides func() error) error {
	_, err := d.at.Write(lines)
	if err != nil {
		err = reason("", err)
	} else if err = d.sync(besides); err != nil {
		err = reason("syncing: ", err)
	}
	if err == nil {
		d.size = size + int64(len(lines))
		return nil
	}
	d.undo = &remains{d.at.info, size}
	_ = d.clean() // tried again before the next line
	_ = d.drop()
	return err
}

func (d *File) sync(besides func() error) error {
	if besides == nil {
		return d.at.Sync()
	}
	synced := make(chan error, 1)
	at := d.at.handle
	go func() { synced <- at.Sync() }()
	err := besides()
	return errors.Join(<-synced, err)
}

// settle tells the chain how a write ended, and keeps its state beside the log.
func (d *File) settle(err error) error {
	d.chain.Settle(err)
	if line, changed := d.chain.Saved(); changed {
		if err := d.side.write(line); err != nil {
			d.log.Warn("keeping the state of the audit chain beside the log", "file", d.side.path(), "error", err)
		}
	}
	return err
}

// Settle writes a checkpoint if there are lines that none covers.
func (d *File) Settle() error { return d.checkpoint(false) }

func (d *File) checkpoint(closing bool) error {
	if d.chain == nil || d.at.handle == nil {
		return nil
	}
	size, err := d.ready()
	if err != nil {
		return reason("", err)
	}
	line, err := d.chain.Checkpoint(closing)
	if err != nil || line == nil {
		return err
	}
	return d.settle(d.append(size, line, nil))
}

// Proof implements audit.Prover.
func (d *File) Proof() (p audit.Proof) {
	if d.chain == nil {
		return p
	}
	p.Key = d.chain.PublicKey()
	if c := d.chain.Latest(); c != nil {
		p.Note, p.Size, p.Time = c.Note, c.Size, c.Time
	}
	return p
}

// ready has the file open, the right one, ending in a line end, and returns its size.
func (d *File) ready() (size int64, err error) {
	if d.at.handle != nil && d.moved() {
		_ = d.drop() // all lines in it were synced
	}
	fresh := d.at.handle == nil
	if fresh {
		if d.at, err = d.open(); err != nil {
			d.at = opened{}
			return 0, err
		}
	}
	err = d.clean()
	var info os.FileInfo
	if err == nil {
		info, err = d.at.Stat() // not what we wrote so far: rotation by copying cuts the file under us
	}
	if err == nil {
		err = d.resume(fresh, info.Size())
	}
	if err != nil {
		_ = d.drop()
		return 0, err
	}
	return info.Size(), nil
}

// resume notes what file of which size is open, says so if that is another or
// another size than was left, and has the chain go on there.
func (d *File) resume(fresh bool, size int64) error {
	switch {
	case fresh && d.was != nil && !os.SameFile(d.was, d.at.info):
		d.log.Info("audit file was moved, deleted or replaced; writing the one that is there now", "file", d.path(), "size", size)
	case !fresh && size > d.size:
		d.log.Error("somebody else wrote to the audit file", "file", d.path(), "bytes", size-d.size)
	case !fresh && size < d.size:
		d.log.Warn("audit file was cut", "file", d.path(), "bytes_left", size)
		fresh = true
	}
	d.was, d.size = d.at.info, size
	if !fresh || d.chain == nil {
		return nil
	}
	return d.chain.Resume(d.at, size, d.side.read()...)
}

// moved reports whether the path leads to another file than the open one, or to none.
func (d *File) moved() bool {
	info, err := os.Lstat(d.path())
	return err != nil || !os.SameFile(info, d.at.info)
}

// clean cuts off what a failed write left, or ends a line without end that
// was found, say after a crash: a line of ours that was never acknowledged, but
// not ours to delete.
func (d *File) clean() error {
	if d.undo != nil && os.SameFile(d.undo.info, d.at.info) {
		info, err := d.at.Stat()
		switch {
		case err != nil:
			return err
		case info.Size() <= d.undo.size:
			// nothing was written, or somebody else cut it
		case d.at.Truncate(d.undo.size) == nil:
			d.at.torn = false // it was ready before the failed write
		default:
			d.at.torn = true // at worst one empty line
		}
	}
	if d.at.torn {
		if _, err := d.at.Write([]byte("\n")); err != nil {
			return err
		}
		d.at.torn = false
	}
	d.undo = nil
	return nil
}

// drop closes the file; the next Write opens it.
func (d *File) drop() error {
	if d.at.handle == nil {
		return nil
	}
	err := d.at.Close()
	d.at = opened{}
	return err
}

// Reload closes the file and opens what its path leads to now.
func (d *File) Reload() error {
	_ = d.drop() // all lines in it were synced
	_, err := d.ready()
	return reason("", err)
}

// Close writes a last checkpoint and closes the file.
func (d *File) Close() error {
	if err := d.checkpoint(true); err != nil {
		d.log.Warn("writing the last checkpoint of an audit file", "file", d.path(), "error", err)
	}
	return d.drop()
}

// reason leaves out the path and the system call, which the audit device's
// name says better.
func reason(doing string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	if doing == "" || err == nil {
		return err
	}
	return fmt.Errorf("%s%w", doing, err)
}

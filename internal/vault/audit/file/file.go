package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// handle is what is needed of an *os.File opened for appending.
type handle interface {
	Write([]byte) (int, error)
	Sync() error
	Truncate(int64) error
	Stat() (os.FileInfo, error)
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
}

// remains of a failed write: whatever lies behind size in the file that info tells of.
type remains struct {
	info os.FileInfo
	size int64
}

func newFile(l location) *File { return &File{location: l, open: l.open} }

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
	if _, err = d.at.Write(lines); err != nil {
		err = reason("", err)
	} else if err = d.at.Sync(); err != nil {
		err = reason("syncing: ", err)
	}
	if err == nil {
		return nil
	}
	d.undo = &remains{d.at.info, size}
	_ = d.clean() // tried again before the next line
	_ = d.drop()
	return err
}

// ready has the file open, the right one, ending in a line end, and returns its size.
func (d *File) ready() (size int64, err error) {
	if d.at.handle != nil && d.moved() {
		_ = d.drop() // all lines in it were synced
	}
	if d.at.handle == nil {
		if d.at, err = d.open(); err != nil {
			d.at = opened{}
			return 0, err
		}
	}
	if err := d.clean(); err != nil {
		_ = d.drop()
		return 0, err
	}
	info, err := d.at.Stat() // not what we wrote so far: rotation by copying cuts the file under us
	if err != nil {
		_ = d.drop()
		return 0, err
	}
	return info.Size(), nil
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

// Close closes the file.
func (d *File) Close() error { return d.drop() }

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

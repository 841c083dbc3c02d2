package pebble

import (
	"io"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// file is a file that is written through a disk, or a directory that is synced.
type file struct {
	vfs.File
	disk *disk
}

// Write writes all of p, in as many attempts as it takes.
func (f *file) Write(p []byte) (int, error) {
	written := 0
	f.disk.write("writing a file", func() error {
		n, err := f.File.Write(p[written:])
		written += n
		return err
	})
	return len(p), nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	written := 0
	f.disk.write("writing a file", func() error {
		n, err := f.File.WriteAt(p[written:], off+int64(written))
		written += n
		return err
	})
	return len(p), nil
}

// Preallocate is a hint: what it cannot do, Write finds out.
func (f *file) Preallocate(offset, length int64) error {
	_ = f.File.Preallocate(offset, length)
	return nil
}

func (f *file) Sync() error {
	f.disk.sync("syncing a file", f.File.Sync)
	return nil
}

func (f *file) SyncData() error {
	f.disk.sync("syncing a file", f.File.SyncData)
	return nil
}

func (f *file) SyncTo(length int64) (full bool, _ error) {
	f.disk.sync("syncing a file", func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, nil
}

// Close may report a write that was lost, on a network file system for example.
func (f *file) Close() error {
	if err := f.File.Close(); err != nil {
		f.disk.sync("closing a file", func() error { return err })
	}
	return nil
}

// void stands for a file that is not made any more.
type void struct{}

func (void) Close() error                           { return nil }
func (void) Read([]byte) (int, error)               { return 0, io.EOF }
func (void) ReadAt([]byte, int64) (int, error)      { return 0, io.EOF }
func (void) Write(p []byte) (int, error)            { return len(p), nil }
func (void) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (void) Preallocate(_, _ int64) error           { return nil }
func (void) Stat() (vfs.FileInfo, error)            { return voidInfo{}, nil }
func (void) Sync() error                            { return nil }
func (void) SyncTo(int64) (bool, error)             { return true, nil }
func (void) SyncData() error                        { return nil }
func (void) Prefetch(_, _ int64) error              { return nil }
func (void) Fd() uintptr                            { return vfs.InvalidFd }

type voidInfo struct{}

func (voidInfo) Name() string           { return "void" }
func (voidInfo) Size() int64            { return 0 }
func (voidInfo) Mode() os.FileMode      { return 0o600 }
func (voidInfo) ModTime() time.Time     { return time.Time{} }
func (voidInfo) IsDir() bool            { return false }
func (voidInfo) Sys() any               { return nil }
func (voidInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

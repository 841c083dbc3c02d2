package file_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
)

const stranger, group = 54321, 54322

// owned makes a key file of a stranger's.
func owned(t *testing.T, mode os.FileMode) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED without root: only root can give files away")
	}
	path := write(t, []byte(hex.EncodeToString(key())), mode)
	if err := os.Chown(path, stranger, group); err != nil {
		t.Fatal(err)
	}
	return path
}

// A key on a Secret volume with fsGroup is taken; a stranger's whose group may read is not.
func TestLoadOfAGroup(t *testing.T) {
	path := owned(t, 0o440)
	if _, err := file.Load(path); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "chmod 0400") {
		t.Errorf("a stranger's: %v", err)
	}
	if err := os.Chown(path, 0, os.Getegid()); err != nil {
		t.Fatal(err)
	}
	load(t, path)
}

// Guards the plugin that runs as its own user against an add-key that root runs.
func TestAddKeepsTheOwner(t *testing.T) {
	for _, mode := range []os.FileMode{0o400, 0o600} {
		path := owned(t, mode)
		if err := file.Add(path, time.Now()); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		of := info.Sys().(*syscall.Stat_t)
		if of.Uid != stranger || of.Gid != group || info.Mode().Perm() != mode {
			t.Errorf("after adding it belongs to %d:%d with %v, not %v", of.Uid, of.Gid, info.Mode(), mode)
		}
	}
}

// as runs f on a thread of its own after before, which takes rights from it. The thread
// ends with f.
func as(t *testing.T, before func() error, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err := before(); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// cannotGive takes from a thread of root's the right to give files away.
func cannotGive() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var rights [2]unix.CapUserData
	if err := unix.Capget(&head, &rights[0]); err != nil {
		return err
	}
	rights[0].Effective &^= 1 << unix.CAP_CHOWN
	return unix.Capset(&head, &rights[0])
}

// An owner who is not in the file's group, in which nobody has rights, may add.
func TestAddOfTheOwner(t *testing.T) {
	path := owned(t, 0o600)
	open(t, path)
	as(t, func() error { return syscall.Setfsuid(stranger) }, func() {
		if err := file.Add(path, time.Now()); err != nil {
			t.Error(err)
		}
	})
	info, err := os.Stat(path)
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != stranger {
		t.Errorf("after adding it belongs to %v, %v", info, err)
	}
	if h, err := load(t, path).History(t.Context()); err != nil || len(h.Versions) != 2 {
		t.Errorf("%d versions, %v", len(h.Versions), err)
	}
}

// Who may read the file and cannot give the new one to its owner changes nothing.
func TestAddThatCannotKeepTheOwner(t *testing.T) {
	path := owned(t, 0o600)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	as(t, cannotGive, func() {
		if err := file.Add(path, time.Now()); !errs.Is(err, errs.Denied) || !strings.Contains(err.Error(), "user 54321") {
			t.Errorf("adding to another's file: %v", err)
		}
	})
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the file was changed: %v", err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// open lets everybody into the directories of a test's that a file is in: its own, and
// that of all directories of the test.
func open(t *testing.T, path string) {
	t.Helper()
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		if !strings.Contains(dir, t.Name()) {
			t.Fatalf("%s is no directory of this test's", dir)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
}
